/** Attributes the kernel's OOM kills to runs, each once, also those that came while the host agent was down. */
import { bootId } from "../context/clock.ts";
import { openKillLog } from "../machine/kmsg.ts";
import type { HostContext } from "../context/context.ts";
import type { Store } from "../store/store.ts";

/** Reads new kills and counts each for the run in progress of the victim's agent. */
export function createOomWatch({ log, bus }: HostContext, store: Store) {
  const boot = bootId();
  const [knownBoot, knownSequence] = (store.getMeta("kmsg") ?? "").split(" ");
  const killLog = openKillLog();
  // A new database must not count what happened before it.
  let known = knownBoot === boot ? Number(knownSequence) : (killLog.read().at(-1)?.sequence ?? -1);
  function countKills(): void {
    for (const kill of killLog.read()) {
      if (kill.sequence <= known) continue;
      known = kill.sequence;
      store.setMeta("kmsg", `${boot} ${known}`);
      const run = store.countOomKill(kill.uid, kill.cgroup);
      if (!run) continue;
      log.warn("oom.kill", { runId: run.id, userId: run.userId, uid: kill.uid });
      bus.emitRun(run);
    }
  }
  return { countKills, close: killLog.close };
}
