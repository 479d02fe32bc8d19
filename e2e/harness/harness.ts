/**
 * A real Berth for tests: gateway and host agent as the processes that `npm start` runs, on free ports and a data
 * directory of their own, on the machine's engine. Each can be killed and started again. `close` removes every trace.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Docker from "dockerode";
import { freePort } from "@berth/shared/node/free-port";
import { patienceMs, until } from "../../gateway/test/wait.ts";
import { openDatabase } from "../../host-agent/src/store/open.ts";
import { Store } from "../../host-agent/src/store/store.ts";
import { bundle, nodeFlags } from "../../scripts/build/bundle.ts";
import { answers } from "../../scripts/processes/own-process.ts";
import type { Client } from "./client.ts";
import { berthPrefix, removeTraces } from "./traces.ts";
import { type ClientOf, openUsers } from "./users.ts";

export const engine = new Docker();

export interface Daemon {
  readonly pid: number;
  /** Kills it and waits until it is gone. */
  kill(signal?: NodeJS.Signals): Promise<number | null>;
  /** Starts it (again), from another file if one is named, and waits until it serves. */
  start(env?: Record<string, string>, file?: string): Promise<void>;
  /** Resolves with the exit code when it ends, however it ends. */
  ended(): Promise<number | null>;
  /** Resident memory now, in bytes. */
  memoryBytes(): number;
  /** Open descriptors now. */
  descriptors(): number;
  /** What it wrote so far, standard output and error. */
  log(): string;
}
export interface Berth {
  url: string;
  dir: string;
  hostDir: string;
  hostId: string;
  env: Record<string, string>;
  gateway: Daemon;
  host: Daemon;
  /** A client with a token of this user, made if new. */
  client: ClientOf;
  /** Runs a command of the gateway's CLI. */
  cli(...args: string[]): string;
  /** The containers of this Berth that the engine has now. */
  containers(): Promise<Docker.ContainerInfo[]>;
  /** The processes in this user's container, as the machine sees them; [] without one. */
  processes(userId: string): Promise<{ pid: number; uid: number; gid: number; command: string }[]>;
  close(): Promise<void>;
}

/** Starts both processes with these settings beside the harness's own; answers when `/readyz` does. `onSettled` sees them all before. */
export async function startBerth(
  settings: Record<string, string> = {},
  onSettled?: (all: Record<string, string>) => void,
): Promise<Berth> {
  const files = await bundle("gateway", "cli", "host");
  const dir = mkdtempSync(join(tmpdir(), berthPrefix));
  writeFileSync(join(dir, "owner"), String(process.pid));
  const [port, hostPort] = [await freePort(), await freePort()];
  const hostDir = join(dir, "host");
  const env: Record<string, string> = {
    PATH: process.env["PATH"]!,
    HOME: dir,
    BERTH_PORT: String(port),
    BERTH_HOST_PORT: String(hostPort),
    BERTH_DATA_DIR: dir,
    BERTH_HOST_DATA_DIR: hostDir,
    BERTH_GATEWAY_URL: `http://127.0.0.1:${port}`,
    BERTH_DISK_BYTES: String(2 ** 30),
    BERTH_POLL_SECONDS: "0.5",
    // What runs in a workspace is what a test runs there, but where it is about that.
    BERTH_AHEAD: "0",
    ...(process.env["DOCKER_HOST"] && { DOCKER_HOST: process.env["DOCKER_HOST"] }),
    ...(process.env["BERTH_IMAGE"] && { BERTH_IMAGE: process.env["BERTH_IMAGE"] }),
    ...settings,
  };
  onSettled?.(env);
  const url = `http://127.0.0.1:${port}`;
  const gateway = createDaemon("gateway", files.gateway, dir, env, () => answers(`${url}/healthz`));
  const host = createDaemon("host", files.host, dir, env, () => accepts(hostPort));
  const cli = (...args: string[]) =>
    execFileSync(process.execPath, [files.cli, ...args], { env, encoding: "utf8" }).trim();
  const close = async () => {
    await Promise.all([gateway.kill("SIGTERM"), host.kill("SIGTERM")]);
    await removeTraces(dir);
  };
  let users: ReturnType<typeof openUsers>;
  try {
    await gateway.start();
    // The kernel counts a uid's processes over all containers of the machine: other suites have others.
    mkdirSync(hostDir);
    const store = new Store(openDatabase(join(hostDir, "host.db")), Date.now);
    store.reserveUids(20_000 + 100 * (process.pid % 98));
    store.close();
    users = openUsers(url, cli);
    await host.start({ BERTH_JOIN_TOKEN: await makeJoinToken(users.harness) });
    await until(() => answers(`${url}/readyz`), "the gateway is ready");
  } catch (error) {
    process.stderr.write(`${gateway.log()}\n${host.log()}\n`);
    await close();
    throw error;
  }
  const { hostId } = JSON.parse(readFileSync(join(hostDir, "host.json"), "utf8")) as { hostId: string };
  return {
    url,
    dir,
    hostDir,
    hostId,
    env,
    gateway,
    host,
    cli,
    close,
    client: users.client,
    processes: (userId) => processesOf(hostId, userId),
    containers: () => engine.listContainers({ all: true, filters: { label: [`berth.host=${hostId}`] } }),
  };
}

/** A token for a host that joins. */
export const makeJoinToken = async (admin: Client) =>
  (await admin.ok<{ token: string }>("POST", "/v1/admin/hosts/join-tokens")).token;

/** The id of the user that a client speaks for. */
export async function userIdOf(client: Client): Promise<string> {
  return (await client.ok<{ user: { id: string } }>("GET", "/v1/me")).user.id;
}

async function processesOf(hostId: string, userId: string) {
  const [found] = await engine.listContainers({ filters: { label: [`berth.host=${hostId}`, `berth.user=${userId}`] } });
  if (!found) return [];
  const top = await topOf(found.Id);
  if (!top) return [];
  const { Titles, Processes } = top;
  if (Titles.length !== 4) throw new Error(`the engine's top shows ${Titles.join()}`);
  return (Processes ?? []).map(([pid, uid, gid, command]) => ({
    pid: Number(pid),
    uid: Number(uid),
    gid: Number(gid),
    command: command!,
  }));
}

/** Null where the container goes away meanwhile; it may have no processes for a moment before. */
async function topOf(containerId: string): Promise<{ Titles: string[]; Processes: string[][] | null } | null> {
  const container = engine.getContainer(containerId);
  try {
    return (await container.top({ ps_args: "-eo pid,uid,gid,args" })) as {
      Titles: string[];
      Processes: string[][] | null;
    };
  } catch (error) {
    if ((await container.inspect().catch(() => null))?.State.Running) throw error;
    return null;
  }
}

/** A process of Berth whose output goes to `dir/NAME.log`; `before` is a program that becomes it. */
export function createDaemon(
  name: string,
  file: string,
  dir: string,
  env: Record<string, string>,
  isServing: () => Promise<boolean>,
  before: string[] = [],
): Daemon {
  const logFile = join(dir, `${name}.log`);
  let child: ChildProcess | null = null;
  let exited: Promise<number | null> = Promise.resolve(null);
  return {
    get pid() {
      return child?.pid ?? 0;
    },
    ended: () => exited,
    async start(more = {}, other = file) {
      const out = openSync(logFile, "a");
      // The directory is for whoever sweeps up after a killed test: the process itself does not read it.
      const [program, ...args] = [...before, process.execPath, ...nodeFlags, other, dir];
      child = spawn(program, args, { env: { ...env, ...more }, stdio: ["ignore", out, out] });
      closeSync(out);
      const started = child;
      exited = new Promise((resolve) => started.once("exit", (code) => resolve(code)));
      await until(
        () => {
          if (started.exitCode !== null)
            throw new Error(`${name} ended with ${started.exitCode}: ${readOr(logFile, "").slice(-2000)}`);
          return isServing();
        },
        `${name} serves`,
        patienceMs,
      );
    },
    async kill(signal = "SIGKILL") {
      child?.kill(signal);
      return exited;
    },
    memoryBytes: () =>
      Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${child!.pid}/status`, "utf8"))![1]) * 1024,
    descriptors: () => readdirSync(`/proc/${child!.pid}/fd`).length,
    log: () => readOr(logFile, ""),
  };
}

/** Whether something listens there, whatever it speaks. */
function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => resolve(true));
    socket.once("error", () => resolve(false)).once("connect", () => socket.destroy());
  });
}

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return otherwise;
  }
}
