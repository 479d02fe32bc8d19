/** Processes of a container as the kernel lists them, and the one way to end those of a run. Knows nothing of the engine. */
import { readdirSync } from "node:fs";
import { sleep } from "@berth/shared/wait";
import type { Cgroup } from "./cgroup.ts";
import { readProc as read } from "./proc.ts";

/** PF_EXITING of the kernel's sched.h, in the flags of a process. */
const exitingFlag = 4;

/** Identifies a process beyond the reuse of its pid: the pid and its start time in clock ticks since boot. */
export interface ProcessId {
  pid: number;
  start: string;
}

/** Host pids of the container's processes with this uid and this gid, as far as given. */
export function processesOf(cgroup: Cgroup, uid?: number, gid?: number): number[] {
  const list = read(`${cgroup.pids}/cgroup.procs`) ?? "";
  return list
    .split("\n")
    .filter(Boolean)
    .map(Number)
    .filter((pid) => {
      const status = read(`/proc/${pid}/status`);
      if (status === null || /^State:\s+[ZX]/m.test(status)) return false;
      const uids = /^Uid:\s+(\d+)/m.exec(status)?.[1];
      const gids = /^Gid:\s+(\d+)/m.exec(status)?.[1];
      return (uid === undefined || Number(uids) === uid) && (gid === undefined || Number(gids) === gid);
    });
}

/** The uids that have processes in the container, with this gid as far as given. */
export function ownersOf(cgroup: Cgroup, gid?: number): number[] {
  const uids = processesOf(cgroup, undefined, gid).map(
    (pid) => /^Uid:\s+(\d+)/m.exec(read(`/proc/${pid}/status`) ?? "")?.[1],
  );
  return [...new Set(uids.filter((uid) => uid !== undefined).map(Number))];
}

/**
 * Ends every process of (uid, gid) in the container, however it forked: TERM first, then KILL after `graceMs`, again and
 * again until none is left. Throws if some are left after 10 s.
 */
export function endProcesses(
  cgroup: Cgroup,
  uid: number | undefined,
  gid: number | undefined,
  graceMs: number,
): Promise<void> {
  return endAll(() => processesOf(cgroup, uid, gid), "SIGTERM", graceMs);
}

/** Ends whatever `find` finds, as `endProcesses` does, with another first signal. */
export async function endAll(find: () => number[], first: NodeJS.Signals, graceMs: number): Promise<void> {
  const startedAt = performance.now();
  let signal: NodeJS.Signals = graceMs > 0 ? first : "SIGKILL";
  let pids = find();
  for (let round = 0; pids.length > 0; round++) {
    const elapsed = performance.now() - startedAt;
    if (elapsed > graceMs + 10_000) throw new Error(`${pids.length} processes survive SIGKILL`);
    if (elapsed >= graceMs) signal = "SIGKILL";
    if (signal === "SIGKILL" || round === 0) for (const pid of pids) send(pid, signal);
    await sleep(signal === "SIGKILL" ? 1 : 5);
    pids = find();
  }
}

/**
 * Ends the processes of a container that no longer exists, by its id: its init, which may wait for a start that never comes,
 * and the engine's own process beside it (`containerd-shim … -id ID …`).
 */
export async function endForgotten(containerId: string): Promise<void> {
  // A part of an id is a part of others, and nothing is a part of all.
  if (!/^[0-9a-f]{64}$/.test(containerId)) return;
  const isOf = (pid: string) =>
    (read(`/proc/${pid}/cgroup`) ?? "").includes(containerId) ||
    (read(`/proc/${pid}/cmdline`) ?? "").includes(`\0-id\0${containerId}\0`);
  // Looked for once: reading all of /proc again and again would hold up everything else here.
  const forgotten = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && isOf(name))
    .flatMap((pid) => identify(Number(pid)) ?? []);
  await endAll(() => forgotten.filter(isAlive).map(({ pid }) => pid), "SIGTERM", 2000);
}

/** Whether a process was started with this line in its environment, or descends from one that was and kept it. */
export const hasVariable = (pid: number, line: string) =>
  (read(`/proc/${pid}/environ`) ?? "").split("\0").includes(line);

/** The session of a process (setsid(2)); null if it is gone. */
export function sessionOf(pid: number): number | null {
  const fields = statOf(pid);
  return fields && Number(fields[3]);
}

/** The process now behind a pid; null if there is none. */
export function identify(pid: number): ProcessId | null {
  const fields = statOf(pid);
  return fields && fields[0] !== "Z" && fields[0] !== "X" ? { pid, start: fields[19]! } : null;
}

/** Whether that very process still lives. */
export const isAlive = (process: ProcessId) => identify(process.pid)?.start === process.start;

/** Whether it is gone or goes: the init of a container that ends is there until all of its container has been reaped. */
export function isEnding(process: ProcessId): boolean {
  const flags = Number(statOf(process.pid)?.[6]);
  return !isAlive(process) || (flags & exitingFlag) !== 0;
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** What follows the name in proc(5)'s stat: state, parent, group, session, …; null if there is no such process. */
function statOf(pid: number): string[] | null {
  const stat = pid > 0 ? read(`/proc/${pid}/stat`) : null;
  return stat === null ? null : stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}
