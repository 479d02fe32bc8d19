/** The processes as one file each: they start five times sooner and hold a third of the memory that loading the sources takes. */
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildSync } from "esbuild";
import { root } from "./image.ts";
import { withLock } from "./lock.mjs";

const entries = {
  gateway: "gateway/src/node.ts",
  cli: "gateway/src/cli.ts",
  host: "host-agent/src/main.ts",
};
export type Bundle = keyof typeof entries;

/**
 * How both processes are started: without these, V8 lets garbage of long streams grow to 290 MB where 130 MB do, and a
 * source map costs 15 MB from the start.
 */
export const nodeFlags = ["--max-semi-space-size=2", "--optimize-for-size"];

/** Packages of the engine client for remote engines and BuildKit: never called here, and large. */
const unused = ["ssh2", "@grpc/grpc-js", "@grpc/proto-loader", "protobufjs"];

/** Bundles the named processes to `build/NAME.mjs` and answers the path of each. */
export async function bundle<Name extends Bundle>(...names: Name[]): Promise<Record<Name, string>> {
  const paths = names.map((name) => [name, join(root, `build/${name}.mjs`)] as const);
  await withLock(`bundle:${root}`, async () => paths.forEach(([name, path]) => bundleOne(entries[name], path)));
  return Object.fromEntries(paths) as Record<Name, string>;
}

/** Turns this process into the named one: same pid, same terminal, and nothing of set-up left in memory. */
export async function becomeBundle(name: Bundle): Promise<never> {
  const paths = await bundle(name);
  process.execve?.(process.execPath, [process.execPath, ...nodeFlags, paths[name]], process.env);
  throw new Error("This Node cannot replace its process.");
}

function bundleOne(entry: string, path: string): void {
  const stub = join(root, "scripts/unused-package.cjs");
  const result = buildSync({
    absWorkingDir: root,
    entryPoints: [entry],
    outfile: path,
    bundle: true,
    platform: "node",
    target: "node24",
    format: "esm",
    keepNames: true,
    sourcemap: true,
    write: false,
    logLevel: "error",
    external: ["better-sqlite3"],
    alias: Object.fromEntries(unused.map((name) => [name, stub])),
    banner: {
      js: 'import { createRequire as berthRequire } from "node:module"; const require = berthRequire(import.meta.url);',
    },
  });
  mkdirSync(join(root, "build"), { recursive: true });
  // Renamed into place: another command may load the file at this moment.
  for (const { path: file, contents } of result.outputFiles) {
    writeFileSync(`${file}.${process.pid}`, contents);
    renameSync(`${file}.${process.pid}`, file);
  }
}
