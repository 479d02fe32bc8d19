/**
 * What to do next with a run: pure decisions over observed facts. Unknown is no fact: who cannot observe one throws and
 * looks again, so an error is never taken for a no. A run is lost only by evidence: its own container is gone.
 */
import type { Intent, RunRow } from "../store/rows.ts";

/** What the wrapper has left in the run's `exit` file. */
export interface Exit {
  hasBegun: boolean;
  code: number | null;
}
/** Where the run's own container is: `none` was ever asked for it, `here` it runs, `gone` it does not. */
export type Whereabouts = "none" | "here" | "gone";

/** First look at a run: watch what has begun, end what cannot begin any more, or go on to begin it. */
export function nextOfStart(
  run: Pick<RunRow, "startedAt" | "intent">,
  exit: Exit,
  container: Whereabouts,
): "watch" | "begin" | "lost" | "ended_before_start" {
  if (exit.hasBegun || run.startedAt !== null) return container === "here" ? "watch" : "lost";
  if (run.intent) return "ended_before_start";
  // Its files would tell of a begin, but a volume that failed may have lost what was written last.
  return container === "gone" ? "lost" : "begin";
}

/** What the engine says of the run's exec; `none` was made in this container, `unknown` is one that it has forgotten, as at its restart. */
export type ExecFact = "none" | "unknown" | "created" | "running" | "ended";

/** Second look, at a run whose container is here: start the exec that it has, make one, or watch it. */
export function nextOfExec(exec: ExecFact, hasProcesses: boolean, hasBegun: boolean): "watch" | "start" | "make" {
  if (exec === "running" || hasBegun) return "watch";
  if (exec === "created") return "start";
  // One that the engine could not start has ended as well, and leaves neither process nor trace. One that it has forgotten may go on.
  return exec !== "none" && hasProcesses ? "watch" : "make";
}

/** What is seen of a begun run at one look. */
export interface RunFacts {
  exit: Exit;
  intent: Intent | null;
  /** For how long its turn has been asked to stop. */
  interruptedMs: number;
  logBytes: number;
  /** Whether the container's init is gone, or goes. */
  isInitEnding: boolean;
  /** False only where there is provably none. */
  hasProcesses: boolean;
  /** Since it began, in milliseconds; null while no clock can be trusted. */
  elapsedMs: number | null;
  /** How long the CLI has had nothing to do since its result; null while it works. */
  idleMs: number | null;
  hasStarted: boolean;
}
export interface RunLimits {
  logBytes: number;
  timeoutMs: number;
  /** Null where no first line is due. */
  startTimeoutMs: number | null;
  lingerMs: number;
  /** How long a turn has to stop by itself. */
  interruptMs: number;
}
/** How a run was found to be over. */
export interface Over {
  exitCode: number | null;
  isContainerLost: boolean;
  hasLingered: boolean;
  /** The disk had no room for its files, whatever it has by now. */
  isDiskFull?: boolean;
}
/** The end of a run of which nothing began. */
export const lostWithoutBegin: Over = { exitCode: null, isContainerLost: true, hasLingered: false };
export type NextOfRun = "wait" | "lookAtInit" | { intend: Intent } | { over: Over };

/**
 * One look at a begun run. `lookAtInit`: something ended by a signal or without a word, which the container's end does
 * first to the run and a moment later to itself: whether that happens needs a second look.
 */
export function nextOfRun(facts: RunFacts, limits: RunLimits): NextOfRun {
  const { exit, elapsedMs } = facts;
  const over = (fields: Partial<Over> = {}): NextOfRun => ({
    over: { exitCode: exit.code, isContainerLost: false, hasLingered: false, ...fields },
  });
  // Also of one that is over: its log will be cut, and that must be said.
  if (facts.logBytes > limits.logBytes && (!facts.intent || facts.intent === "interrupted"))
    return { intend: "log_limit" };
  if (exit.code !== null && exit.code < 128) return over();
  if (facts.isInitEnding) return over({ isContainerLost: true });
  if (exit.code !== null) return "lookAtInit";
  const isStopping = facts.intent === "interrupted" && facts.interruptedMs <= limits.interruptMs;
  if (facts.intent && !isStopping) return over();
  if (!facts.hasProcesses) return "lookAtInit";
  if (isStopping) return "wait";
  if (facts.idleMs !== null && facts.idleMs > limits.lingerMs) return over({ hasLingered: true });
  if (elapsedMs !== null && elapsedMs > limits.timeoutMs) return { intend: "timed_out" };
  const isLate = limits.startTimeoutMs !== null && !facts.hasStarted;
  if (isLate && elapsedMs !== null && elapsedMs > limits.startTimeoutMs!) return { intend: "start_timeout" };
  return "wait";
}

/** What is seen of a user's CLI that was started ahead, and of the agent whose next one it shall be. */
export interface AheadFacts {
  /** The agent is idle, can be started ahead, and its workspace runs. */
  isWanted: boolean;
  /** `outdated`: it was started from something else than what holds now, or for another agent. */
  waiting: "none" | "gone" | "outdated" | "ready";
  freeBytes: number;
}
/** So much is free where one may be started, and where one may stay. */
const [spareBytes, leastBytes] = [400_000_000, 128_000_000];

/** At most one waits, of the agent that was used last, as it would be started now; it goes before anybody wants for memory. */
export function nextOfAhead({ isWanted, waiting, freeBytes }: AheadFacts): "start" | "drop" | "stay" {
  if (waiting === "none") return isWanted && freeBytes >= spareBytes ? "start" : "stay";
  return isWanted && waiting === "ready" && freeBytes >= leastBytes ? "stay" : "drop";
}
