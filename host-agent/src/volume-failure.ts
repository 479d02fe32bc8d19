/**
 * A volume that the kernel no longer writes to: what lies below its image failed, mostly because the machine's own disk was
 * full. Once there is room it is unmounted, checked and mounted anew.
 */
import { execFile } from "node:child_process";
import { readFileSync, statfsSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";

const exec = promisify(execFile);
const roomBytes = 64 * 2 ** 20;
const letGoMs = 10_000;

/** Whether the file system mounted at `root` has failed: the kernel lets nobody write to it. */
export function hasFailed(root: string): boolean {
  const line = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .find((mount) => mount.split(" ")[4] === root);
  const options = line?.split(" ").at(-1)?.split(",") ?? [];
  return options.some((option) => ["ro", "emergency_ro", "shutdown"].includes(option));
}

/** Whether the machine's disk has room again for what a repair and the next run write. */
export function hasRoom(dataDir: string): boolean {
  const { bavail, bsize } = statfsSync(dataDir);
  return bavail * bsize > roomBytes;
}

/** Unmounts and checks it; throws while something in it is open, or when it cannot be mended without a person. */
export async function repairVolume(root: string, image: string): Promise<void> {
  await exec("umount", [root]);
  // A container that starts just now holds a copy of every mount for a moment: mounted meanwhile, it is the failed one again.
  const deadline = performance.now() + letGoMs;
  while ((await exec("losetup", ["-j", image])).stdout.trim() !== "") {
    if (performance.now() > deadline) throw new Error("the volume is still in use");
    await delay(20);
  }
  await checkImage(image);
}

/** Checks a file system that is not mounted, and mends it; throws when that needs a person. */
export async function checkImage(image: string, flags: string[] = []): Promise<void> {
  await exec("e2fsck", ["-p", ...flags, image]).catch((error: { code?: number }) => {
    // 1: errors were corrected.
    if (error.code !== 1) throw error;
  });
}
