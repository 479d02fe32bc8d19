/** The Docker engine: answering already, or installed (Debian, Ubuntu) and started here, or one sentence that says what to do. */
import { spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import Docker from "dockerode";
import { NotNowError } from "@berth/shared/node/exit-code";
import { ensurePrograms, installDebianPackages, isRoot, mayInstall, runCommand, SetupError } from "./debian.ts";
import { startStep } from "./progress.mjs";

const defaultSocket = "/var/run/docker.sock";
const daemonConfig = "/etc/docker/daemon.json";
const daemonLog = "/var/log/berth-dockerd.log";
const lowestApi = 41;
const answerDeadlineMs = 30_000;
const startDeadlineMs = 60_000;
/** Programs that the host agent runs, and the Debian package of each. */
const hostPrograms = {
  "mkfs.ext4": "e2fsprogs",
  e2fsck: "e2fsprogs",
  mount: "mount",
  losetup: "mount",
  nsenter: "util-linux",
  ip: "iproute2",
  perl: "perl-base",
};

/** The engine at `dockerHost` (a `unix://` address; without one the local socket), started if need be. Throws a SetupError, or a NotNowError
 * where the engine may answer later. */
export async function ensureEngine(dockerHost: string | undefined): Promise<Docker> {
  const address = dockerHost ?? `unix://${defaultSocket}`;
  const docker = new Docker({ socketPath: address.slice("unix://".length) });
  await ensurePrograms(hostPrograms);
  const refusal = await whyItDoesNotAnswer(docker);
  if (refusal === "EACCES") throw new SetupError(`This user may not open ${address}: run the command as root.`);
  if (refusal) {
    if (dockerHost && dockerHost !== `unix://${defaultSocket}`)
      throw new NotNowError(
        `No Docker engine answers at DOCKER_HOST=${dockerHost} (${refusal}): start it, or remove DOCKER_HOST.`,
      );
    await installAndStart(docker);
  }
  await checkEngine(docker);
  return docker;
}

/** The error code of a call to the engine; null when it answers. */
async function whyItDoesNotAnswer(docker: Docker): Promise<string | null> {
  try {
    const late = sleep(answerDeadlineMs, "it is silent", { ref: false });
    return await Promise.race([docker.ping().then(() => null), late]);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? (error as Error).message;
  }
}

async function installAndStart(docker: Docker): Promise<void> {
  if (!isRoot())
    throw new SetupError("No Docker engine answers: run the command as root, which starts one, or start it yourself.");
  if (!hasDaemon()) {
    if (!mayInstall())
      throw new SetupError("There is no Docker engine: install Docker 20.10 or later, then start again.");
    keepContainersAcrossRestarts();
    await installDebianPackages(["docker.io", "iptables"]);
  }
  await ensurePrograms({ iptables: "iptables" });
  if (!(await whyItDoesNotAnswer(docker))) return;
  const step = startStep("starting the Docker engine");
  try {
    const started = existsSync("/run/systemd/system") ? await startBySystemd() : startDaemon();
    await waitUntilItAnswers(docker, started);
    step.done();
  } catch (error) {
    step.fail();
    throw error;
  }
}

function hasDaemon(): boolean {
  return ["/usr/sbin/dockerd", "/usr/bin/dockerd", "/usr/local/bin/dockerd"].some((path) => existsSync(path));
}

/** Only where there is no engine yet: an operator's configuration is never changed. */
function keepContainersAcrossRestarts(): void {
  if (existsSync(daemonConfig)) return;
  mkdirSync("/etc/docker", { recursive: true });
  writeFileSync(daemonConfig, `${JSON.stringify({ "live-restore": true }, null, 2)}\n`);
}

async function startBySystemd(): Promise<() => string | null> {
  await runCommand("systemctl", ["start", "docker"]).catch((error: Error) => {
    throw new NotNowError(`The Docker engine does not start (${error.message}): see journalctl -u docker.`);
  });
  return () => null;
}

/** Starts the daemon on its own, so that it outlives this command; the answer tells why it ended, or null while it runs. */
function startDaemon(): () => string | null {
  const log = openSync(daemonLog, "a");
  // A flag that the configuration has too would be refused.
  const flags = readConfig().includes('"live-restore"') ? [] : ["--live-restore"];
  const daemon = spawn("sh", ["-c", 'ulimit -n "$(ulimit -Hn)"; exec dockerd "$@"', "sh", ...flags], {
    detached: true,
    stdio: ["ignore", log, log],
    env: { ...process.env, PATH: `/usr/sbin:/sbin:${process.env["PATH"]}` },
  });
  closeSync(log);
  daemon.unref();
  let ended: string | null = null;
  daemon.once("error", (error) => (ended = error.message));
  daemon.once("exit", (code, signal) => (ended = `it ended with ${code ?? signal}`));
  return () => ended;
}

function readConfig(): string {
  return existsSync(daemonConfig) ? readFileSync(daemonConfig, "utf8") : "";
}

async function waitUntilItAnswers(docker: Docker, whyEnded: () => string | null): Promise<void> {
  const deadline = Date.now() + startDeadlineMs;
  while (await whyItDoesNotAnswer(docker)) {
    const ended = whyEnded();
    if (ended) throw new NotNowError(`The Docker engine does not start (${ended}): see ${daemonLog}.`);
    if (Date.now() > deadline)
      throw new NotNowError(
        `The Docker engine does not answer ${startDeadlineMs / 1000} s after its start: see ${daemonLog}.`,
      );
    await sleep(100);
  }
}

async function checkEngine(docker: Docker): Promise<void> {
  const { Version, ApiVersion } = await docker.version();
  const [major = 0, minor = 0] = ApiVersion.split(".").map(Number);
  if (major === 1 && minor < lowestApi)
    throw new SetupError(
      `Docker ${Version} speaks API ${ApiVersion}; Berth needs 1.${lowestApi}: install Docker 20.10 or later.`,
    );
  const info = (await docker.info()) as { LiveRestoreEnabled?: boolean };
  if (!info.LiveRestoreEnabled)
    process.stderr.write(
      '! Runs end when the Docker engine restarts: set "live-restore": true in its configuration.\n',
    );
}
