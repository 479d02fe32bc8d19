/**
 * Machines for tests: Docker engines of their own, each in a network namespace whose link can be cut, on a small disk if
 * need be. A machine can be killed whole and started again. `close` and `sweepMachines` remove every trace.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import Docker from "dockerode";
import { until } from "../../gateway/test/wait.ts";
import { unmountBelow } from "../harness/traces.ts";
import { copyImageStore } from "./private-engine.ts";
import { commandOf, groupsOf, isAlive, pidsIn, processesWith, shimsOf, uidOf } from "../harness/processes.ts";

export interface Machine {
  /** For names and directories: `h1`, `h2`, … */
  name: string;
  address: string;
  /** Of its network, and of its containers' control groups. */
  namespace: string;
  /** Where its host agent keeps its data. */
  dataDir: string;
  docker: Docker;
  dockerHost: string;
  /** Program and arguments that run another program inside the machine's network. */
  inside: string[];
  cut(): void;
  heal(): void;
  startEngine(liveRestore?: boolean): Promise<void>;
  /** Ends the daemon; its containers go on when it was started with live-restore. */
  endEngine(signal: NodeJS.Signals): Promise<void>;
  /** Stops the daemon where it stands (SIGSTOP), or lets it go on (SIGCONT). */
  signalEngine(signal: "SIGSTOP" | "SIGCONT"): void;
  /** The same of its containerd, which can be killed too: the daemon starts another one. */
  signalContainerd(signal: "SIGSTOP" | "SIGCONT" | "SIGKILL"): void;
  enginePid(): number;
  /** 0 while it has none. */
  containerdPid(): number;
  /** The power goes: daemon and containers are gone at once. */
  kill(): Promise<void>;
  /** What a boot takes away from a machine that was killed: its mounts of volumes, and all that it had in /run. */
  forgetBoot(): void;
  /** Resets every connection of the machine; answers how many there were. */
  resetConnections(): number;
  /** What runs in its containers now. */
  processes(): { uid: number; command: string }[];
  /** The engine's own processes beside its containers: one each. */
  shims(): number[];
}
export interface Machines {
  dir: string;
  /** The address at which the machines reach this one. */
  gatewayAddress: string;
  all: Machine[];
  close(): Promise<void>;
}

const prefix = "berth-machines-";

/** Starts `count` machines that have the image; `diskBytes` is the size of each one's data disk, with none it is this machine's. */
export async function startMachines(count: number, image: string, diskBytes?: number): Promise<Machines> {
  const dir = mkdtempSync(join(tmpdir(), prefix));
  writeFileSync(join(dir, "owner"), String(process.pid));
  const tag = `bf${(process.pid % 46_656).toString(36)}`;
  const subnet = `10.${100 + (process.pid % 100)}.${(process.pid >> 3) % 250}`;
  writeFileSync(join(dir, "links"), tag);
  try {
    ip("link", "add", `${tag}-br`, "type", "bridge");
    ip("addr", "add", `${subnet}.1/24`, "dev", `${tag}-br`);
    ip("link", "set", `${tag}-br`, "up");
    const all = Array.from({ length: count }, (_, at) => addMachine(dir, tag, subnet, at + 1, diskBytes));
    for (const { dataDir } of all) await copyImageStore(image, join(dataDir, "..", "data"));
    await Promise.all(all.map((machine) => machine.startEngine()));
    return { dir, gatewayAddress: `${subnet}.1`, all, close: () => removeMachines(dir) };
  } catch (error) {
    await removeMachines(dir);
    throw error;
  }
}

/** Removes what test runs left that were killed. */
export async function sweepMachines(): Promise<void> {
  for (const name of readdirSync(tmpdir()).filter((entry) => entry.startsWith(prefix))) {
    const dir = join(tmpdir(), name);
    const owner = existsSync(join(dir, "owner")) ? readFileSync(join(dir, "owner"), "utf8") : "0";
    if (!existsSync(`/proc/${owner}`)) await removeMachines(dir);
  }
}

/** A file system of its own in a file, mounted at `path`. */
export function mountDisk(path: string, bytes: number): void {
  mkdirSync(path, { recursive: true });
  execFileSync("truncate", ["-s", String(bytes), `${path}.disk`]);
  execFileSync("mkfs.ext4", ["-q", "-F", "-m", "0", `${path}.disk`]);
  execFileSync("mount", ["-o", "loop", `${path}.disk`, path]);
}

function addMachine(dir: string, tag: string, subnet: string, at: number, diskBytes: number | undefined): Machine {
  const name = `h${at}`;
  const own = join(dir, name);
  const [namespace, link] = [`${tag}-${name}`, `${tag}-v${at}`];
  mkdirSync(own);
  const dataDir = join(own, "berth");
  if (diskBytes === undefined) mkdirSync(dataDir);
  else mountDisk(dataDir, diskBytes);
  ip("netns", "add", namespace);
  ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", namespace);
  ip("link", "set", link, "master", `${tag}-br`, "up");
  ip("-n", namespace, "link", "set", "lo", "up");
  ip("-n", namespace, "addr", "add", `${subnet}.${10 + at}/24`, "dev", "eth0");
  ip("-n", namespace, "link", "set", "eth0", "up");
  // Flags alone say how it is: one that the machine's configuration names too would be refused.
  const configFile = join(own, "daemon.json");
  writeFileSync(configFile, "{}");
  const socketPath = join(own, "docker.sock");
  const docker = new Docker({ socketPath });
  // nsenter, for `ip netns exec` mounts /sys anew and hides the cgroups.
  const inside = ["nsenter", `--net=/var/run/netns/${namespace}`];
  const pidFile = join(own, "docker.pid");
  const containerdPidFile = join(own, "exec/containerd/containerd.pid");
  const containerd = () => readPid(containerdPidFile);
  // A daemon takes a zombie of that number for its containerd.
  const forget = () => [pidFile, containerdPidFile].forEach((file) => rmSync(file, { force: true }));
  return {
    name,
    address: `${subnet}.${10 + at}`,
    namespace,
    dataDir,
    docker,
    dockerHost: `unix://${socketPath}`,
    inside,
    cut: () => ip("link", "set", link, "down"),
    heal: () => ip("link", "set", link, "up"),
    async startEngine(liveRestore = true) {
      const log = openSync(join(own, "dockerd.log"), "a");
      const flags = [
        "--config-file",
        configFile,
        "--data-root",
        join(own, "data"),
        "--exec-root",
        join(own, "exec"),
        "--pidfile",
        pidFile,
        "-H",
        `unix://${socketPath}`,
      ];
      const shape = ["--bridge", "none", "--iptables=false", "--ip6tables=false", "--cgroup-parent", `/${namespace}`];
      const child = spawn(
        inside[0]!,
        [inside[1]!, "dockerd", ...flags, ...shape, ...(liveRestore ? ["--live-restore"] : [])],
        { stdio: ["ignore", log, log], detached: true },
      );
      child.unref();
      closeSync(log);
      await until(
        () =>
          docker.ping().then(
            () => true,
            () => false,
          ),
        `the engine of ${name} answers`,
      ).catch((error: Error) => {
        throw new Error(`${error.message}: ${readFileSync(join(own, "dockerd.log"), "utf8").slice(-2000)}`);
      });
    },
    async endEngine(signal) {
      await end([readPid(pidFile)], signal);
      // A killed daemon takes its containerd along, a moment later.
      await until(() => !isAlive(containerd()), "its containerd is gone", 5000).catch(() =>
        end([containerd()], "SIGKILL"),
      );
      forget();
    },
    signalEngine: (signal) => void process.kill(readPid(pidFile), signal),
    signalContainerd: (signal) => void process.kill(containerd(), signal),
    enginePid: () => readPid(pidFile),
    containerdPid: () => (isAlive(containerd()) ? containerd() : 0),
    forgetBoot() {
      unmountBelow(join(dataDir, "mnt"));
      unmountBelow(join(own, "exec"));
      unmountBelow(join(own, "data"));
      rmSync(join(own, "exec"), { recursive: true, force: true });
    },
    async kill() {
      await end([readPid(pidFile), containerd()], "SIGKILL");
      await killContainers(own, namespace);
      forget();
    },
    resetConnections: () =>
      spawnSync(inside[0]!, [inside[1]!, "ss", "-HKtn", "state", "established"], { encoding: "utf8" })
        .stdout.split("\n")
        .filter(Boolean).length,
    shims: () => shimsOf(own),
    processes: () =>
      pidsIn(namespace)
        .filter(isAlive)
        .map((pid) => ({ uid: uidOf(pid), command: commandOf(pid) })),
  };
}

/** Shims, and all that runs in the machine's containers. */
async function killContainers(dir: string, namespace: string): Promise<void> {
  await end([...shimsOf(dir), ...pidsIn(namespace)], "SIGKILL");
  await until(() => !pidsIn(namespace).some(isAlive), "the containers are gone");
}

async function removeMachines(dir: string): Promise<void> {
  await end(processesWith(dir), "SIGKILL");
  const tag = existsSync(join(dir, "links")) ? readFileSync(join(dir, "links"), "utf8") : "";
  for (const machine of tag ? readdirSync(dir).filter((name) => /^h\d+$/.test(name)) : []) {
    const name = `${tag}-${machine}`;
    await killContainers(join(dir, machine), name);
    if (existsSync(`/var/run/netns/${name}`)) ip("netns", "del", name);
    for (const group of groupsOf(name)) {
      // A group is busy for the moment in which its last process ends.
      await until(() => {
        spawnSync("find", [group, "-depth", "-type", "d", "-exec", "rmdir", "{}", "+"], { stdio: "ignore" });
        return !existsSync(group);
      }, `${group} is gone`);
    }
  }
  if (existsSync(`/sys/class/net/${tag}-br`)) ip("link", "del", `${tag}-br`);
  for (const machine of readdirSync(dir)
    .map((name) => join(dir, name, "berth"))
    .filter((path) => existsSync(path))) {
    unmountBelow(join(machine, "mnt"));
    if (existsSync(join(machine, "mnt"))) execFileSync("chattr", ["-R", "-i", join(machine, "mnt")]);
  }
  unmountBelow(dir);
  rmSync(dir, { recursive: true, force: true });
}

/** Ends processes and waits until they are gone. */
async function end(pids: number[], signal: NodeJS.Signals): Promise<void> {
  for (const pid of pids.filter(isAlive)) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
  await until(() => !pids.some(isAlive), `${basename(signal)} has ended ${pids.join(", ")}`);
}

function ip(...args: string[]): void {
  execFileSync("ip", args, { stdio: ["ignore", "ignore", "pipe"] });
}

const readPid = (file: string) => (existsSync(file) ? Number(readFileSync(file, "utf8")) : 0);
