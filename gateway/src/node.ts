/** The gateway on Node: settings, lock, database, HTTP server, signals. A bad start says one sentence and exits with 2. */
import { createLog, messageOf } from "@berth/shared/log";
import { parseSettings, SettingsError, type Settings } from "@berth/shared/settings";
import { createAdaptorServer } from "@hono/node-server";
import { once } from "node:events";
import { rmSync, writeFileSync } from "node:fs";
import type { Server } from "node:http";
import { join } from "node:path";
import { createApp } from "./app.ts";
import type { Deps } from "./deps.ts";
import { deleteOld } from "./retention.ts";

const pruneMs = 3_600_000;
const graceMs = 5000;

export async function main(): Promise<void> {
  try {
    if (Number(process.versions.node.split(".")[0]) < 22) throw new SettingsError("Berth needs Node 22 or later.");
    await run(parseSettings(process.env));
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`);
    process.exit(error instanceof SettingsError ? 2 : 1);
  }
}

/** Opens everything, serves until a signal, closes everything. */
async function run(settings: Settings): Promise<void> {
  // Loaded only after the guard above: the SQLite binding crashes an older Node.
  const { makeDataDir, openData } = await import("./node-data.ts");
  const { takeLock } = await import("./node-lock.ts");
  const { createNodeTransport } = await import("./node-transport.ts");
  const { serveUpgrades } = await import("./node-upgrade.ts");
  // A supervisor that is gone must not take the gateway with it.
  process.stdout.on("error", () => {});
  const log = createLog((line) => process.stdout.write(`${line}\n`));
  const dir = makeDataDir(settings);
  const lock = takeLock(join(dir, "gateway.lock"), 0);
  if (!lock) throw new SettingsError(`Another gateway runs on ${dir} already; stop it or set BERTH_DATA_DIR.`);
  const data = await openData(settings);
  const transport = createNodeTransport();
  const deps: Deps = { settings, ...data, transport, log, now: Date.now };
  const app = createApp(deps);
  const server = createAdaptorServer({ fetch: app.fetch, serverOptions: { shouldUpgradeCallback: isWebSocket } }) as Server;
  const sockets = serveUpgrades(server, app.fetch);
  await listen(server, settings);
  writeFileSync(join(dir, "gateway.pid"), `${process.pid}\n`);
  log.info("gateway.listening", { address: settings.BERTH_LISTEN, port: settings.BERTH_PORT, pid: process.pid });

  const stopPruning = repeat(pruneMs, () => deleteOld(deps), (error) => log.error("retention.failed", { error: messageOf(error) }));
  await Promise.race([once(process, "SIGTERM"), once(process, "SIGINT")]);
  log.info("gateway.stopping");
  stopPruning();
  await Promise.all([closeServer(server), sockets.close(graceMs)]);
  transport.close();
  data.close();
  rmSync(join(dir, "gateway.pid"), { force: true });
  lock.close();
  process.exit(0);
}

const isWebSocket = (request: { headers: { upgrade?: string | undefined } }) =>
  request.headers.upgrade?.toLowerCase() === "websocket";

async function listen(server: Server, { BERTH_PORT: port, BERTH_LISTEN: host }: Settings): Promise<void> {
  server.listen(port, host);
  try {
    await once(server, "listening");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : "";
    if (code === "EADDRINUSE") throw new SettingsError(`Port ${port} is in use already; set BERTH_PORT to a free one.`);
    throw new SettingsError(`The gateway cannot listen on ${host} port ${port} (${messageOf(error)}); see BERTH_LISTEN and BERTH_PORT.`);
  }
}

/** Lets calls in progress end; what still streams after the grace is cut, and its reader resumes by offset. */
async function closeServer(server: Server): Promise<void> {
  const closed = once(server, "close");
  server.close();
  const timer = setTimeout(() => server.closeAllConnections(), graceMs / 5);
  await closed;
  clearTimeout(timer);
}

/** Runs the work now and then every `ms`, never twice at once; a failure is told and tried again. */
function repeat(ms: number, work: () => Promise<void>, failed: (error: unknown) => void): () => void {
  let timer: NodeJS.Timeout;
  const turn = async () => {
    await work().catch(failed);
    timer = setTimeout(turn, ms);
  };
  timer = setTimeout(turn, 0);
  return () => clearTimeout(timer);
}

if (import.meta.main) await main();
