/** Processes of a container as the kernel lists them, and the one way to end them. Knows nothing of the engine. */
import { readdirSync, writeFileSync } from "node:fs";
import { sleep } from "@berth/shared/wait";
import { type Cgroup, findCgroup } from "./cgroup.ts";
import { whileFrozen } from "./freezer.ts";
import { MachineError } from "./machine-error.ts";
import { unlessCode } from "./missing.ts";
import { readProc as read, readProcInto } from "./proc.ts";

/** PF_EXITING of the kernel's sched.h, in the flags of a process. */
const exitingFlag = 4;

/** Identifies a process beyond the reuse of its pid: the pid and its start time in clock ticks since boot. */
export interface ProcessId {
  pid: number;
  start: string;
}

/** Whose a process is: its real uid and gid, which no agent can change. */
export interface Owner {
  uid: number;
  gid: number;
}
/** Which processes of a container are meant. */
export type Which = (owner: Owner, pid: number) => boolean;

/** Host pids of the container's processes; of some of them, beside a look at one that moves on. */
export function processesOf(cgroup: Cgroup, which: Which): number[] {
  const list = read(`${cgroup.pids}/cgroup.procs`) ?? "";
  return list
    .split("\n")
    .filter(Boolean)
    .map(Number)
    .filter((pid) => {
      const owner = ownerOf(pid);
      return owner !== null && which(owner, pid);
    });
}

/** Whether there is provably no such process; false also where that cannot be told now. */
export function isWithout(cgroup: Cgroup, which: Which): boolean {
  for (let attempt = 0; attempt < 3; attempt++) {
    const { pids, isWhole } = list(cgroup, which);
    if (pids.length > 0 || isWhole) return pids.length === 0;
  }
  return false;
}

/** Between two looks at processes: each reads all of the container, and an agent makes as many as it may. */
const looksMs = 900;

/** A fact of processes, as that there are some, which once false stays so: for who asks again and again. It is looked at again only after a while. */
export function lookSeldom(look: () => boolean): () => boolean {
  let isSo = true;
  let lookedAt = -Infinity;
  return () => {
    if (!isSo || performance.now() - lookedAt < looksMs) return isSo;
    lookedAt = performance.now();
    isSo = look();
    return isSo;
  };
}

/** The same as `isWithout` for who can wait: where lists prove nothing, for others on the machine fork, the container is frozen. Throws where that fails too. */
export async function proveWithout(cgroup: Cgroup, which: Which): Promise<boolean> {
  for (let attempt = 0; attempt < mostMoves; attempt++) {
    const { pids, isWhole } = list(cgroup, which);
    if (pids.length > 0 || isWhole) return pids.length === 0;
    await sleep(1);
  }
  const isEmpty = await whileFrozen(cgroup, () => processesOf(cgroup, which).length === 0);
  if (isEmpty === null)
    throw new MachineError("nobody can tell whether processes are left: the container cannot be frozen");
  return isEmpty;
}

/**
 * Ends these processes of the container, however they fork: `first` (TERM if nothing else is said), then KILL after `graceMs`,
 * again and again until there is provably none. Who escapes a list by leaving his pid to a child is killed in a frozen
 * container. Throws if some are left after 20 s of that.
 */
export async function endProcesses(
  cgroup: Cgroup,
  which: Which,
  graceMs: number,
  first: NodeJS.Signals = "SIGTERM",
): Promise<void> {
  const startedAt = performance.now();
  const elapsed = () => performance.now() - startedAt;
  let known: number[] | null = null;
  for (let moves = 0; elapsed() < graceMs + patienceMs;) {
    const { pids, isWhole } = list(cgroup, which);
    if (pids.length === 0 && isWhole) return;
    const isKill = elapsed() >= graceMs;
    if (isKill || known === null) for (const pid of pids) send(pid, isKill ? "SIGKILL" : first);
    // Nobody, and perhaps somebody; or somebody who was not there when the others were killed.
    const isMove = pids.length === 0 || (isKill && known !== null && pids.some((pid) => !known!.includes(pid)));
    if (isMove && ++moves > mostMoves && (await endFrozen(cgroup, which))) return;
    known = pids;
    // Mostly it is the wrapper of a run, which has said its code and goes.
    await sleep(isKill || elapsed() < 20 ? 1 : 5);
  }
  throw new UnendedError(`processes survive SIGKILL for ${patienceMs / 1000} s`);
}

/** Processes that cannot be ended. */
export class UnendedError extends MachineError {}

const patienceMs = 20_000;
/** How often somebody may come new, or a list may be no proof, before the container is frozen. */
const mostMoves = 3;

/** Kills them in the frozen container: none of them forks again. True once all are gone, which proves that there is none. */
async function endFrozen(cgroup: Cgroup, which: Which): Promise<boolean> {
  const killed = await whileFrozen(cgroup, () => {
    const pids = processesOf(cgroup, which);
    for (const pid of pids) send(pid, "SIGKILL");
    return pids.flatMap((pid) => identify(pid) ?? []);
  });
  if (killed === null) return false;
  const deadline = performance.now() + patienceMs / 4;
  while (killed.some(isAlive) && performance.now() < deadline) await sleep(1);
  return !killed.some(isAlive);
}

/** Lists them, and whether that is all: if no pid was given meanwhile on this machine, nothing has escaped by a fork. */
function list(cgroup: Cgroup, which: Which): { pids: number[]; isWhole: boolean } {
  const before = lastPid();
  const pids = processesOf(cgroup, which);
  return { pids, isWhole: before !== null && lastPid() === before };
}

/** The pid that the kernel gave last, to a process or a thread, in whatever container (proc(5), loadavg). */
const lastPid = () => read("/proc/loadavg")?.trim().split(" ")[4] ?? null;

const statusLines = /^State:\s+(\w)[^]*?^Uid:\s+(\d+)[^]*?^Gid:\s+(\d+)[^]*?^Threads:\s+(\d+)/m;

/** Null for a process that is gone; one whose first thread has ended lives on in the others. */
function ownerOf(pid: number): Owner | null {
  const status = read(`/proc/${pid}/status`) ?? "";
  const [, state, uid, gid, threads] = statusLines.exec(status) ?? [];
  if (state === undefined || (/[ZX]/.test(state) && !(Number(threads) > 1))) return null;
  return { uid: Number(uid), gid: Number(gid) };
}

/** Ends what `find` finds and cannot fork. Throws if some are left after 10 s. */
async function endAll(find: () => number[], graceMs: number): Promise<void> {
  const startedAt = performance.now();
  for (let round = 0, pids = find(); pids.length > 0; pids = find(), round++) {
    const elapsed = performance.now() - startedAt;
    if (elapsed > graceMs + 10_000) throw new UnendedError(`${pids.length} processes survive SIGKILL`);
    if (round === 0 || elapsed >= graceMs) for (const pid of pids) send(pid, elapsed < graceMs ? "SIGTERM" : "SIGKILL");
    await sleep(5);
  }
}

/**
 * Ends the processes of a container that no longer exists, by its id: its init, which may wait for a start that never comes,
 * and the engine's own process beside it (`containerd-shim … -id ID …`).
 */
export async function endForgotten(containerId: string): Promise<void> {
  // A part of an id is a part of others, and nothing is a part of all.
  if (!/^[0-9a-f]{64}$/.test(containerId)) return;
  const beginning = Buffer.alloc(4096);
  const isOf = (pid: string) =>
    (read(`/proc/${pid}/cgroup`) ?? "").includes(containerId) ||
    (readProcInto(`/proc/${pid}/cmdline`, beginning)?.includes(`\0-id\0${containerId}\0`) ?? false);
  // Looked for once: reading all of /proc again and again would hold up everything else here.
  const forgotten = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && isOf(name))
    .flatMap((pid) => identify(Number(pid)) ?? []);
  const inside = forgotten.find(({ pid }) => (read(`/proc/${pid}/cgroup`) ?? "").includes(containerId));
  const cgroup = inside && findCgroup(inside.pid);
  if (cgroup?.pids.includes(containerId)) await endProcesses(cgroup, () => true, 2000);
  await endAll(() => forgotten.filter(isAlive).map(({ pid }) => pid), 2000);
}

/** More than an agent's environment has; a program may give itself megabytes, and hundreds of processes. */
const environment = Buffer.alloc(256 * 1024);

/**
 * Whether a process was started with this line in its environment, or descends from one that was and kept it. What it has beyond a
 * bound is not looked at.
 */
export function hasVariable(pid: number, line: string): boolean {
  const text = readProcInto(`/proc/${pid}/environ`, environment);
  if (text === null) return false;
  const [sought, end] = [Buffer.from(`\0${line}\0`), Buffer.from(`${line}\0`)];
  return text.includes(sought) || text.subarray(0, end.length).equals(end);
}

/** The session of a process (setsid(2)); null if it is gone. */
export function sessionOf(pid: number): number | null {
  const fields = statOf(pid);
  return fields && Number(fields[3]);
}

/** The process now behind a pid; null if there is none. */
export function identify(pid: number): ProcessId | null {
  const fields = statOf(pid);
  const isGone = fields === null || (/[ZX]/.test(fields[0]!) && !(Number(fields[17]) > 1));
  return isGone ? null : { pid, start: fields[19]! };
}

/** Whether that very process still lives. */
export const isAlive = (process: ProcessId) => identify(process.pid)?.start === process.start;

/** Whether it is gone or goes: the init of a container that ends is there until all of its container has been reaped. */
export function isEnding(process: ProcessId): boolean {
  const flags = Number(statOf(process.pid)?.[6]);
  return !isAlive(process) || (flags & exitingFlag) !== 0;
}

/** A process that is gone is fine; so is one whose score a machine without CAP_SYS_RESOURCE does not let go down. */
export function setOomScore(pid: number, score: number): void {
  const write = () => writeFileSync(`/proc/${pid}/oom_score_adj`, String(score));
  unlessCode(undefined, write, "ENOENT", "ESRCH", "EACCES");
}

function send(pid: number, signal: NodeJS.Signals): void {
  unlessCode(undefined, () => process.kill(pid, signal), "ESRCH");
}

/** What follows the name in proc(5)'s stat: state, parent, group, session, …; null if there is no such process. */
function statOf(pid: number): string[] | null {
  const stat = pid > 0 ? read(`/proc/${pid}/stat`) : null;
  return stat === null ? null : stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}
