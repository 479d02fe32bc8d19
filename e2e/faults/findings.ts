/** What the checks know and what they found. */
import type { Harm, Scene } from "./actions.ts";
import type { Asked } from "./load.ts";

/** A fault that was done: to which host, and when (milliseconds since 1970). */
export interface Done {
  name: string;
  harm: Harm | null;
  host: string;
  from: number;
  to: number;
}
export interface Findings {
  scene: Scene;
  /** Messages that were accepted, by their run's id. */
  known: Map<string, Asked>;
  done: Done[];
  /** On which hosts a run was, by their databases. */
  places: Map<string, string[]>;
  /** What does not hold, in sentences. */
  wrong: string[];
  /** What was compared, in sentences. */
  checked: string[];
}

/** Whether a fault that may do this was felt where the run was, while it went on; a fault is felt a little longer than it lasts. */
export function isExcused({ done, places }: Findings, one: Asked, harm: Harm): boolean {
  const hosts = places.get(one.runId!) ?? [];
  return done.some(
    (fault) =>
      fault.harm === harm &&
      hosts.includes(fault.host) &&
      one.sentAt <= fault.to + 30_000 &&
      (one.endedAt || Infinity) >= fault.from - (harm === "disk_full" ? unwrittenMs : 0),
  );
}
/** What was written so shortly before may still be lost when the machine's disk is full: the kernel holds it for 30 s above the image and 30 s below, and longer on a busy machine. */
const unwrittenMs = 120_000;

export const tell = ({ user, key, runId }: Asked) => `run ${key} of ${user} (${runId})`;

/**
 * Whether a host was removed while the message was on its way to it, before any answer: nobody can tell then whether that
 * host began it, so a repeated call may have begun it on another one too.
 */
export function wasUnderWay({ done, places }: Findings, one: Asked): boolean {
  const hosts = places.get(one.runId!) ?? [];
  return done.some(
    ({ harm, host, from, to }) =>
      harm === "host_lost" && hosts.includes(host) && one.sentAt <= to && one.acceptedAt >= from,
  );
}

/** Whether the host that had the run was removed since, or has a new database: its output is gone. */
export function isForgotten({ done, places }: Findings, one: Asked): boolean {
  const hosts = places.get(one.runId!) ?? [];
  return done.some(({ harm, host, to }) => harm === "host_lost" && hosts.includes(host) && to >= one.sentAt);
}
