/** For tests: an app on Node, on a database in a directory of its own. */
import { createLog } from "@berth/shared/log";
import { parseSettings, type Environment } from "@berth/shared/settings";
import Sqlite from "better-sqlite3";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createApp } from "../src/app.ts";
import type { Deps } from "../src/deps.ts";
import { nodeDigests } from "../src/node/digests.ts";
import { openData, openDatabase } from "../src/node/data.ts";
import { startServer } from "../src/node/server.ts";
import { createNodeTransport } from "../src/node/transport.ts";
import { tick } from "../src/tick.ts";
import { makeDirectory } from "./directory.ts";
import type { Runtime, TestClock } from "./runtime.ts";

/** Of all databases in this process. */
let statementsRun = 0;
type Statement = Record<"all" | "get" | "run", (...values: unknown[]) => unknown>;
const prototype = Object.getPrototypeOf(new Sqlite(":memory:").prepare("select 1")) as Statement;
for (const name of ["all", "get", "run"] as const) {
  const original = prototype[name];
  prototype[name] = function count(this: unknown, ...values: unknown[]) {
    statementsRun++;
    return original.apply(this, values);
  };
}

/** A database as all migrations leave it, made once a process: to migrate anew costs more than most tests do. */
let migrated: Buffer | null = null;
function readMigrated(): Buffer {
  const dir = makeDirectory("berth-migrated-");
  const path = join(dir, "gateway.sqlite");
  // Closed it is one file.
  openDatabase(path).close();
  const bytes = readFileSync(path);
  rmSync(dir, { recursive: true, force: true });
  return bytes;
}

/** Opens an app with these settings on the test's clock. */
export async function openOnNode(environment: Environment, clock: TestClock): Promise<Runtime> {
  const dir = makeDirectory("berth-gateway-");
  const settings = parseSettings({ BERTH_DATA_DIR: dir, ...environment });
  migrated ??= readMigrated();
  writeFileSync(join(dir, "gateway.sqlite"), migrated, { mode: 0o600 });
  const data = await openData(settings);
  const transport = createNodeTransport();
  const lines: string[] = [];
  const now = () => Date.now() + clock.skewMs;
  const log = createLog((line) => lines.push(line));
  const deps: Deps = { settings, ...data, digests: nodeDigests, transport, log, uses: new Map(), now };
  const app = createApp(deps);
  const closing: (() => Promise<void>)[] = [];
  return {
    dir,
    deps,
    lines,
    request: async (path, init) => app.request(path, init),
    tick: () => tick(deps),
    statements: () => statementsRun,
    async listen() {
      const server = await startServer(app, "127.0.0.1", 0);
      closing.push(() => server.close(100));
      return { ...server, url: `http://127.0.0.1:${server.port}` };
    },
    async close() {
      for (const end of closing) await end();
      transport.close();
      data.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
