/**
 * What stands in for the modules that reach beyond the process, and the mutants: texts of the product that are replaced
 * while they are loaded. Registered once, before anything of the product is imported.
 */
import { registerHooks, type ResolveFnOutput, type ResolveHookContext, type ResolveHookSync } from "node:module";
import { fileURLToPath } from "node:url";

/** One text of one file, by another: it must be there, exactly once. */
export interface Mutation {
  file: string;
  from: string;
  to: string;
}

const root = new URL("../../", import.meta.url).href;
const here = (path: string) => new URL(`../substitutes/${path}`, import.meta.url).href;
/** For the host agent alone: the gateway's core knows web standards. */
const substitutes: Record<string, string> = {
  "node:fs": here("fs.ts"),
  "node:fs/promises": here("fs-promises.ts"),
  "node:crypto": here("crypto.ts"),
  "node:os": here("os.ts"),
  "node:http": here("http.ts"),
  "node:https": here("http.ts"),
  "@hono/node-server": here("http.ts"),
  "better-sqlite3": here("better-sqlite3.ts"),
  dockerode: here("docker.ts"),
  jose: here("jose.ts"),
};

export function registerSubstitutes(mutations: Mutation[] = []): void {
  const left = new Set(mutations);
  registerHooks({
    resolve(specifier, context, next) {
      const isHosts = /^(host-agent\/(src|test\/contract)\/|shared\/node\/durable-file)/.test(
        context.parentURL?.slice(root.length) ?? "",
      );
      if (isHosts && specifier in substitutes) return { url: substitutes[specifier]!, shortCircuit: true };
      const resolved = besideIt(specifier, context) ?? inPackage(specifier, context, next);
      if (resolved.url === `${root}host-agent/src/machine/programs.ts`)
        return { ...resolved, url: here("programs.ts") };
      return resolved;
    },
    load(url, context, next) {
      const loaded = next(url, context);
      for (const mutation of left) {
        if (url !== root + mutation.file) continue;
        loaded.source = replaceOnce(textOf(loaded.source), mutation);
        left.delete(mutation);
      }
      return loaded;
    },
  });
  process.once("exit", () => {
    for (const { file } of left) process.stderr.write(`${fileURLToPath(root)}${file} was never loaded\n`);
  });
}

/**
 * A file that a module names by its path is where it says, and of the parent's kind: to look for the package around each costs
 * half of a start, for its list of exports is read anew each time.
 */
function besideIt(specifier: string, { parentURL, conditions }: ResolveHookContext) {
  if (/^\.\.?\/.*\.ts$/.test(specifier))
    return { url: new URL(specifier, parentURL).href, format: "module-typescript", shortCircuit: true };
  if (
    !/^\.\.?\/.*\.js$/.test(specifier) ||
    !conditions.includes("import") ||
    !/\/node_modules\/.*\.js$/.test(parentURL ?? "")
  )
    return null;
  const url = new URL(specifier, parentURL).href;
  return { url, format: "module", shortCircuit: true };
}

const found = new Map<string, ResolveFnOutput>();
/** What one module of a package was told of another package is so for all of it. */
function inPackage(specifier: string, context: ResolveHookContext, next: Next): ResolveFnOutput {
  const isElsewhere = /^[@\w]/.test(specifier) && !specifier.startsWith("node:");
  const [around] =
    /^.*\/(node_modules\/(@[^/]+\/)?[^/]+|host-agent|shared|gateway|simulation)\//.exec(context.parentURL ?? "") ?? [];
  if (!isElsewhere || around === undefined) return next(specifier, context);
  const key = `${specifier} ${around} ${context.conditions.join()}`;
  const known = found.get(key) ?? { ...next(specifier, context), shortCircuit: true };
  found.set(key, known);
  return known;
}
type Next = Parameters<ResolveHookSync>[2];

const textOf = (source: unknown) =>
  typeof source === "string" ? source : new TextDecoder().decode(source as Uint8Array);

function replaceOnce(source: string, { file, from, to }: Mutation): string {
  const parts = source.split(from);
  if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} times: ${from}`);
  return parts.join(to);
}
