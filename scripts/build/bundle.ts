/** The processes as one file each: they start five times sooner and hold a third of the memory that loading the sources takes. */
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, utimesSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { runCommand } from "../setup/debian.ts";
import { root } from "../setup/image.ts";
import { withLock } from "../setup/lock.mjs";
import { isCurrent } from "./current.ts";
import { buildWeb } from "./web.ts";

const entries = {
  gateway: "gateway/src/node/main.ts",
  cli: "gateway/src/node/cli.ts",
  host: "host-agent/src/main.ts",
};
type Bundle = keyof typeof entries;
/** The files that bundles are made from: what runs while it is being changed. */
export const sources = { gateway: join(root, entries.gateway), host: join(root, entries.host) };
/** All that any of them is made of; packages change with the lock file. */
const madeOf = ["gateway/src", "host-agent/src", "shared/src", "shared/node", "scripts/build", "package-lock.json"].map(
  (path) => join(root, path),
);

/**
 * How both processes are started: without these, V8 lets garbage of long streams grow to 290 MB where 130 MB do, and a
 * source map costs 15 MB from the start.
 */
export const nodeFlags = ["--max-semi-space-size=2", "--optimize-for-size"];

/** Packages of the engine client for remote engines and BuildKit: never called here, and large. */
const unused = ["ssh2", "@grpc/grpc-js", "@grpc/proto-loader", "protobufjs"];

const options = [
  "--bundle",
  "--platform=node",
  "--target=node24",
  "--format=esm",
  "--sourcemap",
  "--log-level=error",
  "--external:better-sqlite3",
  ...unused.map((name) => `--alias:${name}=./scripts/build/unused-package.cjs`),
  '--banner:js=import { createRequire as berthRequire } from "node:module"; const require = berthRequire(import.meta.url);',
];

/** Makes sure of `build/NAME.mjs` for the named processes, from the sources as they are, and answers the path of each. */
export async function bundle<Name extends Bundle>(...names: Name[]): Promise<Record<Name, string>> {
  const paths = names.map((name) => [name, join(root, `build/${name}.mjs`)] as const);
  mkdirSync(join(root, "build"), { recursive: true });
  await withLock(`bundle:${root}`, async () => {
    if (paths.some(([name]) => name === "gateway")) await buildWeb();
    const due = paths.filter(([, path]) => !isCurrent(path, madeOf));
    await Promise.all(due.map(([name, path]) => bundleOne(name, path)));
  });
  return Object.fromEntries(paths) as Record<Name, string>;
}

/** Turns this process into the named one: same pid, same terminal, and nothing of set-up left in memory. */
export async function becomeBundle(name: Bundle): Promise<never> {
  const paths = await bundle(name);
  process.execve?.(process.execPath, [process.execPath, ...nodeFlags, paths[name]], process.env);
  throw new Error("This Node cannot replace its process.");
}

/** In a process of its own: what a build takes is not held by who goes on running. */
async function bundleOne(name: Bundle, path: string): Promise<void> {
  const startedAt = new Date();
  const fresh = mkdtempSync(join(dirname(path), "new-"));
  try {
    await runCommand(
      join(root, "node_modules/@esbuild/linux-x64/bin/esbuild"),
      [entries[name], `--outfile=${join(fresh, basename(path))}`, ...options],
      { cwd: root },
    );
    // As old as what was read: a source that changed meanwhile is newer.
    utimesSync(join(fresh, basename(path)), startedAt, startedAt);
    // Renamed into place: another command may load the file at this moment.
    for (const file of readdirSync(fresh)) renameSync(join(fresh, file), join(dirname(path), file));
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}
