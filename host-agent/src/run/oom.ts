/** Attributes the kernel's OOM kills to runs, each once, also those that came while the host agent was down. */
import { messageOf } from "@berth/shared/log";
import { bootId } from "../context/clock.ts";
import { type OomKill, openKillLog } from "../machine/kmsg.ts";
import type { HostContext } from "../context/context.ts";
import type { Store } from "../store/store.ts";

/** Reads new kills and counts each for the run in progress of the victim's agent; one that could not be stored is counted at the next look. */
export function createOomWatch(
  { log, bus }: Pick<HostContext, "log" | "bus">,
  store: Pick<Store, "getMeta" | "setMeta" | "countOomKill">,
  killLog: ReturnType<typeof openKillLog> = openKillLog(),
) {
  const boot = bootId();
  const [knownBoot, knownSequence] = (store.getMeta("kmsg") ?? "").split(" ");
  let known = knownBoot === boot ? Number(knownSequence) : null;
  /** Read, and not counted yet: the log answers nothing twice. */
  const left: OomKill[] = [];
  /** A new database must not count what happened before it; what comes from here on is its own, whoever is there to read it. */
  function begin(kills: OomKill[]): number {
    const sequence = kills.at(-1)?.sequence ?? -1;
    store.setMeta("kmsg", `${boot} ${sequence}`);
    kills.length = 0;
    return sequence;
  }
  function countKills(): void {
    const kills = killLog.read();
    if (kills === null) return;
    left.push(...kills);
    known ??= begin(left);
    for (let kill = left[0]; kill; kill = left[0]) {
      const { sequence, uid, cgroup } = kill;
      const run = sequence <= known ? null : store.countOomKill(uid, cgroup, `${boot} ${sequence}`);
      known = Math.max(known, sequence);
      left.shift();
      if (!run) continue;
      log.warn("oom.kill", { runId: run.id, userId: run.userId, uid });
      bus.emitRun(run);
    }
  }
  /** Notes where the log stands, unless that is known: kills of before count for nobody. */
  function beginKills(): void {
    if (known === null) countKills();
  }
  try {
    beginKills();
  } catch (error) {
    log.warn("oom.unread", { error: messageOf(error) });
  }
  return { countKills, beginKills, close: killLog.close };
}
