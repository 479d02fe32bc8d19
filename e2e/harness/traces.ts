/** What test runs leave: theirs is removed when they end, and what killed ones left before the next ones begin. */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Docker from "dockerode";
import { until } from "../../gateway/test/wait.ts";
import { isAlive, processesOf } from "./processes.ts";

const engine = new Docker();
/** Directories of test runs, which name their owner in a file; private engines have one of their own. */
export const berthPrefix = "berth-e2e-";
const enginePrefix = "berth-engine-";
/** Of single tests, by `makeOwnDirectory` (shared/node): its owner is in its name. */
const ofOneTest = /^berth-test-(\d+)-/;

/** Removes what test runs left that were killed. */
export async function sweep(): Promise<void> {
  for (const name of readdirSync(tmpdir())) {
    const dir = join(tmpdir(), name);
    const isOfARun = name.startsWith(berthPrefix) || name.startsWith(enginePrefix);
    const owner = isOfARun ? readOr(join(dir, "owner"), "0") : ofOneTest.exec(name)?.[1];
    if (owner === undefined || isAlive(Number(owner))) continue;
    const daemon = Number(readOr(join(dir, "pid"), "0"));
    await endAll([...(isAlive(daemon) ? [daemon] : []), ...processesOf(dir)]);
    await removeTraces(dir);
  }
}

/** Processes first, then containers, mounts and files: each holds the next. */
export async function removeTraces(dir: string): Promise<void> {
  await endAll(processesOf(dir));
  const identity = readOr(join(dir, "host", "host.json"), "");
  if (identity) {
    const { hostId } = JSON.parse(identity) as { hostId: string };
    for (const label of [`berth.host=${hostId}`, `berth.bare=${hostId}`]) await removeContainers(label);
  }
  unmountBelow(dir);
  const mountPoints = join(dir, "host", "mnt");
  if (existsSync(mountPoints)) execFileSync("chattr", ["-R", "-i", mountPoints]);
  rmSync(dir, { recursive: true, force: true });
}

async function endAll(pids: number[]): Promise<void> {
  for (const pid of pids.filter(isAlive)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
  await until(() => !pids.some(isAlive), `${pids.join(", ")} are gone`);
}

async function removeContainers(label: string): Promise<void> {
  const left = await engine.listContainers({ all: true, filters: { label: [label] } });
  const remove = ({ Id }: { Id: string }) => engine.getContainer(Id).remove({ force: true, v: true });
  await Promise.all(left.map((one) => remove(one).catch(() => undefined)));
}

/** Unmounts a directory and whatever is mounted below it, or what has this name there. */
export function unmountBelow(dir: string, name = ""): void {
  const mounts = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "");
  const isOurs = (mount: string) => mount.startsWith(`${dir}/${name}`) || (name === "" && mount === dir);
  for (const path of mounts.filter(isOurs).toReversed()) execFileSync("umount", ["-l", path]);
}

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return otherwise;
  }
}
