/** The host agent's process: settings, one instance a data directory, signals, exit codes. */
import { accessSync, constants, existsSync, mkdirSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import Database from "better-sqlite3";
import { createLog, messageOf } from "@berth/shared/log";
import { parseSettings, SettingsError } from "@berth/shared/settings";
import { startHostAgent } from "./host-agent.ts";

const log = createLog((line) => process.stdout.write(`${line}\n`));

/**
 * Makes the directory where it is missing; containers must pass through it to their sockets. Answers its real path: that
 * is what the kernel calls what is mounted below.
 */
function makeDataDir(dir: string): string {
  try {
    makeDirectory(dir);
    accessSync(join(dir, "."), constants.W_OK);
    return realpathSync(dir);
  } catch (error) {
    throw new SettingsError(`The data directory ${dir} cannot be used (${messageOf(error)}); see BERTH_HOST_DATA_DIR.`);
  }
}

/** Step by step: Node's own recursion never ends where the system denies that a parent exists, as below /proc. */
function makeDirectory(path: string): void {
  if (existsSync(path)) return;
  makeDirectory(dirname(path));
  mkdirSync(path, { mode: 0o711 });
}

/** Holds the data directory for the life of this process; the kernel lets go of it however the process ends. */
function lockDirectory(dataDir: string): void {
  const lock = new Database(join(dataDir, "host.lock"), { timeout: 0 });
  try {
    lock.pragma("locking_mode = EXCLUSIVE");
    lock.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    throw new SettingsError(
      `Another host agent uses ${dataDir}: stop it, or set BERTH_HOST_DATA_DIR to another directory.`,
      { cause: error },
    );
  }
  locks.push(lock);
}
const locks: Database.Database[] = [];

let agent: Awaited<ReturnType<typeof startHostAgent>> | null = null;
let pidFile: string | null = null;
// `disconnect`: the supervisor that started this process is gone. What it read of this process's output nobody reads then.
process.stdout.on("error", () => {});
for (const event of ["SIGTERM", "SIGINT", "disconnect"] as const) {
  process.once(event, () => {
    setTimeout(() => process.exit(0), 8000).unref();
    void (agent?.close() ?? Promise.resolve()).finally(() => {
      if (pidFile) rmSync(pidFile, { force: true });
      process.exit(0);
    });
  });
}
try {
  const settings = parseSettings(process.env);
  const dataDir = makeDataDir(resolve(settings.BERTH_HOST_DATA_DIR));
  lockDirectory(dataDir);
  pidFile = join(dataDir, "host.pid");
  writeFileSync(pidFile, `${process.pid}\n`);
  agent = await startHostAgent({ settings, dataDir, version: "0.1.0", log });
  // The code that no supervisor starts again on: a person must act.
  void agent.removed.then(async (sentence) => {
    process.stderr.write(`${sentence}\n`);
    await agent?.close();
    rmSync(pidFile!, { force: true });
    process.exit(2);
  });
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`);
  if (!(error instanceof SettingsError)) log.error("host.failed", { error: messageOf(error) });
  process.exit(error instanceof SettingsError ? 2 : 1);
}
