/**
 * A volume that the kernel no longer writes to: what lies below its image failed, mostly because the machine's own disk was
 * full. Once there is room it is unmounted, checked and mounted anew.
 */
import { readFileSync, statfsSync } from "node:fs";
import { sleep } from "@berth/shared/wait";
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

/** Unmounts and checks it; throws while something in it is open, or when it cannot be mended without a person. */
export async function repairVolume(root: string, image: string): Promise<void> {
  await runProgram("umount", root);
  await checkImage(image);
}

/** Checks a file system that is not mounted, and mends it; throws when that needs a person, or while it is mounted somewhere. */
export async function checkImage(image: string, flags: string[] = []): Promise<void> {
  // A container that starts just now holds a copy of every mount for a moment, also of one that was unmounted since.
  const deadline = performance.now() + letGoMs;
  while ((await runProgram("losetup", "-j", image)) !== "") {
    if (performance.now() > deadline) throw new Error("the volume is still in use");
    await sleep(20);
  }
  await runProgram("e2fsck", "-p", ...flags, image).catch((error: unknown) => {
    // 1: errors were corrected.
    if (!(error instanceof ProgramError) || error.exitCode !== 1) throw error;
  });
}
