/**
 * What the kernel says of a container: its processes, its memory, CPU and process counts, its OOM kills; and the one way
 * to end a run's processes. Reads cgroup v1 and v2 through /proc/<init pid>/cgroup; knows nothing of the engine.
 */
import { readFileSync, readdirSync, statSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

/** PF_EXITING of the kernel's sched.h, in the flags of a process. */
const exitingFlag = 4;

/** Directories of a container's cgroup by what is read there; under v2 all are the same. */
export interface Cgroup {
  version: 1 | 2;
  memory: string;
  cpu: string;
  pids: string;
}
export interface Usage {
  /** Without page cache that the kernel can drop. */
  memoryBytes: number;
  cpuNs: number;
  pids: number;
}

/** Identifies a process beyond the reuse of its pid: the pid and its start time in clock ticks since boot. */
export interface ProcessId {
  pid: number;
  start: string;
}

/** The cgroup of the container whose init has this pid; null if that process is gone. */
export function findCgroup(initPid: number, root = "/sys/fs/cgroup"): Cgroup | null {
  const text = read(`/proc/${initPid}/cgroup`);
  if (text === null) return null;
  const paths = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    for (const controller of (controllers ?? "").split(",")) if (path !== undefined) paths.set(controller, path);
  }
  const memory = paths.get("memory");
  if (memory === undefined) {
    const unified = `${root}${paths.get("") ?? ""}`;
    return { version: 2, memory: unified, cpu: unified, pids: unified };
  }
  return {
    version: 1,
    memory: `${root}/memory${memory}`,
    cpu: `${root}/cpuacct${paths.get("cpuacct") ?? memory}`,
    pids: `${root}/pids${paths.get("pids") ?? memory}`,
  };
}

/** Present use; null if the container is gone. */
export function readUsage(cgroup: Cgroup): Usage | null {
  const v1 = cgroup.version === 1;
  const used = read(`${cgroup.memory}/${v1 ? "memory.usage_in_bytes" : "memory.current"}`);
  const stat = read(`${cgroup.memory}/memory.stat`);
  const cpu = read(v1 ? `${cgroup.cpu}/cpuacct.usage` : `${cgroup.cpu}/cpu.stat`);
  const pids = read(`${cgroup.pids}/pids.current`);
  if (used === null || stat === null || cpu === null || pids === null) return null;
  const inactive = field(stat, v1 ? "total_inactive_file" : "inactive_file");
  return {
    memoryBytes: Math.max(0, Number(used) - inactive),
    cpuNs: v1 ? Number(cpu) : field(cpu, "usage_usec") * 1000,
    pids: Number(pids),
  };
}

/** How many processes the kernel has killed here for want of memory; null if the container is gone. */
export function readOomKills(cgroup: Cgroup): number | null {
  const text = read(`${cgroup.memory}/${cgroup.version === 1 ? "memory.oom_control" : "memory.events"}`);
  return text === null ? null : field(text, "oom_kill");
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

/** The uids that have processes with this gid in the container. */
export function ownersOf(cgroup: Cgroup, gid: number): number[] {
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
    await delay(signal === "SIGKILL" ? 1 : 5);
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

/** Whether a process of `uid` in the network namespace of `initPid` listens on 127.0.0.1:`port`. */
export function isListening(initPid: number, port: number, uid: number): boolean {
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return (read(`/proc/${initPid}/net/tcp`) ?? "").split("\n").some((line) => {
    const columns = line.trim().split(/\s+/);
    return columns[1] === local && columns[3] === "0A" && Number(columns[7]) === uid;
  });
}

/** Whether `target` inside the container of `initPid` is the directory `source` of the host: same device, same inode. */
export function isSameDirectory(initPid: number, target: string, source: string): boolean {
  const inside = statSync(`/proc/${initPid}/root${target}`, { throwIfNoEntry: false });
  const outside = statSync(source, { throwIfNoEntry: false });
  return inside !== undefined && outside !== undefined && inside.dev === outside.dev && inside.ino === outside.ino;
}

/** Whether this machine's memory limits are read by cgroup v1 or v2; throws a sentence if by neither. */
export function checkCgroups(root = "/sys/fs/cgroup"): void {
  const entries = readdirSync(root);
  if (!entries.includes("memory") && !entries.includes("cgroup.controllers"))
    throw new Error(`${root} has no memory controller: mount cgroups before you start the host agent`);
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

const field = (text: string, name: string) => Number(new RegExp(`^${name} (\\d+)`, "m").exec(text)?.[1] ?? 0);

/** Null where the process or the container has gone meanwhile. */
function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (["ENOENT", "ESRCH", "ENODEV", "EACCES"].includes((error as NodeJS.ErrnoException).code ?? "")) return null;
    throw error;
  }
}
