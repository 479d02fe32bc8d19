/** For tests: what an app on Node and one in workerd have in common. */
import type { Deps } from "../src/deps.ts";

/** The clock of an app, ahead of the machine's. */
export interface TestClock {
  skewMs: number;
}

/** What differs between the runtimes. */
export interface Runtime {
  /** The data directory on Node. */
  dir: string;
  /** The app's own on Node; on workerd the same rules and queries on the same D1, called from here. */
  deps: Deps;
  lines: string[];
  request(path: string, init?: RequestInit): Promise<Response>;
  /** Does what is due: as Node's timer does, or by the Worker's cron event. */
  tick(): Promise<void>;
  /** How many statements of the app its database has run for the calls of the test so far. */
  statements(): number;
  /** How many rows those statements have read, of tables, indices and lists that came in. D1 alone tells. */
  rowsRead?(): number;
  /** Serves the app to clients of its own. */
  listen(): Promise<{ url: string; port: number; close(graceMs: number): Promise<void> }>;
  close(): Promise<void>;
}
