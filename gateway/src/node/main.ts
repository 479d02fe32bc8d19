/** The gateway on Node: settings, lock, database, HTTP server, signals. A bad start says one sentence, and by its exit code whether another one can help. */
import { makeDataDir } from "@berth/shared/node/directory";
import { exitCodeOf, NotNowError } from "@berth/shared/node/exit-code";
import { createLineWriter } from "@berth/shared/node/line-writer";
import { takeLock } from "@berth/shared/node/lock";
import { createLog, messageOf } from "@berth/shared/log";
import { parseSettings, type Settings } from "@berth/shared/settings";
import { once } from "node:events";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { createApp } from "../app.ts";
import type { Deps } from "../deps.ts";
import { openData } from "./data.ts";
import { nodeDigests } from "./digests.ts";
import { startServer } from "./server.ts";
import { loadAssets } from "./assets.ts";
import { createPace } from "./pace.ts";
import { createNodeTransport } from "./transport.ts";
import { sleep } from "@berth/shared/wait";
import { repeat } from "./repeat.ts";
import { createWordMerger } from "./merge-words.ts";
import { followKeys, followMs } from "./rotation.ts";
import { storeUses, usesMs } from "../access/token-uses.ts";
import { releaseLeases } from "../agents/pending.ts";
import { askMisfitsAgain } from "../fleet/reports.ts";
import { tick } from "../tick.ts";

const tickMs = 1000;
const graceMs = 5000;
/** By how much the heap grows before all of it is collected; with the flags of both processes alone (ADR 5) it is three tenths. */
const heapGrowth = "--heap-growing-percent=100";

export async function main(): Promise<void> {
  try {
    setFlagsFromString(heapGrowth);
    await run(parseSettings(process.env));
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`);
    process.exit(exitCodeOf(error));
  }
}

/** Opens everything, serves until a signal, closes everything. */
async function run(settings: Settings): Promise<void> {
  // A supervisor that is gone must not take the gateway with it.
  process.stdout.on("error", () => {});
  const log = createLog(createLineWriter(process.stdout));
  // `disconnect`: the supervisor that started this process is gone.
  const stopped = Promise.race(["SIGTERM", "SIGINT", "disconnect"].map((event) => once(process, event)));
  const dir = makeDataDir("BERTH_DATA_DIR", settings.BERTH_DATA_DIR, 0o700);
  const lock = takeLock(join(dir, "gateway.lock"), 0);
  if (!lock) throw new NotNowError(`Another gateway runs on ${dir} already; stop it or set BERTH_DATA_DIR.`);
  const data = await openData(settings);
  const transport = createNodeTransport();
  const uses = new Map<string, string>();
  const startedAt = Date.now();
  const deps: Deps = {
    settings,
    ...data,
    digests: nodeDigests,
    transport,
    log,
    uses,
    now: Date.now,
    startedAt,
    gatherMs: createPace(),
    assets: loadAssets(),
  };
  await releaseLeases(deps);
  await askMisfitsAgain(deps);
  const server = await startServer(createApp(deps), settings.BERTH_LISTEN, settings.BERTH_PORT).catch(
    (error: unknown) => {
      throw explainListen(error, settings);
    },
  );
  writeFileSync(join(dir, "gateway.pid"), `${process.pid}\n`);
  log.info("gateway.listening", { address: settings.BERTH_LISTEN, port: settings.BERTH_PORT, pid: process.pid });

  const mergeWords = createWordMerger(data.atomic);
  const stopTicking = repeat(
    tickMs,
    () => tick(deps).finally(mergeWords),
    (error) => log.error("tick.failed", { error: messageOf(error) }),
  );
  const stopFollowing = repeat(followMs, followKeys(settings, data.keyring), (error) =>
    log.error("keys.failed", { error: messageOf(error) }),
  );
  await stopped;
  log.info("gateway.stopping");
  await Promise.all([stopTicking(graceMs), stopFollowing(graceMs), server.close(graceMs)]);
  await Promise.race([storeUses(deps), sleep(usesMs)]);
  transport.close();
  data.close();
  rmSync(join(dir, "gateway.pid"), { force: true });
  lock.close();
  process.exit(0);
}

/** What the system says of an address that cannot be had, as a sentence. */
function explainListen(error: unknown, { BERTH_PORT: port, BERTH_LISTEN: host }: Settings): NotNowError {
  const code = error instanceof Error && "code" in error ? error.code : "";
  if (code === "EADDRINUSE") return new NotNowError(`Port ${port} is in use already; set BERTH_PORT to a free one.`);
  // An address too: its network may come later than this process.
  return new NotNowError(
    `The gateway cannot listen on ${host} port ${port} (${messageOf(error)}); see BERTH_LISTEN and BERTH_PORT.`,
  );
}

if (import.meta.main) await main();
