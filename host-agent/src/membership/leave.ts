/** What a host does once its gateway has removed it: ends every run and container of its own, and keeps the files. */
import { join } from "node:path";
import { messageOf } from "@berth/shared/log";
import { sleep } from "@berth/shared/wait";
import type { Engine } from "../machine/engine.ts";
import { type HostContext } from "../context/context.ts";
import type { Runs } from "../run/runs.ts";

export interface LeaveDeps {
  context: HostContext;
  runs: Runs;
  engine: Engine;
  /** Ends the calls and streams that are open, and takes no more. */
  stop(): void;
}

const pauseMs = 1000;
const patienceMs = 20_000;

/** Answers what a person must know, in a sentence; tries again while the engine is away, until the signal ends it. */
export async function leave({ context, runs, engine, stop }: LeaveDeps, signal: AbortSignal): Promise<string> {
  context.log.error("host.removed", { hostId: context.hostId });
  stop();
  for (let isEnded = false; !isEnded && !signal.aborted;) {
    try {
      // What cannot be settled now nobody will settle any more: its container goes all the same.
      await Promise.race([runs.endAll("host_lost"), sleep(patienceMs, signal)]);
      for (const { id } of await engine.listContainers(`berth.host=${context.hostId}`))
        await engine.removeContainer(id);
      isEnded = true;
    } catch (error) {
      context.log.warn("leave.retry", { error: messageOf(error) });
      await sleep(pauseMs, signal);
    }
  }
  const { dataDir } = context;
  return `The gateway has removed this host: its runs and containers are ended, the files of its users are kept in ${join(dataDir, "volumes")}. To join anew, move ${join(dataDir, "host.json")} away and set BERTH_JOIN_TOKEN.`;
}
