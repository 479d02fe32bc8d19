import { execFileSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Volumes } from "./volumes.ts";

const mib = 2 ** 20;
let dir: string;
let root: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "berth-volume-"));
  root = join(dir, "mnt", "usr_1");
});
afterEach(() => {
  execFileSync("umount", ["-l", root]);
  execFileSync("chattr", ["-i", root]);
  rmSync(dir, { recursive: true });
});

/** Mounts the user's volume as a host agent with this setting does, after the earlier one let go of it. */
async function remount(limitBytes: number) {
  execFileSync("umount", [root]);
  return new Volumes(dir, limitBytes).ensure("usr_1");
}
const sizeOf = () => statfsSync(root).blocks * statfsSync(root).bsize;

test("a volume grows with its setting when it is mounted next, keeps its files, and never shrinks", async () => {
  const { workspace } = await new Volumes(dir, 64 * mib).ensure("usr_1");
  writeFileSync(join(workspace, "kept"), "kept");
  expect(sizeOf()).toBeLessThan(64 * mib);

  expect((await remount(256 * mib)).limitBytes).toBe(256 * mib);
  expect(sizeOf()).toBeGreaterThan(200 * mib);
  expect((await remount(64 * mib)).limitBytes).toBe(256 * mib);
  expect(sizeOf()).toBeGreaterThan(200 * mib);
  expect(readFileSync(join(workspace, "kept"), "utf8")).toBe("kept");
});

test("a volume takes the image made ahead, users who come at once have one each, and what was left half-made goes", async () => {
  const images = join(dir, "volumes");
  mkdirSync(images);
  writeFileSync(join(images, "left.new"), "");
  const volumes = new Volumes(dir, 64 * mib);
  volumes.start();
  await expect.poll(() => readdirSync(images)).toEqual([expect.stringMatching(/^(?!left).*\.new$/)]);
  const ahead = statSync(join(images, readdirSync(images)[0]!)).ino;
  const users = ["usr_1", "usr_2", "usr_3"];
  await Promise.all(users.map((userId) => volumes.ensure(userId)));
  for (const userId of users.slice(1)) execFileSync("umount", [join(dir, "mnt", userId)]);
  for (const userId of users.slice(1)) execFileSync("chattr", ["-i", join(dir, "mnt", userId)]);
  const inodes = users.map((userId) => statSync(join(images, `${userId}.img`)).ino);
  expect(new Set(inodes).size).toBe(3);
  expect(inodes).toContain(ahead);
});

test("a volume whose growing was broken off grows at the next try", async () => {
  await new Volumes(dir, 64 * mib).ensure("usr_1");
  truncateSync(join(dir, "volumes", "usr_1.img"), 256 * mib);
  await remount(256 * mib);
  expect(sizeOf()).toBeGreaterThan(200 * mib);
});
