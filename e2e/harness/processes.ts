/** Processes of this machine as the kernel tells of them, and those of an engine of tests. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** The pids of processes whose command line has this text in it. */
export const processesWith = (text: string) => pidsOf((pid) => commandOf(pid).includes(text));

/** Those that have a directory of tests in their command line, or live in it by their environment. */
export function processesOf(dir: string): number[] {
  const settings = [`HOME=${dir}`, `BERTH_DATA_DIR=${dir}`];
  const livesThere = (pid: number) =>
    readOf(pid, "environ")
      .split("\0")
      .some((one) => settings.includes(one));
  return pidsOf((pid) => commandOf(pid).includes(dir) || livesThere(pid));
}

function pidsOf(isOne: (pid: number) => boolean): number[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => pid !== process.pid && isOne(pid));
}

/** The engine's own processes beside the containers of the engine that lives in `dir`. */
export const shimsOf = (dir: string) => processesWith(`-address ${dir}/`).filter(isAlive);

/** All processes in the control groups of a machine's containers, each once. */
export function pidsIn(namespace: string): number[] {
  const found = groupsOf(namespace).flatMap((group) =>
    spawnSync("find", [group, "-name", "cgroup.procs", "-exec", "cat", "{}", "+"], { encoding: "utf8" })
      .stdout.split("\n")
      .filter(Boolean)
      .map(Number),
  );
  return [...new Set(found)];
}

/** The control groups of a machine's containers, under cgroup v1 one for each controller. */
export function groupsOf(namespace: string): string[] {
  const root = "/sys/fs/cgroup";
  return [join(root, namespace), ...readdirSync(root).map((controller) => join(root, controller, namespace))].filter(
    (group) => existsSync(group),
  );
}

/** A zombie is gone: whoever started it reaps it in time. */
export function isAlive(pid: number): boolean {
  return pid > 0 && !["", "Z", "X"].includes(statOf(pid)[0] ?? "");
}

function statOf(pid: number): string[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return [];
  }
}

export function uidOf(pid: number): number {
  try {
    return Number(/^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? -1);
  } catch {
    return -1;
  }
}

export const commandOf = (pid: number) => readOf(pid, "cmdline").replaceAll("\0", " ");

/** Nothing of one that has gone. */
function readOf(pid: number, name: "cmdline" | "environ"): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "utf8");
  } catch {
    return "";
  }
}
