/**
 * The transcripts that this page holds, fed from the socket by byte offset: a line whose offset was seen already is dropped,
 * and after a break each log goes on where it stopped, so that no line is lost or doubled.
 */
import { signal, type Signal } from "@preact/signals";
import type { Run } from "@berth/shared/resources";
import { createAskQueue, type AskQueue } from "./ask-queue.ts";
import { dialects } from "../runtimes/runtimes.ts";
import { createFold, type Fold } from "../transcript/fold.ts";

export interface RunLog {
  readonly runId: string;
  readonly fold: Fold;
  /** Grows at most once a frame when the transcript changed. */
  readonly version: Signal<number>;
  /** Whether all lines are here; `gone` when the host has no such log. */
  readonly state: Signal<"loading" | "following" | "complete" | "gone">;
  /** The byte offset just after the last line that is in. */
  offset: number;
  /** How many parts of the page show it. */
  watchers: number;
}

/** Logs of ended runs that nobody looks at any more are dropped beyond this many. */
const mostIdle = 12;

interface Shelf {
  logs: Map<string, RunLog>;
  /** Grows when a log comes. */
  made: Signal<number>;
  queue: AskQueue;
  note: (log: RunLog) => void;
  runOf: (runId: string) => Run | undefined;
}

/** `subscribe` asks the server for a run's lines after an offset; `runOf` is what is known of a run. */
export function createRunLogs(subscribe: (runId: string, after: number) => void, runOf: Shelf["runOf"]) {
  const logs: Shelf["logs"] = new Map();
  const queue = createAskQueue((runId) => {
    const log = logs.get(runId);
    // Of an ended run that was scrolled by meanwhile nobody wants to know.
    const isWanted = log !== undefined && (log.watchers > 0 || !runOf(runId)?.endedAt);
    if (isWanted) subscribe(runId, log.offset);
    return isWanted;
  });
  const shelf: Shelf = { logs, made: signal(0), queue, note: createFrameNotes(), runOf };
  return {
    /** The log that is here; a component that reads it draws again when one comes. */
    get: (runId: string): RunLog | undefined => (shelf.made.value >= 0 ? logs.get(runId) : undefined),
    /** The run's log, followed from where it stands; call `release` when it is out of view. */
    watch: (runId: string) => watch(shelf, runId),
    /** One line of the socket. Runs that start while it is open come from their first line on, unasked. */
    addLine: (runId: string, offset: number, data: unknown) => addLine(shelf, runId, offset, data),
    /** A run as it is now. */
    addRun(run: Run): void {
      queue.answered(run.id);
      const log = logs.get(run.id);
      if (log) settle(shelf, log);
    },
    /** The server knows nothing of what was asked for last. */
    refused(): void {
      const log = logs.get(queue.current() ?? "");
      if (!log) return;
      log.state.value = "gone";
      queue.answered(log.runId);
    },
    /** After a (re)connect: goes on with each log that is not whole, and follows the runs in progress. */
    resume(active: Run[]): void {
      queue.reset();
      for (const run of active) if (!logs.has(run.id)) make(shelf, run.id);
      for (const log of logs.values())
        if (log.state.value !== "complete" && log.state.value !== "gone") queue.ask(log.runId);
    },
    /** Forgets all transcripts. */
    clear(): void {
      queue.reset();
      logs.clear();
    },
  };
}

function watch(shelf: Shelf, runId: string): { log: RunLog; release: () => void } {
  const log = shelf.logs.get(runId) ?? make(shelf, runId);
  log.watchers++;
  settle(shelf, log);
  if (log.state.value === "loading") shelf.queue.ask(runId);
  const release = () => {
    log.watchers--;
    dropIdle(shelf.logs);
  };
  return { log, release };
}

function addLine(shelf: Shelf, runId: string, offset: number, data: unknown): void {
  shelf.queue.answered(runId);
  const log = shelf.logs.get(runId) ?? make(shelf, runId);
  if (offset <= log.offset) return;
  log.offset = offset;
  log.fold.add(data);
  shelf.note(log);
  settle(shelf, log);
}

function make({ logs, made }: Shelf, runId: string): RunLog {
  const state = signal<"loading">("loading");
  const log: RunLog = { runId, fold: createFold(dialects), version: signal(0), state, offset: 0, watchers: 0 };
  logs.set(runId, log);
  made.value++;
  return log;
}

function settle({ runOf, note }: Shelf, log: RunLog): void {
  const run = runOf(log.runId);
  if (!run || log.state.value === "complete") return;
  if (run.endedAt === null) {
    if (log.offset > 0 || log.state.value === "gone") log.state.value = "following";
  } else if (log.offset >= run.logBytes) {
    log.fold.end();
    log.state.value = "complete";
    note(log);
  }
}

function dropIdle(logs: Map<string, RunLog>): void {
  const idle = [...logs.values()].filter((log) => log.watchers === 0 && ["complete", "gone"].includes(log.state.value));
  for (const log of idle.slice(0, Math.max(0, idle.length - mostIdle))) logs.delete(log.runId);
}

/** Gathers which logs changed and tells so once a frame. */
function createFrameNotes(): (log: RunLog) => void {
  const changed = new Set<RunLog>();
  const flush = () => {
    const all = [...changed];
    changed.clear();
    for (const log of all) log.version.value++;
  };
  return (log) => {
    if (changed.size === 0) requestAnimationFrame(flush);
    changed.add(log);
  };
}
