/** Gateway and host agent of this machine as two processes: joined, supervised, their logs in files and their warnings told. */
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import type { Settings } from "@berth/shared/settings";
import { bundle } from "./bundle.ts";
import { Child } from "./child.ts";
import { SetupError } from "./debian.ts";
import { openLogFile } from "./log-file.ts";

const exec = promisify(execFile);
const startDeadlineMs = 60_000;

export interface Cluster {
  /** Where the gateway answers on this machine. */
  url: string;
  /** Resolves with the exit code of the first process that ended for good, unasked. */
  ended: Promise<number>;
  close(): Promise<void>;
}

/**
 * Starts both, the host agent joined to the gateway, and answers when `/readyz` does. `env` is the environment of both. Lines
 * for a person go to `tell`. Throws a SetupError when one of them refuses its settings; nothing is left running then.
 */
export async function startCluster(
  settings: Settings,
  env: NodeJS.ProcessEnv,
  tell: (line: string) => void,
): Promise<Cluster> {
  const files = await bundle("gateway", "cli", "host");
  const url = localUrl(settings);
  const logs = join(resolve(settings.BERTH_DATA_DIR), "logs");
  const gateway = keepRunning("gateway", files.gateway, env, logs, tell);
  const children = [gateway];
  const close = async () => {
    await Promise.all(children.map((child) => child.close()));
  };
  try {
    await untilOwn(gateway, join(settings.BERTH_DATA_DIR, "gateway.pid"));
    await untilAnswers(gateway, `${url}/healthz`);
    const joined = { BERTH_GATEWAY_URL: settings.BERTH_GATEWAY_URL ?? url, ...(await joinToken(settings, env)) };
    const host = keepRunning("host", files.host, { ...env, ...joined }, logs, tell);
    children.push(host);
    await untilOwn(host, join(settings.BERTH_HOST_DATA_DIR, "host.pid"));
    await untilAnswers(host, `${url}/readyz`);
  } catch (error) {
    await close();
    throw error;
  }
  return { url, ended: Promise.race(children.map((child) => child.settled)), close };
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

function keepRunning(
  name: string,
  file: string,
  env: NodeJS.ProcessEnv,
  logs: string,
  tell: (line: string) => void,
): Child {
  const log = openLogFile(join(logs, `${name}.log`));
  return new Child({
    file,
    env,
    onLine(line) {
      log.write(line);
      const text = forPerson(line);
      if (text) tell(`${name}: ${text}`);
    },
    onEnd(how, pauseMs) {
      if (pauseMs !== null) tell(`${name}: ${how}; it starts again in ${pauseMs / 1000} s`);
    },
  });
}

/** A warning or an error of the log in words, or a line that is no log line; null for what is only for the file. */
function forPerson(line: string): string | null {
  if (!line.startsWith("{")) return line;
  try {
    const { at: _, level, event, ...facts } = JSON.parse(line) as Record<string, unknown>;
    if (level === "info") return null;
    return `${String(level)} ${String(event)} ${Object.entries(facts)
      .map(([key, value]) => `${key}=${String(value)}`)
      .join(" ")}`;
  } catch {
    return line;
  }
}

/** A token for a host that has no identity yet; the operator's own token and an identity go first. */
async function joinToken(settings: Settings, env: NodeJS.ProcessEnv): Promise<{ BERTH_JOIN_TOKEN?: string }> {
  if (settings.BERTH_JOIN_TOKEN || existsSync(join(settings.BERTH_HOST_DATA_DIR, "host.json"))) return {};
  return { BERTH_JOIN_TOKEN: await runGatewayCommand(env, "join-token") };
}

/** Waits until the pid file names the child: whatever answers on its port may be somebody else's. */
async function untilOwn(child: Child, pidFile: string): Promise<void> {
  await until(child, () => Promise.resolve(existsSync(pidFile) && Number(readFileSync(pidFile, "utf8")) === child.pid));
}

async function untilAnswers(child: Child, url: string): Promise<void> {
  await until(child, async () => {
    const answer = await fetch(url, { signal: AbortSignal.timeout(2000) }).catch(() => null);
    await answer?.body?.cancel();
    return answer?.status === 200;
  });
}

async function until(child: Child, isTrue: () => Promise<boolean>): Promise<void> {
  let code: number | null = null;
  void child.settled.then((value) => (code = value));
  const deadline = Date.now() + startDeadlineMs;
  while (!(await isTrue())) {
    // Its own sentence was told already.
    if (code !== null) throw new SetupError("");
    if (Date.now() > deadline)
      throw new Error(
        `Berth is not ready after ${startDeadlineMs / 1000} s; see the logs directory under BERTH_DATA_DIR.`,
      );
    await sleep(50);
  }
}
