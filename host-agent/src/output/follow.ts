/** Everything a reader of a run gets, in order: the run, its lines, its changes, its end. One way for SSE and socket. */
import { join } from "node:path";
import type { Run } from "@berth/shared/resources";
import type { HostContext } from "../context/context.ts";
import { createLatch } from "../context/wait.ts";
import { type LogSource, longestLineBytes, type OutputLine, readLines, type SplitLines } from "../run/run-log.ts";
import { runtimes } from "../runtimes/runtimes.ts";
import { publicRun, type RunRow, stageOf } from "../store/rows.ts";
import type { Store } from "../store/store.ts";
import { runDirectory } from "../run/run-files.ts";
import { type Volumes } from "../workspace/volumes.ts";

/** What a reader of a run gets, one at a time. */
export type RunEvent<Batch = OutputLine[]> =
  | { kind: "run"; run: Run }
  | { kind: "lines"; lines: OutputLine[] | Batch }
  | { kind: "idle" };
export interface FollowDeps {
  context: Pick<HostContext, "bus" | "turns" | "settings">;
  store: Store;
  volumes: Pick<Volumes, "exists" | "ensure">;
  /** Resolves once the gateway knows the run at this revision; with false where it never will, for it has removed this host. */
  delivered(rev: number): Promise<boolean>;
}

/** From one look at the log to the next: so many times as long as the quicker of the last two took, and at most so many milliseconds. */
const [pauseShare, mostPauseMs] = [4, 30];

/** Ends after the final run; `idle` comes after 10 s of silence. `after` is a byte offset of the log, `split` what becomes of lines. */
export async function* follow<Batch>(
  deps: FollowDeps,
  runId: string,
  after: number,
  signal: AbortSignal,
  split: SplitLines<Batch>,
): AsyncGenerator<RunEvent<Batch>> {
  const { store, delivered } = deps;
  const { bus, turns } = deps.context;
  const first = store.getRun(runId);
  if (!first) return;
  const { speaksJson } = runtimes[store.getAgent(first.agentId)!.runtime];
  const toPublic = (run: RunRow) => publicRun(run, store.promptOf(runId));
  const latch = createLatch();
  const off = bus.on(`run:${runId}`, latch.set);
  try {
    yield { kind: "run", run: toPublic(first) };
    let position = { at: after, searched: after };
    let tookBeforeMs = 0;
    for (let stage = stageOf(first); !signal.aborted;) {
      await turns(first.userId);
      const lookedAt = performance.now();
      const run = store.getRun(runId);
      if (!run) return;
      if (!run.endedAt && stageOf(run) !== stage) yield { kind: "run", run: toPublic(run) };
      stage = stageOf(run);
      const batches = readLines(await sourceOf(deps, run, speaksJson), position, split);
      try {
        let batch = await batches.next();
        for (; !batch.done; batch = await batches.next()) {
          if (signal.aborted) return;
          yield { kind: "lines", lines: batch.value };
        }
        position = batch.value;
      } finally {
        // A reader that leaves in the midst keeps no file open.
        await batches.return(position);
      }
      if (run.endedAt) {
        if (await delivered(run.rev)) yield { kind: "run", run: toPublic(run) };
        return;
      }
      const tookMs = performance.now() - lookedAt;
      const shorterMs = Math.min(tookMs, tookBeforeMs);
      tookBeforeMs = tookMs;
      if (!(await latch.next(10_000, signal)) && !signal.aborted) yield { kind: "idle" };
      // Throttle: many small writes are one look. A run's end is told at once, and one look that was held up holds up no line.
      const due = lookedAt + Math.min(mostPauseMs, tookMs + shorterMs * pauseShare);
      const isDue = () => performance.now() >= due || store.getRun(runId)?.endedAt;
      while (!isDue() && !signal.aborted) await latch.next(due - performance.now(), signal);
    }
  } finally {
    off();
  }
}

/** Where the run's lines are now. Asked anew at each look: a reader may pause for long, and the volume of an absent user is unmounted. */
async function sourceOf({ context, volumes }: FollowDeps, run: RunRow, speaksJson: boolean): Promise<LogSource> {
  const volume = volumes.exists(run.userId) ? await volumes.ensure(run.userId) : null;
  // What was started ahead of it and never took its message has said something too, which is none of the run's.
  const hasLog = volume && (run.startedAt || run.endedAt);
  return {
    path: hasLog ? join(runDirectory(volume, run.id), "out") : "/nonexistent",
    speaksJson,
    sealedBytes: () => (run.endedAt ? run.logBytes : null),
    limitBytes: context.settings.BERTH_LOG_BYTES,
    longestLineBytes,
    turn: () => context.turns(run.userId),
  };
}
