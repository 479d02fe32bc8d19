/** How a run's program behaves: what it says, how it ends, what it leaves. */
import type { Draws } from "../world/random.ts";

export interface Script {
  /** Milliseconds until the wrapper's first word, then between chunks. */
  beginMs: number;
  stepMs: number;
  /** Bytes of each chunk of output. */
  chunks: number[];
  /** Whether it says lines, or one that never ends. */
  saysLines: boolean;
  /** Its exit code; null: it goes on until it is ended; "gone": it goes without a word. */
  end: number | null | "gone";
  ignoresTerm: boolean;
  /** Processes that stay when it ends. */
  leaves: number;
  /** What it leaves forks and leaves its pid faster than anybody looks. */
  leavesMovers: boolean;
  /** The kernel kills its program for want of memory. */
  isKilled: boolean;
  /** Once it has said all, it asks, and waits for the answer. */
  asks: boolean;
  /** Its wrapper may have to wait for a processor before its first word. */
  mayDawdle?: boolean;
  /** So long what was started ahead says nothing to the message that it was told. */
  thinksMs?: number;
}

const plain: Script = {
  beginMs: 5,
  stepMs: 50,
  chunks: [10],
  saysLines: true,
  end: 0,
  ignoresTerm: false,
  leaves: 0,
  leavesMovers: false,
  isKilled: false,
  asks: false,
};
/** Sizes at which something changes, give or take a few; those beyond the usual limit only where logs may be long. */
const edges = [0, 64, 4096, 4096, 8192, 65_536, 100_000];
const farEdges = [4096, 65_536, 2 ** 20, 2 ** 20, 2 * 2 ** 20, 16 * 2 ** 20];
export const longLogBytes = 20 * 2 ** 20;

/** What all that it said comes near to, of those sizes that something is decided by; null where of none. */
export const boundNear = (bytes: number): number | null =>
  [...edges, ...farEdges].find((edge) => edge >= 4096 && bytes >= edge - 2 && bytes <= edge + 4) ?? null;

export function drawScript(draws: Draws, hasLongLogs = false): Script {
  const size = () => Math.max(0, draws.of(hasLongLogs ? farEdges : edges) + draws.whole(-2, 4));
  return {
    beginMs: draws.delay(),
    stepMs: draws.is(0.7) ? draws.between(1, 300) : draws.between(300, 6000),
    chunks: Array.from({ length: draws.of(hasLongLogs ? [1, 1, 2] : [0, 1, 1, 1, 2, 3]) }, size),
    saysLines: draws.is(0.7),
    end: draws.of([0, 0, 0, 0, 0, 0, 1, 7, 143, null, "gone"] as const),
    ignoresTerm: draws.is(0.2),
    leaves: draws.is(0.15) ? draws.whole(1, 3) : 0,
    leavesMovers: draws.is(0.3),
    isKilled: draws.is(0.05),
    asks: false,
    mayDawdle: true,
  };
}

const scripts = new Map<string, Script>();

/** Says how a run shall behave. */
export function setScript(runId: string, script: Partial<Script>): void {
  scripts.set(runId, { ...plain, ...script });
}

export const scriptOf = (runId: string): Script => scripts.get(runId) ?? plain;
export const forgetScripts = (): void => scripts.clear();
