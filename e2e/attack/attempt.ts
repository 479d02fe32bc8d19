/** What an attempt is, and where it is made: one Berth, somebody who attacks it, and somebody who only works there. */
import type { Client } from "../harness/client.ts";
import type { Berth } from "../harness/harness.ts";

/** One Berth under attack. `mallory` does what she can; `bob` is another user of the same host. */
export interface Stage {
  berth: Berth;
  mallory: Client;
  bob: Client;
  bar: Bar;
}

/**
 * What is asked of bob's calls. `alone`: the promise as written, medians within 3 times the quiet and one second, for which the
 * machine must have nothing else to do. `shared`: what can be said beside other suites.
 */
export type Bar = "alone" | "shared";

/** What came of an attempt: what does not hold (nothing, where the wall holds), and its figures in words. */
export interface Finding {
  wrong: string[];
  figures: string;
}

export interface Attempt {
  /** What is tried, as a noun: "lines of 16 MiB of JSON". */
  name: string;
  /** Made by `npm run attack` alone: another of its kind stands in the suite. */
  isExtra?: boolean;
  /** Makes the attempt, and ends all that it started. Throws where it could not be made at all: that is no finding. */
  make(stage: Stage): Promise<Finding>;
}

/** Attempts on one kind of wall, on one Berth with these settings. */
export interface Area {
  name: string;
  settings: Record<string, string>;
  attempts: Attempt[];
}
