/**
 * The transcripts that this page holds, fed from the socket by byte offset: a line whose offset was seen already is dropped,
 * and after a break each log goes on where it stopped, so that no line is lost or doubled.
 */
import { signal, type Signal } from "@preact/signals";
import type { Run } from "@berth/shared/resources";
import { createFold, type Fold } from "./transcript/fold.ts";

export interface RunLog {
  readonly runId: string;
  readonly fold: Fold;
  /** Grows at most once a frame when the transcript changed. */
  readonly version: Signal<number>;
  /** Whether all lines are here; `gone` when the host has no such log. */
  readonly state: Signal<"loading" | "following" | "complete" | "gone">;
  /** The byte offset just after the last line that is in. */
  offset: number;
}
type Subscribe = (runId: string, after: number) => void;

/** Logs of ended runs that nobody looks at any more are dropped beyond this many. */
const mostIdle = 12;
const answerMs = 20_000;

export function createRunLogs(subscribe: Subscribe, runOf: (runId: string) => Run | undefined) {
  const logs = new Map<string, RunLog>();
  const made = signal(0);
  const watchers = new Map<string, number>();
  const changed = new Set<RunLog>();
  /** Logs whose subscription is still to be sent; one at a time, for an error does not name its run. */
  const queue: string[] = [];
  let asking: string | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const note = (log: RunLog) => {
    if (changed.size === 0) requestAnimationFrame(flush);
    changed.add(log);
  };
  const flush = () => {
    for (const log of changed) log.version.value++;
    changed.clear();
  };
  const make = (runId: string): RunLog => {
    const log: RunLog = { runId, fold: createFold(), version: signal(0), state: signal("loading"), offset: 0 };
    logs.set(runId, log);
    made.value++;
    return log;
  };
  const isWhole = (log: RunLog, run: Run | undefined) =>
    run !== undefined && run.endedAt !== null && log.offset >= run.logBytes;
  const settle = (log: RunLog, run: Run | undefined) => {
    if (log.state.value === "complete") return;
    if (isWhole(log, run)) {
      log.fold.end();
      log.state.value = "complete";
      note(log);
    } else if (run?.endedAt === null) log.state.value = "following";
  };
  const ask = (runId: string) => {
    if (!queue.includes(runId) && asking !== runId) queue.push(runId);
    askNext();
  };
  const askNext = () => {
    if (asking !== null) return;
    asking = queue.shift() ?? null;
    const log = asking === null ? undefined : logs.get(asking);
    if (!log) return asking === null ? undefined : answered(asking);
    subscribe(log.runId, log.offset);
    timer = setTimeout(() => answered(log.runId), answerMs);
  };
  const answered = (runId: string) => {
    if (asking !== runId) return;
    clearTimeout(timer);
    asking = null;
    askNext();
  };
  const evict = () => {
    const idle = [...logs.values()].filter((log) => !watchers.get(log.runId) && log.state.value === "complete");
    for (const log of idle.slice(0, Math.max(0, idle.length - mostIdle))) logs.delete(log.runId);
  };

  return {
    /** The log that is here; read in a component, it draws again when one comes. */
    get: (runId: string): RunLog | undefined => (made.value >= 0 ? logs.get(runId) : undefined),
    /** The run's log, followed from where it stands; call the answer's `release` when it is out of view. */
    watch(runId: string): { log: RunLog; release: () => void } {
      watchers.set(runId, (watchers.get(runId) ?? 0) + 1);
      const there = logs.get(runId);
      const log = there ?? make(runId);
      const run = runOf(runId);
      settle(log, run);
      if (!there && log.state.value !== "complete") ask(runId);
      const release = () => {
        watchers.set(runId, watchers.get(runId)! - 1);
        evict();
      };
      return { log, release };
    },
    /** One line of the socket. Runs that start while it is open come from their first line on, unasked. */
    addLine(runId: string, offset: number, data: unknown): void {
      answered(runId);
      const log = logs.get(runId) ?? make(runId);
      if (offset <= log.offset) return;
      log.offset = offset;
      log.fold.add(data);
      note(log);
      settle(log, runOf(runId));
    },
    /** A run as it is now. */
    addRun(run: Run): void {
      answered(run.id);
      const log = logs.get(run.id);
      if (log) settle(log, run);
    },
    /** The server knows nothing of what was asked for last. */
    refused(): void {
      const log = asking === null ? undefined : logs.get(asking);
      if (!log) return;
      log.state.value = "gone";
      answered(log.runId);
    },
    /** After a (re)connect: goes on with each log that is not whole, and follows the runs in progress. */
    resume(active: Run[]): void {
      clearTimeout(timer);
      asking = null;
      queue.length = 0;
      for (const run of active) if (!logs.has(run.id)) make(run.id);
      for (const log of logs.values())
        if (log.state.value === "loading" || log.state.value === "following") ask(log.runId);
    },
  };
}
