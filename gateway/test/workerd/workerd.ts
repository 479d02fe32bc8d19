/** For tests: one workerd for the whole project, offline, with the Worker of `worker.ts` and as many empty D1 databases as it names. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";
import { makeDirectory } from "../directory.ts";
import { databases } from "./worker-databases.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** Where the Worker under test answers; not there in projects that test on Node. */
    workerdUrl: string;
  }
}

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/**
 * What wrangler drives workerd by. Its `startWorker` has a second workerd before the first: a third of all work, and it asks again what
 * it takes for lost, so that what is counted counts twice.
 */
const { Miniflare, convertV4MiniflareOptions } = createRequire(createRequire(import.meta.url).resolve("wrangler"))(
  "miniflare",
) as {
  Miniflare: new (options: object) => { ready: Promise<URL>; dispose(): Promise<void> };
  convertV4MiniflareOptions(options: object): object;
};

/** Vitest's global set-up of the project; what comes back ends it. */
export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const dir = makeDirectory("berth-workerd-");
  const script = join(dir, "worker.mjs");
  execFileSync(here("../../../node_modules/@esbuild/linux-x64/bin/esbuild"), [
    here("./worker.ts"),
    "--bundle",
    "--format=esm",
    "--conditions=workerd",
    "--external:cloudflare:*",
    "--log-level=error",
    `--outfile=${script}`,
  ]);
  const worker = new Miniflare(
    convertV4MiniflareOptions({
      modules: true,
      rootPath: dir,
      scriptPath: script,
      compatibilityDate: /^compatibility_date = "(.+)"$/m.exec(
        readFileSync(here("../../../wrangler.toml"), "utf8"),
      )![1]!,
      d1Databases: databases,
      d1Persist: join(dir, "d1"),
      // The machine's place is looked up otherwise.
      cf: false,
    }),
  );
  project.provide("workerdUrl", String(await worker.ready).replace(/\/$/, ""));
  return async () => {
    await worker.dispose();
    await rm(dir, { recursive: true, force: true });
  };
}
