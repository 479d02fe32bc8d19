/**
 * Memory of a container that outlives the processes which took it: System V objects, message queues, files in its memory file
 * systems. Enters the container's IPC namespace alone, and follows no path that an agent has made. Knows nothing of the engine.
 */
import type { Cgroup } from "./cgroup.ts";
import { proveWithout } from "./processes.ts";
import { runProgram } from "./programs.ts";

/** Where files are memory; `/tmp`, which is on the disk, is kept for the agent's next run. */
export const sharedMemory = ["/dev/shm", "/dev/mqueue"];
export const allMemory = [...sharedMemory, "/tmp"];

/** Frees what was made by this uid, in these directories too; nothing while any process of it lives. Throws where that cannot be told. */
export async function freeMemory(
  { init, cgroup }: { init: { pid: number }; cgroup: Cgroup },
  uid: number,
  directories: string[],
): Promise<void> {
  if (!(await proveWithout(cgroup, (owner) => owner.uid === uid))) return;
  await runProgram("sh", "-c", free, "sh", String(init.pid), String(uid), ...directories);
}

/** By the creator's uid: the owner's is the agent's to change. The columns are those of proc(5), sysvipc. */
const free = `pid=$1 uid=$2; shift 2
nsenter -t "$pid" -i sh -c '
  ids() { awk -v "uid=$0" -v "column=$2" -v "kind=$3" "NR > 1 && \\$column == uid { print kind, \\$2 }" "/proc/sysvipc/$1"; }
  { ids shm 10 -m; ids msg 10 -q; ids sem 7 -s; } | xargs -r ipcrm' "$uid" || exit
for dir; do find "/proc/$pid/root$dir" -xdev -mindepth 1 -uid "$uid" -delete; done 2>/dev/null || :`;
