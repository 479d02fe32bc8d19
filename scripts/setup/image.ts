/** The workspace image: there already with the right content, or built through the engine's API, with no Docker command and no registry needed. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import type Docker from "dockerode";
import { type Base, ensureBase, followProgress, hasImage } from "./base-image.ts";
import { withLock } from "./lock.mjs";
import { startStep } from "./progress.mjs";

export const root = join(import.meta.dirname, "../..");
const label = "berth.context";
const nameLabel = "berth.name";
/** As the OCI image specification names it. */
const baseLabel = "org.opencontainers.image.base.name";
const imageDir = "host-agent/image";
const dockerfile = `${imageDir}/Dockerfile`;
const readDockerfile = () => readFileSync(join(root, dockerfile), "utf8");
/** Node's headers have a directory for each platform: 60 MB that are of no use on this one. */
const foreignHeaders = ["openssl/archs/[!l]*", "openssl/archs/linux[!-]*", "openssl/archs/linux-[!x]*"];
/** What the Dockerfile copies; nothing else is sent to the engine. */
const listContext = () => [
  dockerfile,
  ...[...readDockerfile().matchAll(/^COPY (.+) \S+$/gm)].flatMap(([, paths]) => paths!.split(" ")),
];

/**
 * Makes sure that the image `name` exists with the content of this checkout, and says whether it had to be built; what
 * somebody has made under this name is left alone: `older` is one that is FROM this image as an earlier version built it.
 * Throws with one sentence when it cannot be built.
 */
export async function ensureImage({
  docker,
  name,
}: {
  docker: Docker;
  name: string;
}): Promise<"there" | "older" | "built"> {
  const hash = hashOfContext();
  const found = await examine(docker, name, hash);
  if (found) return found;
  return withLock(
    "workspace-image",
    async () => {
      if (await examine(docker, name, hash)) return "there";
      await buildImage(docker, name, hash);
      return "built";
    },
    () => process.stderr.write("… waiting for another set-up, which builds the workspace image\n"),
  );
}

/** SHA-256 over the Dockerfile, the scripts and the versions of the packages that are copied into the image. */
function hashOfContext(): string {
  const hash = createHash("sha256");
  for (const path of listContext()) {
    const [packageDir] = /^node_modules\/(@[^/]+\/)?[^/]+/.exec(path) ?? [];
    hash.update(`${path}\0`).update(packageDir ? versionOf(packageDir) : readFileSync(join(root, path)));
  }
  return hash.digest("hex");
}

/** Said of an image of somebody's own that lacks what this version has changed in its base. */
export const tellOlder = (name: string) =>
  `${name} was made FROM an earlier version of the workspace image, and what this version changed in that is not in it: \`BERTH_IMAGE=berth-workspace npm run doctor\`, then build ${name} again.`;

/** Whether it has the right content, or is somebody's own: another image under this name, or one that is FROM this one. Null where it must be built. */
async function examine(docker: Docker, name: string, hash: string): Promise<"there" | "older" | null> {
  if (!(await hasImage(docker, name))) return null;
  const { [label]: content, [nameLabel]: builtAs = name } = (await docker.getImage(name).inspect()).Config.Labels ?? {};
  if (content === hash || content === undefined) return "there";
  return builtAs === name ? null : "older";
}

async function buildImage(docker: Docker, name: string, hash: string): Promise<void> {
  const base = await ensureBase(docker, packageList(), join(root, imageDir, "trim"));
  const step = startStep(`building the workspace image ${name}`);
  try {
    await sendBuild(docker, { name, hash, base, onLine: step.update });
    const { Size } = await docker.getImage(name).inspect();
    step.done(`${Math.round(Size / 1e6)} MB`);
    // What this one replaces; the engine keeps an image that a container needs.
    await docker.pruneImages({ filters: { dangling: ["true"], label: [label] } });
  } catch (error) {
    step.fail();
    throw new Error(`The workspace image cannot be built: ${(error as Error).message}`, { cause: error });
  }
}

async function sendBuild(
  docker: Docker,
  { name, hash, base, onLine }: { name: string; hash: string; base: Base; onLine: (line: string) => void },
): Promise<void> {
  const tar = spawn(
    "tar",
    [
      "-c",
      "-C",
      root,
      "--sort=name",
      "--owner=0",
      "--group=0",
      "--numeric-owner",
      "--mode=go=rX,go-w",
      ...foreignHeaders.map((pattern) => `--exclude=${pattern}`),
      ...listContext(),
    ],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  try {
    const complaint = text(tar.stderr);
    const answer = await docker.buildImage(tar.stdout, {
      t: name,
      dockerfile,
      buildargs: { BASE: base.name },
      labels: { [label]: hash, [nameLabel]: name, [baseLabel]: base.name },
      forcerm: true,
      // All packages are in a base that was bootstrapped; only a pulled one needs the network to get them.
      ...(base.hasPackages && { networkmode: "none" }),
    });
    await followProgress(answer, (event) => event.stream && onLine(event.stream));
    const words = (await complaint).trim();
    if (words) throw new Error(`tar says ${words}.`);
  } finally {
    tar.kill();
  }
}

/** The packages named in the Dockerfile: the one place where they are listed. */
function packageList(): string[] {
  const found = /^ARG PACKAGES="([^"]+)"$/m.exec(readDockerfile());
  if (!found) throw new Error("The Dockerfile of the workspace image names no packages.");
  return found[1]!.split(" ");
}

function versionOf(packageDir: string): string {
  return (JSON.parse(readFileSync(join(root, packageDir, "package.json"), "utf8")) as { version: string }).version;
}
