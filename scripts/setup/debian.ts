/** Debian's packages for set-up: what the machine runs, whether set-up may install here, and installing with visible progress. */
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { NotNowError } from "@berth/shared/node/exit-code";
import { startStep } from "./progress.mjs";

/** A thing that set-up cannot do itself: `message` is one sentence for the operator, empty when it was told already; commands end with 2. */
export class SetupError extends Error {
  override readonly name = "SetupError";
}

/** `{id: "debian", codename: "bookworm", like: …}` of this machine, from /etc/os-release. */
export function readRelease(path = "/etc/os-release"): { id: string; codename: string; like: string } {
  const lines = readFileSync(path, "utf8").split("\n");
  const value = (key: string) =>
    lines
      .find((line) => line.startsWith(`${key}=`))
      ?.slice(key.length + 1)
      .replaceAll('"', "") ?? "";
  return { id: value("ID"), codename: value("VERSION_CODENAME"), like: value("ID_LIKE") };
}

export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** Root on Debian, Ubuntu or one of their kind. */
export function mayInstall(): boolean {
  const { id, like } = readRelease();
  return isRoot() && [id, ...like.split(" ")].some((name) => name === "debian" || name === "ubuntu");
}

/** Installs the packages of programs that are missing; `programs` is each program's package. Throws a SetupError. */
export async function ensurePrograms(programs: Record<string, string>): Promise<void> {
  const dirs = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
  const isThere = (name: string) => dirs.some((dir) => existsSync(`${dir}/${name}`));
  const missing = [
    ...new Set(
      Object.entries(programs)
        .filter(([name]) => !isThere(name))
        .map(([, owner]) => owner),
    ),
  ];
  if (missing.length === 0) return;
  if (!mayInstall()) throw new SetupError(`The packages ${missing.join(" and ")} are missing: install them first.`);
  await installDebianPackages(missing);
}

/** Installs Debian packages, refreshing the package lists first only where the lists do not know them. Throws a SetupError. */
export async function installDebianPackages(names: string[]): Promise<void> {
  const step = startStep(`installing ${names.join(" ")}`);
  const apt = ["-o", "DPkg::Lock::Timeout=120", "-y", "--no-install-recommends"];
  const install = () => runCommand("apt-get", ["install", ...apt, ...names], { onLine: step.update });
  try {
    await install().catch(async () => {
      await runCommand("apt-get", ["update"], { onLine: step.update });
      await install();
    });
    step.done();
  } catch (error) {
    step.fail();
    throw new NotNowError(
      `The packages ${names.join(" ")} could not be installed: ${(error as Error).message} Install them with apt-get, then start again.`,
    );
  }
}

/** Runs a command without input; gives each line it prints to `onLine`; throws with the last lines when it fails. */
export async function runCommand(
  command: string,
  args: string[],
  {
    onLine = () => {},
    cwd = process.cwd(),
    env = {},
  }: { onLine?: (line: string) => void; cwd?: string; env?: Record<string, string> } = {},
): Promise<void> {
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", "pipe"],
    cwd,
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", ...env },
  });
  const last: string[] = [];
  const take = (data: Buffer) => {
    for (const line of data
      .toString()
      .split(/[\r\n]+/)
      .filter((part) => part.trim())) {
      last.push(line.trim());
      if (last.length > 8) last.shift();
      onLine(line);
    }
  };
  child.stdout.on("data", take);
  child.stderr.on("data", take);
  const code = await new Promise<number | string | null>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (exitCode, signal) => resolve(exitCode ?? signal));
  });
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${last.join(" | ")}.`);
}
