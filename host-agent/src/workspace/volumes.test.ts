import { execFileSync } from "node:child_process";
import {
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { noteEnd, readEnd } from "../run/run-files.ts";
import { Volumes } from "./volumes.ts";
import { makeOwnDirectory } from "@berth/shared/node/own-directory";

const mib = 2 ** 20;
let dir: string;
let root: string;
beforeEach(() => {
  dir = makeOwnDirectory("volume");
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
/** Until no file can be made, by root neither: blocks are kept for root, inodes are not. */
function useInodes(directory: string): void {
  for (let at = 0; statfsSync(root).ffree > 0; at++) writeFileSync(join(directory, `inode-${at}`), "");
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

test("a volume is of its user's own size, and grows as soon as nothing in it is open", async () => {
  let bytes = 128 * mib;
  const volumes = new Volumes(
    dir,
    64 * mib,
    () => {},
    () => bytes,
  );
  const volume = await volumes.ensure("usr_1");
  expect(sizeOf()).toBeGreaterThan(100 * mib);
  const open = openSync(join(volume.workspace, "open"), "w");
  bytes = 256 * mib;
  await volumes.unmountSmall("usr_1");
  expect((await volumes.ensure("usr_1")).limitBytes).toBe(128 * mib);
  writeSync(open, "kept");
  closeSync(open);
  await volumes.unmountSmall("usr_1");
  expect((await volumes.ensure("usr_1")).limitBytes).toBe(256 * mib);
  expect(sizeOf()).toBeGreaterThan(200 * mib);
  bytes = 64 * mib;
  await volumes.unmountSmall("usr_1");
  expect((await volumes.ensure("usr_1")).limitBytes).toBe(256 * mib);
  expect(readFileSync(join(volume.workspace, "open"), "utf8")).toBe("kept");
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

test("an image that cannot be looked at is an error, and no blank one takes its place", async () => {
  const image = join(dir, "volumes", "usr_1.img");
  mkdirSync(join(dir, "volumes"));
  symlinkSync(image, image);
  const volumes = new Volumes(dir, 64 * mib);
  await expect(volumes.ensure("usr_1")).rejects.toThrow("ELOOP");
  expect(lstatSync(image).isSymbolicLink()).toBe(true);
  rmSync(image);
  await volumes.ensure("usr_1");
});

test("a volume whose growing was broken off grows at the next try", async () => {
  await new Volumes(dir, 64 * mib).ensure("usr_1");
  truncateSync(join(dir, "volumes", "usr_1.img"), 256 * mib);
  await remount(256 * mib);
  expect(sizeOf()).toBeGreaterThan(200 * mib);
});

test("a volume that a person unmounted is mounted again when it is asked for, also while a container holds the earlier mount", async () => {
  const volumes = new Volumes(dir, 64 * mib);
  const { workspace } = await volumes.ensure("usr_1");
  const held = makeOwnDirectory("held");
  execFileSync("mount", ["--bind", workspace, held]);
  execFileSync("umount", [root]);
  await volumes.ensure("usr_1");
  writeFileSync(join(held, "shared", "written-inside"), "seen");
  expect(readFileSync(join(workspace, "shared", "written-inside"), "utf8")).toBe("seen");
  expect(
    execFileSync("losetup", ["-j", join(dir, "volumes", "usr_1.img")], { encoding: "utf8" }).split("\n").length,
  ).toBe(2);
  execFileSync("umount", [held]);
  rmSync(held, { recursive: true });
});

test("a volume that was made immutable by a late chattr of a process that was killed is made ready all the same", async () => {
  await new Volumes(dir, 64 * mib).ensure("usr_1");
  execFileSync("chattr", ["+i", root]);
  const { trash } = await remount(64 * mib);
  writeFileSync(join(trash, "..", "written"), "");
});

test("a volume that is removed leaves nothing, not while something in it is open, and the next one is empty", async () => {
  const volumes = new Volumes(dir, 64 * mib);
  const { workspace } = await volumes.ensure("usr_1");
  writeFileSync(join(dir, "volumes", "usr_1.img.2026-01-01T00:00:00.000Z.e2i"), "a copy of its metadata");
  writeFileSync(join(dir, "volumes", "usr_10.img"), "");
  const kept = openSync(join(workspace, "kept"), "w");
  await expect(volumes.remove("usr_1")).rejects.toThrow(/busy/);
  expect(volumes.exists("usr_1")).toBe(true);
  closeSync(kept);
  await volumes.remove("usr_1");
  await volumes.remove("usr_1");
  expect(readdirSync(join(dir, "volumes"))).toEqual(["usr_10.img"]);
  expect(readdirSync(join(dir, "mnt"))).toEqual([]);
  expect(readdirSync((await volumes.ensure("usr_1")).workspace)).toEqual(["shared"]);
});

/** Overwrites the block of a directory, as a failing disk does, and lets the kernel find it. */
async function damage(workspace: string) {
  mkdirSync(join(workspace, "agent-1"));
  writeFileSync(join(workspace, "agent-1", "lost"), "lost");
  writeFileSync(join(workspace, "shared", "kept"), "kept");
  execFileSync("umount", [root]);
  const image = join(dir, "volumes", "usr_1.img");
  // What the loop device still writes would mend it.
  await expect.poll(() => execFileSync("losetup", ["-j", image], { encoding: "utf8" })).toBe("");
  const block = execFileSync("debugfs", ["-R", "blocks /workspace/agent-1", image], {
    encoding: "utf8",
    stdio: "pipe",
  });
  const file = openSync(image, "r+");
  writeSync(file, Buffer.alloc(1024, "garbage"), 0, 1024, Number(block) * 1024);
  closeSync(file);
  await new Volumes(dir, 64 * mib).ensure("usr_1");
  expect(() => readdirSync(join(workspace, "agent-1"))).toThrow();
}
const notes = () => readdirSync(join(root, "workspace", "shared")).filter((name) => name.startsWith("file-system"));
const copies = () => readdirSync(join(dir, "volumes")).filter((name) => name.endsWith(".e2i"));

test("a damaged file system fails at the first error, is mended with what it cost, and its user is told", async () => {
  const volumes = new Volumes(dir, 64 * mib);
  const { workspace } = await volumes.ensure("usr_1");
  await damage(workspace);
  expect(volumes.mendable()).toEqual(["usr_1"]);
  await volumes.mend("usr_1");
  await volumes.ensure("usr_1");
  expect(readFileSync(join(workspace, "shared", "kept"), "utf8")).toBe("kept");
  expect(readdirSync(join(workspace, "agent-1"))).toEqual([]);
  expect([notes().length, copies().length]).toEqual([1, 1]);
});

test("a file system that says it has errors is checked before it is mounted", async () => {
  const volumes = new Volumes(dir, 64 * mib);
  const { workspace } = await volumes.ensure("usr_1");
  await damage(workspace);
  execFileSync("umount", [root]);
  await volumes.ensure("usr_1");
  expect(readdirSync(join(workspace, "agent-1"))).toEqual([]);
  expect(notes().length).toBe(1);
  // What has been mended is not checked again.
  await remount(64 * mib);
  expect([notes().length, copies().length]).toEqual([1, 1]);
});

test("on a disk that is full to its last inode an end is noted still, and later ones in place of the oldest", async () => {
  const volume = await new Volumes(dir, 64 * mib).ensure("usr_1");
  useInodes(volume.trash);
  const end = { reason: "disk_full", exitCode: null, endedAt: "2026-01-01T00:00:00.000Z" } as const;
  await noteEnd(volume, "run_a", end);
  expect(readEnd(volume, "run_a")).toEqual(end);
  expect(readEnd(volume, "run_b")).toBeNull();
  for (let at = 0; at < 100; at++) await noteEnd(volume, `run_${at}`, end);
  expect(readEnd(volume, "run_99")).toEqual(end);
  expect(statSync(join(root, "ends")).size).toBeLessThan(4096);
});
