/**
 * What the kernel says of a container: its memory, CPU and process counts, its OOM kills, its mounts. Reads cgroup v1 and
 * v2 through /proc/<init pid>/cgroup; knows nothing of the engine.
 */
import { readdirSync, statSync, writeFileSync } from "node:fs";
import { isThere } from "./missing.ts";
import { readProc as read } from "./proc.ts";

/** Directories of a container's cgroup by what is read there; under v2 all are the same. */
export interface Cgroup {
  version: 1 | 2;
  memory: string;
  cpu: string;
  pids: string;
  freezer: string;
}
export interface CgroupUsage {
  /** Without page cache that the kernel can drop. */
  memoryBytes: number;
  cpuNs: number;
  pids: number;
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
    return { version: 2, memory: unified, cpu: unified, pids: unified, freezer: unified };
  }
  return {
    version: 1,
    memory: `${root}/memory${memory}`,
    cpu: `${root}/cpuacct${paths.get("cpuacct") ?? memory}`,
    pids: `${root}/pids${paths.get("pids") ?? memory}`,
    freezer: `${root}/freezer${paths.get("freezer") ?? memory}`,
  };
}

/** Present use; null if the container is gone. */
export function readUsage(cgroup: Cgroup): CgroupUsage | null {
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

/** What is left of the limit once the kernel has dropped all page cache, as it does before it kills; null if the container is gone. */
export function readFreeBytes(cgroup: Cgroup, limitBytes: number): number | null {
  const usage = readUsage(cgroup);
  const stat = read(`${cgroup.memory}/memory.stat`);
  if (usage === null || stat === null) return null;
  return limitBytes - usage.memoryBytes + field(stat, cgroup.version === 1 ? "total_active_file" : "active_file");
}

/** How many processes the kernel has killed here for want of memory; null if the container is gone. */
export function readOomKills(cgroup: Cgroup): number | null {
  const text = read(`${cgroup.memory}/${cgroup.version === 1 ? "memory.oom_control" : "memory.events"}`);
  return text === null ? null : field(text, "oom_kill");
}

/**
 * Bounds what lies in the buffers of its TCP and UDP sockets. Under v2 that is counted as its memory; under v1 it is beside it, and one
 * container could take what the whole machine has for its sockets.
 */
export function boundSockets(cgroup: Cgroup, bytes: number): void {
  const path = `${cgroup.memory}/memory.kmem.tcp.limit_in_bytes`;
  // A kernel may be built without it.
  if (cgroup.version === 1 && isThere(path)) writeFileSync(path, String(bytes));
}

/**
 * Whether a process of `uid` in the network namespace of `initPid` listens on 127.0.0.1:`port`. The kernel goes through the table of
 * the whole machine for that, 5 ms and more: it is asked only where it counts any connection or listener of the namespace, which it
 * says at once.
 */
export function isListening(initPid: number, port: number, uid: number): boolean {
  if (/^TCP: inuse 0 /m.test(read(`/proc/${initPid}/net/sockstat`) ?? "")) return false;
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

const field = (text: string, name: string) => Number(new RegExp(`^${name} (\\d+)`, "m").exec(text)?.[1] ?? 0);
