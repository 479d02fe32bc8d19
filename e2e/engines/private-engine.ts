/**
 * A Docker engine of the test's own, beside the machine's: own directories, own socket, no network set-up. It can be ended,
 * killed and started again without touching anybody else's containers.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import Docker from "dockerode";
import { withLock } from "../../scripts/setup/lock.mjs";
import { commandOf, isAlive, pidsIn, shimsOf } from "../harness/processes.ts";
import { until } from "../../gateway/test/wait.ts";
import { unmountBelow } from "../harness/traces.ts";

export interface PrivateEngine {
  /** For `DOCKER_HOST`. */
  host: string;
  docker: Docker;
  start(...flags: string[]): Promise<void>;
  /** Ends the daemon with this signal and waits until it is gone. */
  end(signal: NodeJS.Signals): Promise<void>;
  /** Lets it hang, or go on: it takes connections and answers none. */
  signal(signal: "SIGSTOP" | "SIGCONT"): void;
  /** What its containers have of processes: those in them, and the engine's own beside each. */
  processes(): string[];
  close(): Promise<void>;
}

const storePrefix = "berth-image-";

/** Starts it, with the image in it. */
export async function startPrivateEngine(image: string, ...flags: string[]): Promise<PrivateEngine> {
  const dir = makeDirectory();
  await copyImageStore(image, join(dir, "data"));
  const engine = openEngine(dir);
  await engine.start(...flags);
  return engine;
}

/**
 * Makes the data root of an engine that has the machine's image and nothing else. It is copied as files from one that is
 * made the first time and kept, as links where they never change: an engine takes long to load the image.
 */
export async function copyImageStore(image: string, to: string): Promise<void> {
  const { Id } = await new Docker().getImage(image).inspect();
  const name = storePrefix + Id.replace(/^sha256:/, "").slice(0, 16);
  const store = join(tmpdir(), name);
  await withLock("image store of test engines", async () => {
    if (existsSync(store)) return;
    for (const other of readdirSync(tmpdir()).filter((entry) => entry.startsWith(storePrefix)))
      rmSync(join(tmpdir(), other), { recursive: true });
    const dir = makeDirectory();
    const engine = openEngine(dir);
    await engine.start();
    await engine.docker.loadImage(await new Docker().getImage(image).get());
    await engine.end("SIGTERM");
    // Where the machine's own mounts are private the engine leaves one of its root.
    unmountBelow(join(dir, "data"));
    renameSync(join(dir, "data"), store);
    await engine.close();
  });
  // An engine never writes to a layer of an image: its files are shared, and all else is copied.
  execFileSync("cp", ["-al", store, to]);
  for (const name of readdirSync(store).filter((entry) => entry !== "overlay2")) {
    rmSync(join(to, name), { recursive: true });
    execFileSync("cp", ["-a", join(store, name), join(to, name)]);
  }
}

function makeDirectory(): string {
  const dir = mkdtempSync(join(tmpdir(), "berth-engine-"));
  writeFileSync(join(dir, "owner"), String(process.pid));
  return dir;
}

function openEngine(dir: string): PrivateEngine {
  // Flags alone say how it is: one that the machine's configuration names too would be refused.
  const configFile = join(dir, "daemon.json");
  writeFileSync(configFile, "{}");
  const socketPath = join(dir, "docker.sock");
  const cgroup = basename(dir);
  const docker = new Docker({ socketPath });
  let daemon: ChildProcess | null = null;
  const start = async (...more: string[]) => {
    const log = openSync(join(dir, "dockerd.log"), "a");
    // In a network namespace of its own: there it makes and removes bridges without touching the machine's.
    daemon = spawn(
      "unshare",
      [
        "--net",
        "dockerd",
        "--config-file",
        configFile,
        "--data-root",
        join(dir, "data"),
        "--exec-root",
        join(dir, "exec"),
        "--pidfile",
        join(dir, "pid"),
        "-H",
        `unix://${socketPath}`,
        "--iptables=false",
        "--ip6tables=false",
        "--cgroup-parent",
        `/${cgroup}`,
        ...more,
      ],
      { stdio: ["ignore", log, log] },
    );
    closeSync(log);
    await until(
      () =>
        docker.ping().then(
          () => true,
          () => false,
        ),
      "the private engine answers",
    );
  };
  const isUp = () => daemon !== null && daemon.exitCode === null && daemon.signalCode === null;
  const end = async (signal: NodeJS.Signals) => {
    const ended = daemon;
    if (!ended || !isUp()) return;
    const exit = new Promise((resolve) => ended.once("exit", resolve));
    ended.kill(signal);
    await exit;
    if (signal === "SIGKILL")
      await until(() => !isRunning(join(dir, "exec/containerd/containerd.pid")), "its containerd is gone").catch(
        () => undefined,
      );
    // Another process may have such a pid by the time it starts again.
    for (const file of ["pid", "exec/containerd/containerd.pid"]) rmSync(join(dir, file), { force: true });
  };
  return {
    host: `unix://${socketPath}`,
    docker,
    start,
    end,
    signal: (signal) => void daemon?.kill(signal),
    processes: () => [...shimsOf(dir), ...pidsIn(cgroup)].filter(isAlive).map((pid) => `${pid} ${commandOf(pid)}`),
    async close() {
      const left = isUp() ? await docker.listContainers({ all: true }) : [];
      await Promise.all(left.map(({ Id }) => docker.getContainer(Id).remove({ force: true })));
      await end("SIGTERM");
      unmountBelow(dir);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function isRunning(pidFile: string): boolean {
  try {
    process.kill(Number(readFileSync(pidFile, "utf8")), 0);
    return true;
  } catch {
    return false;
  }
}
