/** For tests: one workerd for the whole project, offline, with the Worker of `worker.ts` and as many empty D1 databases as it names. */
import { readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";
import { unstable_startWorker as startWorker } from "wrangler";
import { makeDirectory } from "../directory.ts";
import { databases } from "./worker-databases.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** Where the Worker under test answers; not there in projects that test on Node. */
    workerdUrl: string;
  }
}

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Looks nothing up: neither the machine's place nor where to send figures. */
export const offline = {
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_SEND_ERROR_REPORTS: "false",
};

/** Vitest's global set-up of the project; what comes back ends it. */
export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  Object.assign(process.env, offline);
  const persist = makeDirectory("berth-workerd-");
  const worker = await startWorker({
    name: "berth-test",
    // Its own: the root's names the dashboard's files, which a fresh clone has not yet.
    config: here("./wrangler.json"),
    entrypoint: here("./worker.ts"),
    compatibilityDate: /^compatibility_date = "(.+)"$/m.exec(readFileSync(here("../../../wrangler.toml"), "utf8"))![1]!,
    bindings: Object.fromEntries(databases.map((name) => [name, { type: "d1", name, id: name }])),
    dev: { server: { hostname: "127.0.0.1", port: 0 }, inspector: false, persist, watch: false, logLevel: "error" },
  });
  await worker.ready;
  project.provide("workerdUrl", String(await worker.url).replace(/\/$/, ""));
  return async () => {
    await worker.dispose();
    await rm(persist, { recursive: true, force: true });
  };
}
