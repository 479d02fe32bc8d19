import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { runProgram } from "../machine/programs.ts";
import { addQuotas, keepsQuotas, withoutQuotas, withQuotas } from "./quotas.ts";
import { isFullFor, lookForRoom, makeAgentDirectory } from "./volume.ts";
import { Volumes } from "./volumes.ts";

const bytes = 64 * 2 ** 20;
let dir: string;
let root: string;
let image: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "berth-quotas-"));
  root = join(dir, "mnt", "usr_1");
  image = join(dir, "volumes", "usr_1.img");
  mkdirSync(join(dir, "volumes"));
});
afterEach(() => {
  if (execFileSync("losetup", ["-j", image], { encoding: "utf8" }) !== "") execFileSync("umount", ["-l", root]);
  execFileSync("sh", ["-c", 'test ! -e "$1" || chattr -i "$1"', "sh", root]);
  rmSync(dir, { recursive: true });
});
const superblock = () => execFileSync("dumpe2fs", ["-h", image], { encoding: "utf8", stdio: "pipe" });
const hasQuotas = () => /^Filesystem features:.* quota/m.test(superblock());

test.each([
  ["", "stat <3>"],
  [" that are damaged", "sif <3> flags 0"],
])("a disk with quotas%s is mounted whether the kernel keeps them or not, with what lies in it", async (_, change) => {
  execFileSync("mkfs.ext4", ["-q", ...withQuotas, "-d", import.meta.dirname, image, String(bytes / 1024)]);
  execFileSync("debugfs", ["-w", "-R", change, image], { stdio: "pipe" });
  await new Volumes(dir, bytes).ensure("usr_1");
  expect(readFileSync(join(root, "quotas.test.ts"))).toEqual(readFileSync(import.meta.filename));
  writeFileSync(join(root, "written"), "");
  expect(hasQuotas()).toBe(change.startsWith("stat") && (await keepsQuotas(dir)));
});

test("quotas that are added to a disk count what lies in it, and it is checked before it is mounted again", async () => {
  const volume = await new Volumes(dir, bytes).ensure("usr_1");
  const { workspace } = volume;
  await makeAgentDirectory(volume, "agt_1", 20_000);
  writeFileSync(join(workspace, "kept"), "kept");
  execFileSync("umount", [root]);
  await expect.poll(() => execFileSync("losetup", ["-j", image], { encoding: "utf8" })).toBe("");
  await addQuotas(image);
  expect(hasQuotas()).toBe(true);
  expect(superblock()).toMatch(/^Filesystem state: +clean with errors$/m);
  const quota = execFileSync("debugfs", ["-R", "list_quota user", image], { encoding: "utf8", stdio: "pipe" });
  expect(quota).toMatch(/^ +20000 +1024 +0 +0 +1 +/m);
  await new Volumes(dir, bytes).ensure("usr_1");
  expect(superblock()).not.toContain("with errors");
  expect(readFileSync(join(workspace, "kept"), "utf8")).toBe("kept");
});

test("a new disk is sparse, with quotas as without", () => {
  for (const options of [withQuotas, withoutQuotas]) {
    rmSync(image, { force: true });
    execFileSync("mkfs.ext4", ["-q", ...options, image, "10G"]);
    expect(statSync(image).blocks * 512).toBeLessThan(16 * 2 ** 20);
  }
});

test("an agent that has not what it may have is full where the disk is, and not before", async () => {
  const volume = await new Volumes(dir, bytes).ensure("usr_1");
  await makeAgentDirectory(volume, "agt_1", 20_000);
  const look = lookForRoom(root, 20_000);
  const free = () => statfsSync(root).bavail * statfsSync(root).bsize;
  writeFileSync(join(root, "fill"), Buffer.alloc(free() - 2 * 2 ** 20));
  expect(await isFullFor(root, 20_000)).toBe(false);
  expect(look()).toBe(false);
  writeFileSync(join(root, "more"), Buffer.alloc(free() - 2 ** 19));
  expect(await isFullFor(root, 20_000)).toBe(true);
  expect(look()).toBe(true);
});

test("a file system without quotas is asked in vain, and one that is not there is an error", async () => {
  expect(await runProgram("setquota", "/proc", "1", "1", "20000", "20001")).toBe("");
  expect(await runProgram("getquota", "/proc", "20000")).toBe("0 0");
  await expect(runProgram("getquota", join(dir, "missing"), "20000")).rejects.toThrow(/missing: No such file/);
});
