/**
 * What a history is made of: one JSON object a line, in the order in which the recorder learned of it. It says what was asked,
 * answered, read, broken and found, never what that means. Knows nothing of the product.
 */

/** A run as somebody was told of it. */
export interface ToldRun {
  id: string;
  agentId: string;
  status: string;
  reason: string | null;
  exitCode: number | null;
  logBytes: number;
  endedAt: string | null;
}
/** What breaks runs, done by the fault program, at the moment it is done. */
export type Deed =
  | "containers killed"
  | "host removed"
  | "host database lost"
  | "host database restored"
  | "gateway restored"
  | "disk full"
  | "disk free";

type Kinds = {
  /** The first: what was set. */
  campaign: { seed: number; runTimeoutMs: number; maxRuns: number; logLimitBytes: number };
  user: { user: string; name: string };
  agent: { user: string; agent: string; runtime: string };
  /** A call, and later its answer: 0 where none came. */
  call: { call: number; by: string; method: string; path: string; body?: unknown; key?: string };
  answer: { call: number; status: number; body: unknown };
  /** A message that somebody wants to be run once: its program prints so many lines and ends so; null where nobody knows. */
  asked: {
    key: string;
    user: string;
    agent: string;
    via: "api" | "webhook";
    program: { lines: number; exitCode: number } | null;
  };
  /** The key's message was accepted as this run. */
  accepted: { key: string; run: string };
  /** A reader of a run comes, from this byte offset on. */
  reader: { reader: number; run: string; after: number; by: "stream" | "socket" | "again" };
  /** What it reads: the offset after the line, and the line as JSON. */
  output: { reader: number; offset: number; data: string };
  told: { by: string; run: ToldRun };
  fault: { name: string; host: string; phase: "begins" | "ends" };
  /** `copiedAt` is of when the copy that was restored was made. */
  deed: { deed: Deed; host: string; copiedAt?: number };
  /** The gateway took a report of this host, and the host had its answer. */
  heard: { host: string };
  /** What the engine tells of a container. */
  engine: { host: string; action: string; container: string; user: string };
  /** What the kernel tells: a container's processes are there, or all gone; `init` is when its first one started (its clock ticks). */
  container: { host: string; container: string; isAlive: boolean; init: string };
  kernel: { text: string };
  log: { by: string; line: string };
  /** A process of the product ended; `asked` says by whose wish. */
  ended: { daemon: string; code: number | null; asked: string | null };
  /** What a process holds (`memory` in MiB, `descriptors`, `tasks`, `processes` below it), or a machine has (`containers`, `execs`, `mounts`, `disks`); `life` is its pid, or the machine's name. */
  sample: { of: string; life: string; values: Record<string, number> };
  /** What the fault program itself noticed at once, in a sentence. */
  remark: { text: string };

  /** From here on: what was found when all was over. */
  listed: { user: string; runs: ToldRun[]; agents: { id: string; status: string }[] };
  placed: { user: string; host: string | null };
  /** A run's row in a host's database, or (with host null) in the gateway's. */
  row: {
    host: string | null;
    database: string;
    run: ToldRun;
    container: string | null;
  };
  agentRow: { host: string; database: string; agent: string; uid: number };
  database: { database: string; integrity: string };
  /** A run's files: bytes as base64, null where there is none. */
  files: {
    host: string;
    user: string;
    run: string;
    out: string | null;
    exit: string | null;
    isSealed: boolean;
  };
  /** What the programs of an agent wrote into their directory: a line a mark, see `readMark`. */
  marks: { host: string; user: string; agent: string; lines: string[] };
  /** Owners of the files in an agent's directory. */
  owners: { host: string; user: string; agent: string; uids: number[] };
  /** What is there when everything has been stopped, and should not be. */
  left: { host: string; what: string; items: string[] };
};
export type Kind = keyof Kinds;
export type EventOf<K extends Kind> = { kind: K; at: number } & Kinds[K];
export type HistoryEvent = { [K in Kind]: EventOf<K> }[Kind];
/** An event as it is handed to a recorder, which knows the time. */
export type Recorded = { [K in Kind]: { kind: K } & Kinds[K] }[Kind];

/** One line that a program wrote: `begin KEY RUN SECONDS INIT`, then `tick`s, at last `end`. */
export interface Mark {
  what: "begin" | "tick" | "end";
  key: string;
  run: string;
  /** Milliseconds since 1970. */
  at: number;
  /** When the first process of its container started, in the kernel's clock ticks. */
  init: string;
}

/** Null for a line that was cut off: by a full disk, or by a kill. */
export function readMark(line: string): Mark | null {
  const match = /^(begin|tick|end) (\S+) (\S+) (\d+\.\d+) (\d+)$/.exec(line);
  if (!match) return null;
  const [, what, key, run, seconds, init] = match;
  return { what: what as Mark["what"], key: key!, run: run!, at: Number(seconds) * 1000, init: init! };
}
