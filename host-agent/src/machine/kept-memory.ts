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
  const outside = directories.map((directory) => `/proc/${init.pid}/root${directory}`);
  await runProgram("sh", "-c", free, "sh", String(init.pid), String(uid), ...outside);
}

/**
 * By the creator's uid: the owner's is the agent's to change. The columns are those of proc(5), sysvipc. In few programs: the end of
 * each run waits for them, and mostly there is nothing to free.
 */
const free = `pid=$1 uid=$2; shift 2
find "$@" -xdev -mindepth 1 -uid "$uid" -delete 2>/dev/null &
kept() {
  nsenter -t "$pid" -i awk -v "uid=$uid" '
    FNR == 1 { kind++ }
    FNR > 1 && $(kind == 3 ? 7 : 10) == uid { print "-" substr("mqs", kind, 1), $2 }' /proc/sysvipc/shm /proc/sysvipc/msg /proc/sysvipc/sem
}
left=$(kept) || exit
# Somebody else may free the same.
[ -z "$left" ] || nsenter -t "$pid" -i ipcrm $left || [ -z "$(kept)" ] || exit 1
wait`;
