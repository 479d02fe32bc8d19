/** Everything a reader of a run is told, in order: the run, its lines, its changes, its end. One way for SSE and socket. */
import { join } from "node:path";
import type { Bus } from "./host.ts";
import { createLatch } from "./host.ts";
import { type OutputLine, readLines } from "./runlog.ts";
import type { RunRow, Store } from "./store.ts";
import { runDirectory, type Volumes } from "./volume.ts";

export type Told = { kind: "run"; run: RunRow } | { kind: "lines"; lines: OutputLine[] } | { kind: "idle" };
export interface FollowDeps {
  store: Store;
  volumes: Volumes;
  bus: Bus;
  /** Resolves once the gateway knows the run at this revision. */
  delivered(rev: number): Promise<void>;
}

/** Ends after the final run; `idle` comes after 10 s of silence. `after` is a byte offset of the log. */
export async function* follow({ store, volumes, bus, delivered }: FollowDeps, runId: string, after: number, signal: AbortSignal): AsyncGenerator<Told> {
  const first = store.getRun(runId);
  if (!first) return;
  const volume = volumes.exists(first.userId) ? await volumes.ensure(first.userId) : null;
  const path = volume ? join(runDirectory(volume, runId), "out") : "/nonexistent";
  const runtime = store.getAgent(first.agentId)?.runtime ?? "claude";
  const latch = createLatch();
  const off = bus.on(`run:${runId}`, latch.set);
  try {
    yield { kind: "run", run: first };
    for (let at = after, status = first.status; !signal.aborted; ) {
      const run = store.getRun(runId);
      if (!run) return;
      if (!run.endedAt && run.status !== status) yield { kind: "run", run };
      status = run.status;
      const batches = readLines({ path, runtime, sealedBytes: () => (run.endedAt ? run.logBytes : null) }, at);
      let batch = await batches.next();
      for (; !batch.done; batch = await batches.next()) {
        if (signal.aborted) return;
        yield { kind: "lines", lines: batch.value };
      }
      at = batch.value;
      if (run.endedAt) {
        await delivered(run.rev);
        yield { kind: "run", run };
        return;
      }
      if (!(await latch.next(10_000, signal)) && !signal.aborted) yield { kind: "idle" };
    }
  } finally {
    off();
  }
}
