/** The Debian base of the workspace image: pulled where a registry answers, bootstrapped from the machine's own apt sources where none does. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  accessSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
import { freemem, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { NotNowError } from "@berth/shared/node/exit-code";
import type Docker from "dockerode";
import { installDebianPackages, mayInstall, readRelease, SetupError } from "./debian.ts";
import { startStep } from "./progress.mjs";

const registryImage = "debian:bookworm-slim";
/** A registry that says nothing for so long counts as absent. */
const registrySilenceMs = 20_000;

/** What the workspace image is built from. `hasPackages`: it was bootstrapped, and needs no network any more. */
export interface Base {
  name: string;
  hasPackages: boolean;
}

/**
 * A base image that the engine has now: by the digest that a registry gave it; when it had to be bootstrapped, `packages` are
 * inside, and `trim`, a script, has taken out what is not needed.
 */
export async function ensureBase(docker: Docker, packages: string[], trim: string): Promise<Base> {
  const hash = createHash("sha256").update(packages.join(" ")).update(readFileSync(trim)).digest("hex").slice(0, 12);
  const local = { repo: "berth-base", tag: `${readRelease().codename}-${hash}` };
  const bootstrapped = { name: `${local.repo}:${local.tag}`, hasPackages: true };
  if (await hasImage(docker, registryImage)) return byDigest(docker);
  if (await hasImage(docker, bootstrapped.name)) return bootstrapped;
  if (await pull(docker)) return byDigest(docker);
  await bootstrap(docker, local, packages, trim);
  return bootstrapped;
}

/** A tag may mean another image tomorrow, a digest never; one that was loaded from a file has none. */
async function byDigest(docker: Docker): Promise<Base> {
  const { RepoDigests: digests } = await docker.getImage(registryImage).inspect();
  const [repository] = registryImage.split(":");
  const digest = (digests as string[] | null)?.find((one) => one.startsWith(`${repository}@sha256:`));
  return { name: digest ?? registryImage, hasPackages: false };
}

/** True when the engine has an image of this name. */
export async function hasImage(docker: Docker, name: string): Promise<boolean> {
  return docker
    .getImage(name)
    .inspect()
    .then(
      () => true,
      (error: { statusCode?: number }) => {
        if (error.statusCode === 404) return false;
        throw error;
      },
    );
}

async function pull(docker: Docker): Promise<boolean> {
  const step = startStep(`pulling ${registryImage}`);
  const silence = new AbortController();
  const giveUp = () => setTimeout(() => silence.abort(), registrySilenceMs);
  let timer = giveUp();
  try {
    const answer = await docker.pull(registryImage, { abortSignal: silence.signal });
    await followProgress(answer, (event) => {
      clearTimeout(timer);
      timer = giveUp();
      step.update([event.id, event.status, event.progress].filter(Boolean).join(" "));
    });
    step.done();
    return true;
  } catch {
    step.fail("no registry answers; bootstrapping the base instead");
    return false;
  } finally {
    clearTimeout(timer);
  }
}

interface ProgressEvent {
  id?: string;
  status?: string;
  progress?: string;
  stream?: string;
  error?: string;
}

/** Follows an answer of the engine (pull, build, import) to its end; throws what the engine reports as an error in it. */
export async function followProgress(
  answer: NodeJS.ReadableStream,
  onEvent: (event: ProgressEvent) => void,
): Promise<void> {
  for await (const line of createInterface({ input: answer })) {
    if (!line.trim()) continue;
    const event = JSON.parse(line) as ProgressEvent;
    if (event.error) throw new Error(event.error);
    onEvent(event);
  }
}

async function bootstrap(
  docker: Docker,
  target: { repo: string; tag: string },
  packages: string[],
  trim: string,
): Promise<void> {
  const cannot = "No registry answers, and a base image can be bootstrapped as root on Debian or Ubuntu only";
  if (!mayInstall()) throw new SetupError(`${cannot}: run this as root there, or pull ${registryImage} by hand.`);
  if (!existsSync("/usr/bin/mmdebstrap")) await installDebianPackages(["mmdebstrap"]);
  const step = startStep("bootstrapping a base image from Debian's packages");
  const dir = mkdtempSync(join(tmpdir(), "berth-base-"));
  try {
    await importRootFs(docker, target, mmdebstrapArgs(packages, trim, writeSources(dir)), step.update);
    step.done();
  } catch (error) {
    step.fail();
    throw new NotNowError(`No registry answers, and the bootstrap of a base image failed: ${(error as Error).message}`);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Streams what mmdebstrap makes into the engine's import. */
async function importRootFs(
  docker: Docker,
  target: { repo: string; tag: string },
  args: string[],
  onLine: (line: string) => void,
): Promise<void> {
  const making = spawn("mmdebstrap", args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, TMPDIR: workDir() },
  });
  let complaints = "";
  making.stderr.on("data", (data: Buffer) => {
    complaints = (complaints + data.toString()).slice(-2000);
    onLine(
      data
        .toString()
        .split("\n")
        .findLast((line) => line.trim()) ?? "",
    );
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    making.once("error", reject);
    making.once("close", resolve);
  });
  // The engine ends a request in which nothing came for five minutes, and a busy machine may install for longer.
  await Promise.race([once(making.stdout, "readable"), ended]);
  const answer = await docker.importImage(making.stdout, target);
  const [code] = await Promise.all([ended, followProgress(answer, () => {})]);
  if (code === 0) return;
  await docker
    .getImage(`${target.repo}:${target.tag}`)
    .remove()
    .catch(() => {});
  throw new Error(
    complaints
      .split("\n")
      .filter((line) => line.startsWith("E:"))
      .join(" ") || `mmdebstrap ended with ${code}.`,
  );
}

function mmdebstrapArgs(packages: string[], trim: string, sources: string): string[] {
  return [
    "--mode=root",
    "--variant=apt",
    "--dpkgopt=force-unsafe-io",
    `--customize-hook=sh '${trim.replaceAll("'", String.raw`'\''`)}' "$1"`,
    '--aptopt=Acquire::Languages "none"',
    '--aptopt=APT::Install-Recommends "false"',
    `--include=${packages.join(",")}`,
    readRelease().codename,
    "-",
    sources,
  ];
}

/** The machine's own sources for its release, without those of other vendors, as a file of the kind that apt reads. */
function writeSources(dir: string): string {
  const { codename } = readRelease();
  const suites = ["", "-updates", "-security"].map((suffix) => codename + suffix);
  const extra = "/etc/apt/sources.list.d";
  const paths = ["/etc/apt/sources.list", ...readdirSync(extra).map((name) => join(extra, name))].filter(isReadable);
  const stanzas = paths
    .filter((path) => path.endsWith(".sources"))
    .flatMap((path) => readFileSync(path, "utf8").split(/\n\s*\n/))
    .filter((stanza) => suites.some((suite) => new RegExp(`^Suites:.*\\b${suite}(\\s|$)`, "m").test(stanza)));
  if (stanzas.length) return write(join(dir, "base.sources"), `${stanzas.join("\n\n")}\n`);
  const lines = paths
    .filter((path) => path.endsWith(".list"))
    .flatMap((path) => readFileSync(path, "utf8").split("\n"))
    .filter((line) => /^deb\s/.test(line) && suites.some((suite) => line.split(/\s+/).includes(suite)));
  if (lines.length) return write(join(dir, "base.list"), `${lines.join("\n")}\n`);
  throw new Error(`apt has no source for ${codename} on this machine.`);
}

function write(path: string, content: string): string {
  writeFileSync(path, content);
  return path;
}

function isReadable(path: string): boolean {
  try {
    accessSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Memory is twice as quick as a disk for thousands of small files; a base takes 0.5 GB there for a moment. */
function workDir(): string {
  const mount = readFileSync("/proc/mounts", "utf8")
    .split("\n")
    .find((line) => line.split(" ")[1] === "/dev/shm");
  if (!mount || /[ ,]noexec[ ,]/.test(mount)) return tmpdir();
  const { bavail, bsize } = statfsSync("/dev/shm");
  return bavail * bsize > 2e9 && freemem() > 4e9 ? "/dev/shm" : tmpdir();
}
