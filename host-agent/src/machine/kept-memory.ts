/**
 * Memory of a container that outlives the processes which took it: System V objects, message queues, files in its memory file
 * systems. Enters the container's IPC namespace alone, and follows no path that an agent has made. Knows nothing of the engine.
 */
import { opendir } from "node:fs/promises";
import type { Cgroup } from "./cgroup.ts";
import { MachineError } from "./machine-error.ts";
import { ifMissing } from "./missing.ts";
import { proveWithout } from "./processes.ts";
import { ProgramError, runProgram } from "./programs.ts";

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
  const all = directories.map((directory) => `/proc/${init.pid}/root${directory}`);
  const areFilled = await Promise.all(all.map(hasEntries));
  const filled = all.filter((_, at) => areFilled[at]);
  const remove = [...filled, "-xdev", "-mindepth", "1", "-uid", String(uid), "-delete"];
  await Promise.all([
    removeObjects(init.pid, uid),
    // What others have put there stays, with the directory that it is in.
    filled.length > 0 && runProgram("find", ...remove).catch(unlessSaid),
  ]);
}

/** In few programs: the end of each run is followed by this, and mostly there is nothing to free. */
async function removeObjects(initPid: number, uid: number): Promise<void> {
  const inside = (...command: string[]) => runProgram("nsenter", "-t", String(initPid), "-i", ...command);
  const find = () =>
    inside("awk", "-v", `uid=${uid}`, madeBy, ...["shm", "msg", "sem"].map((of) => `/proc/sysvipc/${of}`));
  for (let before = "", left = await find(); left !== ""; before = left, left = await find()) {
    if (left === before) throw new MachineError(`objects of IPC cannot be removed: ${left}`);
    // Somebody else may free the same.
    await inside("ipcrm", ...left.trim().split(" ")).catch(unlessSaid);
  }
}

/** By the creator's uid: the owner's is the agent's to change. The columns are those of proc(5), sysvipc. What a program says is short. */
const madeBy = `
FNR == 1 { kind++ }
FNR > 1 && $(kind == 3 ? 7 : 10) == uid && count++ < 100 { print "-" substr("mqs", kind, 1), $2 }`;

/** The first entry alone is read, and not on the event loop: an agent makes hundreds of thousands, or a large directory of none. */
export async function hasEntries(path: string): Promise<boolean> {
  const directory = await opendir(path, { bufferSize: 1 }).catch(ifMissing(null));
  try {
    return ((await directory?.read()) ?? null) !== null;
  } finally {
    await directory?.close();
  }
}

function unlessSaid(error: unknown): string {
  if (error instanceof ProgramError) return "";
  throw error;
}
