/** What a host agent does again and again: samples, clears away, compares itself with the engine. */
import { messageOf } from "@berth/shared/log";
import { sleep } from "@berth/shared/wait";
import { createLatch } from "./context/wait.ts";
import type { Parts } from "./parts.ts";
import type { Reports } from "./membership/reports.ts";
import { createRetention } from "./run/retention.ts";

const reconcileMs = 15_000;
/** A gateway that was silent for so long no longer vouches for the streams that came through it. */
const unvouchedMs = 10_000;
/** What was started ahead goes within a second where memory is short. */
const aheadMs = 400;
const volumeFailed =
  "The machine's disk failed or was full, and the workspace was closed: what was written last may be missing.";

/** Runs every loop until the signal ends them; resolves when all have ended. */
export async function runLoops(parts: Parts, reports: Reports, signal: AbortSignal): Promise<void> {
  const { context, engine, volumes, workspaces, runs, streams, countKills, beginKills } = parts;
  const { settings, log, hostId } = context;
  const idleMs = settings.BERTH_IDLE_SECONDS * 1000;
  const lookAgain = async () => {
    // First: nobody can take up a container whose volume has failed, and who tries has its user's lock.
    for (const userId of volumes.mendable()) {
      const isMendable = () => volumes.mendable().includes(userId);
      workspaces.evict(userId, volumeFailed, isMendable, () => volumes.mend(userId));
    }
    await workspaces.reconcile();
    runs.wakeAll();
  };
  const sample = async () => {
    workspaces.sample();
    // A kernel's log that could not be read at the start is begun here, before anybody needs it.
    beginKills();
  };
  /** Asks nobody: an engine that hangs must not lengthen the life of a token. */
  const closeStreams = async () => {
    streams.closeExpired();
    streams.vouch(reports.silentMs() <= unvouchedMs);
  };
  /** Coalesces: however many events come during one look, they are followed by one more. */
  const engineChanged = createLatch();
  const watchEngine = () =>
    engine.watchEvents(`berth.host=${hostId}`, signal, (action) =>
      action === "oom" ? countKills() : engineChanged.set(),
    );

  /** Also at once when `wake` is set. A failure is logged once until it heals. */
  async function every(ms: number, name: string, job: () => Promise<void>, wake = createLatch()): Promise<void> {
    for (let isWell = true; !signal.aborted; await wake.next(ms, signal)) {
      try {
        await job();
        isWell = true;
      } catch (error) {
        if (signal.aborted) return;
        if (isWell) log.warn("loop.failed", { loop: name, error: messageOf(error) });
        isWell = false;
      }
    }
  }
  const retain = createRetention({ ...parts, heldRev: () => reports.heldRev(), closing: signal });
  await Promise.all([
    every(settings.BERTH_POLL_SECONDS * 1000, "sample", sample),
    every(1000, "streams", closeStreams),
    every(aheadMs, "ahead", () => runs.ahead.check()),
    every(Math.min(1000, idleMs / 4), "idle", async () => workspaces.removeIdle()),
    every(reconcileMs, "reconcile", lookAgain, engineChanged),
    every(Math.min(60_000, idleMs), "unmount", () => workspaces.unmountUnused()),
    every(60_000, "retention", async () => {
      while (!context.clock.isSure() && !signal.aborted) await sleep(1000, signal);
      await retain();
    }),
    every(1000, "engine events", watchEngine),
  ]);
}
