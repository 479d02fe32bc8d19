/**
 * A volume that the kernel no longer writes to: what lies below its image failed, mostly because the machine's own disk was
 * full. Once there is room it is unmounted, checked and mounted anew.
 */
import { readFileSync, statfsSync } from "node:fs";
import { sleep } from "@berth/shared/wait";
import { MachineError } from "../machine/machine-error.ts";
import { ProgramError, runProgram } from "../machine/programs.ts";

const roomBytes = 64 * 2 ** 20;
const letGoMs = 10_000;

/** Where file systems are mounted that have failed: the kernel lets nobody write to them. */
export function failedMounts(): Set<string> {
  const failed = new Set<string>();
  for (const line of readFileSync("/proc/self/mountinfo", "utf8").split("\n")) {
    const fields = line.split(" ");
    const options = fields.at(-1)!.split(",");
    if (options.some((option) => ["ro", "emergency_ro", "shutdown"].includes(option))) failed.add(unescape(fields[4]!));
  }
  return failed;
}

/** The kernel writes blanks in paths as `\040`. */
const unescape = (path: string) =>
  path.replaceAll(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

/** Whether the machine's disk has room again for what a repair and the next run write. */
export function hasRoom(dataDir: string): boolean {
  const { bavail, bsize } = statfsSync(dataDir);
  return bavail * bsize > roomBytes;
}

/** Unmounts and checks it; throws while something in it is open, or when it cannot be mended. Answers as `checkImage`. */
export async function repairVolume(root: string, image: string): Promise<boolean> {
  await runProgram("umount", root);
  if (!(await isLetGo(image))) throw new MachineError("the volume is still in use");
  return checkImage(image);
}

/** Whether the image is mounted nowhere, or not any more before long. */
export async function isLetGo(image: string): Promise<boolean> {
  // A container that starts just now holds a copy of every mount for a moment, also of one that was unmounted since.
  const deadline = performance.now() + letGoMs;
  while ((await runProgram("losetup", "-j", image)) !== "") {
    if (performance.now() > deadline) return false;
    await sleep(20);
  }
  return true;
}

/**
 * Checks a file system that is not mounted, and mends it. Answers whether something may be lost by that: what could not be
 * mended without a decision was, and its metadata as it was is kept beside the image, for `e2image`.
 */
export async function checkImage(image: string, flags: string[] = []): Promise<boolean> {
  const exitCode = await checkWith(image, "-p", ...flags);
  if (exitCode < uncorrected) return false;
  await runProgram("e2image", "-Q", image, `${image}.${new Date().toISOString()}.e2i`);
  const last = await checkWith(image, "-y", ...flags);
  if (last >= uncorrected)
    throw new MachineError(`the file system is damaged and e2fsck cannot mend it (it ended with ${last})`);
  return true;
}

/** Of e2fsck's exit codes: 1 says that errors were corrected, 4 that some were left, more that it could not work. */
const uncorrected = 4;

const checkWith = (image: string, ...flags: string[]): Promise<number> =>
  runProgram("e2fsck", ...flags, image).then(
    () => 0,
    (error: unknown) => {
      if (error instanceof ProgramError && error.exitCode <= uncorrected) return error.exitCode;
      throw error;
    },
  );
