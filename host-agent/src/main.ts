/** The host agent's process: settings, one instance a data directory, signals, exit codes. */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createLog, messageOf } from "@berth/shared/log";
import { makeDataDir } from "@berth/shared/node/directory";
import { exitCodeOf, NotNowError, personMustAct } from "@berth/shared/node/exit-code";
import { createLineWriter } from "@berth/shared/node/line-writer";
import { takeLock, type Lock } from "@berth/shared/node/lock";
import { parseSettings, type Settings } from "@berth/shared/settings";
import { type HostAgent, startHostAgent } from "./host-agent.ts";
import { raiseCounts } from "./machine/proc.ts";
import { neededCounts } from "./workspace/container.ts";

const log = createLog(createLineWriter(process.stdout));

let agent: HostAgent | null = null;
let lock: Lock | null = null;
let pidFile: string | null = null;
/** Lets go of all; the kernel frees the lock by itself where the process ends in another way. */
async function close(): Promise<void> {
  try {
    await agent?.close();
  } finally {
    if (pidFile) rmSync(pidFile, { force: true });
    lock?.close();
  }
}
/** Raises what the kernel counts for the whole machine; where this process may not, a person must. */
function raise(settings: Settings): void {
  const needed = neededCounts(settings);
  try {
    const raised = raiseCounts(needed);
    if (raised.length > 0) log.info("counts.raised", { counts: raised.join() });
  } catch (error) {
    const advice = Object.entries(needed).map(([name, least]) => `sysctl -w ${name.replaceAll("/", ".")}=${least}`);
    log.warn("counts.low", { error: messageOf(error), advice: `Where these are lower: ${advice.join("; ")}` });
  }
}
// `disconnect`: the supervisor that started this process is gone. What it read of this process's output nobody reads then.
process.stdout.on("error", () => {});
for (const event of ["SIGTERM", "SIGINT", "disconnect"] as const) {
  process.once(event, () => {
    setTimeout(() => process.exit(0), 8000).unref();
    void close().finally(() => process.exit(0));
  });
}
try {
  const settings = parseSettings(process.env);
  // Containers must pass through it to their sockets.
  const dataDir = makeDataDir("BERTH_HOST_DATA_DIR", settings.BERTH_HOST_DATA_DIR, 0o711);
  lock = takeLock(join(dataDir, "host.lock"), 0);
  if (!lock)
    throw new NotNowError(
      `Another host agent uses ${dataDir}: stop it, or set BERTH_HOST_DATA_DIR to another directory.`,
    );
  pidFile = join(dataDir, "host.pid");
  writeFileSync(pidFile, `${process.pid}\n`);
  raise(settings);
  agent = await startHostAgent({ settings, dataDir, version: "0.1.0", log });
  // The code that no supervisor starts again on: a person must act.
  void agent.removed.then(async (sentence) => {
    process.stderr.write(`${sentence}\n`);
    await close();
    process.exit(personMustAct);
  });
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`);
  const code = exitCodeOf(error);
  if (code === 1) log.error("host.failed", { error: messageOf(error) });
  process.exit(code);
}
