/** Gateway and host agent of this machine as two processes: joined, supervised, their logs in files and their warnings told. */
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { makeDataDir } from "@berth/shared/node/directory";
import type { Settings } from "@berth/shared/settings";
import { bundle } from "../build/bundle.ts";
import { Child } from "./child.ts";
import { SetupError } from "../setup/debian.ts";
import { openLogFile } from "./log-file.ts";
import { answers } from "./own-process.ts";

const exec = promisify(execFile);
const startDeadlineMs = 120_000;

/** What the two processes run. */
export type ClusterFiles = Record<"gateway" | "host", string>;

export interface Cluster {
  /** Where the gateway answers on this machine. */
  url: string;
  /** Resolves with the exit code of the first process that ended for good, unasked. */
  ended: Promise<number>;
  /** Ends one of the two and starts it anew, with what its file is by then. */
  restart(name: keyof ClusterFiles): void;
  close(): Promise<void>;
}

interface ClusterOptions {
  settings: Settings;
  /** The environment of both processes. */
  env: NodeJS.ProcessEnv;
  /** Takes each line that a person should see. */
  tell(line: string): void;
  /** What the two run; their bundles, made before, without it. */
  files?: ClusterFiles;
  /** Ends a start in progress. */
  signal?: AbortSignal;
  /** The gateway answers; what needs it alone begins beside the host agent's start. */
  onGateway?(): void;
}

/**
 * Starts both, the host agent joined to the gateway, and answers when the host has reported and `/readyz` says so. Throws a
 * SetupError when one of them refuses its settings; nothing is left running then.
 */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const { settings, env, signal } = options;
  // The logs are in there too.
  makeDataDir("BERTH_DATA_DIR", settings.BERTH_DATA_DIR, 0o700);
  const files = options.files ?? (await bundle("gateway", "cli", "host"));
  const url = localUrl(settings);
  const children = new Map<keyof ClusterFiles, Child>();
  const close = async () => {
    await Promise.all([...children.values()].map((child) => child.close()));
  };
  const keep = (name: keyof ClusterFiles, more: NodeJS.ProcessEnv = {}) => {
    const kept = keepRunning(name, files[name], { ...options, env: { ...env, ...more } });
    children.set(name, kept.child);
    return { ...kept, until: (isTrue: () => Promise<boolean>) => until(kept.child, isTrue, signal) };
  };
  try {
    const gateway = keep("gateway");
    await gateway.until(() => isPidOf(gateway.child, join(settings.BERTH_DATA_DIR, "gateway.pid")));
    const startHost = (more: NodeJS.ProcessEnv) =>
      keep("host", { BERTH_GATEWAY_URL: settings.BERTH_GATEWAY_URL ?? url, ...more });
    // Who has joined needs the gateway only once it serves itself.
    const joined = hasIdentity(settings) ? startHost({}) : null;
    await gateway.until(() => answers(`${url}/healthz`));
    options.onGateway?.();
    const host = joined ?? startHost(await joinToken(settings, env));
    await host.until(async () => host.events.has("gateway.reached"));
    await host.until(() => answers(`${url}/readyz`));
  } catch (error) {
    await close();
    throw error;
  }
  const ended = Promise.race([...children.values()].map((child) => child.settled));
  return { url, ended, restart: (name) => children.get(name)?.restart(), close };
}

/** Runs a command of the gateway (`link USER`, `token USER`, `join-token`) and answers what it prints. */
export async function runGatewayCommand(env: NodeJS.ProcessEnv, ...args: string[]): Promise<string> {
  const { cli } = await bundle("cli");
  const { stdout } = await exec(process.execPath, [cli, ...args], { env });
  return stdout.trim();
}

/** The gateway's address for a client on this machine. */
export function localUrl({ BERTH_LISTEN: listen, BERTH_PORT: port }: Settings): string {
  const anywhere: Record<string, string> = { "0.0.0.0": "127.0.0.1", "::": "[::1]" };
  return `http://${anywhere[listen] ?? (listen.includes(":") ? `[${listen}]` : listen)}:${port}`;
}

/** The child, and the names of the events that it has logged. */
function keepRunning(name: string, file: string, { settings, env, tell }: ClusterOptions) {
  const log = openLogFile(join(resolve(settings.BERTH_DATA_DIR), `logs/${name}.log`));
  const events = new Set<string>();
  const child = new Child({
    file,
    env,
    onLine(line) {
      log.write(line);
      const facts = parseLogLine(line);
      if (facts) events.add(String(facts["event"]));
      const text = facts ? forPerson(facts) : line;
      if (text) tell(`${name}: ${text}`);
    },
    onEnd(how, pauseMs) {
      if (pauseMs !== null) tell(`${name}: ${how}; it starts again in ${pauseMs / 1000} s`);
    },
  });
  return { child, events };
}

function parseLogLine(line: string): Record<string, unknown> | null {
  if (!line.startsWith("{")) return null;
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return null;
  }
}

/** A warning or an error in words; null for what is only for the file. */
function forPerson({ level, event, ...facts }: Record<string, unknown>): string | null {
  if (level === "info") return null;
  delete facts["at"];
  const words = Object.entries(facts).map(([key, value]) => `${key}=${String(value)}`);
  return [level, event, ...words].join(" ");
}

const hasIdentity = ({ BERTH_HOST_DATA_DIR: dir }: Settings) => existsSync(join(dir, "host.json"));

/** A token for a host that has no identity yet; the operator's own goes first. */
async function joinToken(settings: Settings, env: NodeJS.ProcessEnv): Promise<{ BERTH_JOIN_TOKEN?: string }> {
  if (settings.BERTH_JOIN_TOKEN) return {};
  return { BERTH_JOIN_TOKEN: await runGatewayCommand(env, "join-token") };
}

/** Whether the pid file names the child: whatever answers on its port may be somebody else's. */
async function isPidOf(child: Child, pidFile: string): Promise<boolean> {
  return existsSync(pidFile) && Number(readFileSync(pidFile, "utf8")) === child.pid;
}

async function until(child: Child, isTrue: () => Promise<boolean>, signal?: AbortSignal): Promise<void> {
  let code: number | null = null;
  void child.settled.then((value) => (code = value));
  const deadline = Date.now() + startDeadlineMs;
  while (!(await isTrue())) {
    signal?.throwIfAborted();
    // Its own sentence was told already.
    if (code !== null) throw new SetupError("");
    if (Date.now() > deadline)
      throw new Error(
        `Berth is not ready after ${startDeadlineMs / 1000} s; see the logs directory in BERTH_DATA_DIR.`,
      );
    await sleep(50);
  }
}
