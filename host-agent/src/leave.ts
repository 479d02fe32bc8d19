/** What a host does once its gateway has removed it: ends every run and container of its own, and keeps the files. */
import { join } from "node:path";
import { messageOf } from "@berth/shared/log";
import { createLatch, type HostContext } from "./host.ts";
import type { Runs } from "./run.ts";
import type { Store } from "./store.ts";
import type { Workspaces } from "./workspace.ts";

export interface LeaveDeps {
  context: HostContext;
  store: Store;
  runs: Runs;
  workspaces: Workspaces;
  /** Ends the calls and streams that are open, and takes no more. */
  stop(): void;
}

const pauseMs = 1000;

/** Answers what a person must know, in a sentence; tries again while the engine is away, until the signal ends it. */
export async function leave(
  { context, store, runs, workspaces, stop }: LeaveDeps,
  signal: AbortSignal,
): Promise<string> {
  context.log.error("host.removed", { hostId: context.hostId });
  stop();
  for (let isEnded = false; !isEnded && !signal.aborted;) {
    try {
      await runs.endAll("host_lost");
      const left = workspaces
        .views()
        .filter(({ userId, containerId }) => containerId !== null || store.countActive(userId) > 0);
      for (const { userId } of left) await workspaces.stop(userId, () => runs.endAll("host_lost", userId));
      isEnded = true;
    } catch (error) {
      context.log.warn("leave.retry", { error: messageOf(error) });
      await createLatch().next(pauseMs, signal);
    }
  }
  const { dataDir } = context;
  return `The gateway has removed this host: its runs and containers are ended, the files of its users are kept in ${join(dataDir, "volumes")}. To join anew, move ${join(dataDir, "host.json")} away and set BERTH_JOIN_TOKEN.`;
}
