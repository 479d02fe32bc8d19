/** Attributes the kernel's OOM kills to runs, each once, also those that came while the host agent was down. */
import { readFileSync } from "node:fs";
import { readOomKillsSince } from "../machine/kmsg.ts";
import type { HostContext } from "../context/context.ts";
import type { Store } from "../store/store.ts";

/** Reads new kills and counts each for the run in progress of the victim's agent. */
export function createOomWatch({ log, bus }: HostContext, store: Store) {
  const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  const [knownBoot, knownSequence] = (store.getMeta("kmsg") ?? "").split(" ");
  // A new database must not count what happened before it: it begins at the end of the buffer.
  let sequence = knownBoot === boot ? Number(knownSequence) : (readOomKillsSince(-1).at(-1)?.sequence ?? -1);
  return function countKills(): void {
    for (const kill of readOomKillsSince(sequence)) {
      sequence = kill.sequence;
      store.setMeta("kmsg", `${boot} ${sequence}`);
      const run = store.countOomKill(kill.uid, kill.cgroup);
      if (!run) continue;
      log.warn("oom.kill", { runId: run.id, userId: run.userId, uid: kill.uid });
      bus.emit(`run:${run.id}`, `user:${run.userId}`, "host");
    }
  };
}
