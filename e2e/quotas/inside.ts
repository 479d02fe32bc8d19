/**
 * What runs on a kernel that keeps quotas (`main.ts`): the host agent's own volumes, agents' programs under their uids. First without
 * the module, then with it. Throws at the first thing that is not so.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { makeRunFiles, readExit, runDirectory, sealRunFiles } from "../../host-agent/src/run/run-files.ts";
import { runGid } from "../../host-agent/src/store/uids.ts";
import { isFullFor, lookForRoom, makeAgentDirectory, type Volume } from "../../host-agent/src/workspace/volume.ts";
import { Volumes } from "../../host-agent/src/workspace/volumes.ts";

const mib = 2 ** 20;
const [first, second] = [20_000, 20_001];
const image = (userId: string) => `/data/volumes/${userId}.img`;
const point = (userId: string) => `/data/mnt/${userId}`;
const features = (userId: string) =>
  execFileSync("dumpe2fs", ["-h", image(userId)], { encoding: "utf8", stdio: "pipe" });
const hasQuotas = (userId: string) => /^Filesystem features:.* quota/m.test(features(userId));
const unmount = (userId: string) => execFileSync("umount", [point(userId)]);
const open = (bytes = 64 * mib) => new Volumes("/data", bytes);

/** What an agent's shell says, and its exit code. */
function say(uid: number, directory: string, command: string): string {
  const { stdout, stderr, status } = spawnSync("sh", ["-c", command], {
    uid,
    gid: runGid,
    cwd: directory,
    encoding: "utf8",
  });
  return `${stdout}${stderr}${status}`;
}
async function step(what: string, check: () => Promise<void>): Promise<void> {
  const at = performance.now();
  await check();
  process.stdout.write(`ok ${what} (${Math.round(performance.now() - at)} ms)\n`);
}
async function mountWith(userId: string, bytes?: number): Promise<Volume> {
  const volume = await open(bytes).ensure(userId);
  for (const [at, uid] of [first, second].entries()) await makeAgentDirectory(volume, `agt_${at}`, uid);
  return volume;
}
const runFiles = {
  token: "t",
  container: "c",
  prompt: "p",
  attachments: null,
  payload: null,
  env: "",
  instructions: null,
  in: "",
};

mkdirSync("/data/volumes", { recursive: true });
mkdirSync("/data/mnt");
await step("without the module a disk has no quotas, and nobody a limit", async () => {
  const { tmp, root } = await mountWith("usr_old");
  assert(!hasQuotas("usr_old"));
  assert.match(say(first, tmp, "cat /dev/zero > fill"), /No space left/);
  assert(await isFullFor(root, second));
  say(first, tmp, "rm fill; echo kept > kept");
  unmount("usr_old");
});
execFileSync("mkfs.ext4", ["-q", "-O", "quota", "-E", "quotatype=usrquota", image("usr_came"), "64M"]);
await step("a disk with quotas is mounted without the module all the same", async () => {
  await mountWith("usr_came");
  assert(!hasQuotas("usr_came"));
  unmount("usr_came");
});

// From here on the kernel finds the module by itself.
execFileSync("sh", ["-c", 'mkdir -p /lib/modules && mv /modules "/lib/modules/$(uname -r)" && depmod']);
await step("a disk of before has them at its next mount, and what it had", async () => {
  const { tmp } = await mountWith("usr_old");
  assert(hasQuotas("usr_old"));
  assert.equal(readFileSync(join(tmp, "kept"), "utf8"), "kept\n");
  unmount("usr_old");
});
const volume = await mountWith("usr_new");
const { tmp, root, workspace } = volume;
await step("an agent that fills /tmp leaves the others room, and is told as full", async () => {
  assert(hasQuotas("usr_new"));
  assert.equal(await isFullFor(root, first), false);
  assert.match(say(first, tmp, "cat /dev/zero > fill"), /Disk quota exceeded/);
  const { bavail, bsize } = statfsSync(root);
  assert(bavail * bsize > 3 * mib, `${bavail * bsize} bytes are left`);
  assert.equal(say(second, tmp, "head -c 2097152 /dev/zero > some && echo written"), "written\n0");
  assert.equal(await isFullFor(root, first), true);
  assert.equal(await isFullFor(root, second), false);
  assert.match(say(first, join(workspace, "agent-agt_0"), "cat /dev/zero > more"), /Disk quota exceeded/);
});
await step("a look that waits for nobody knows it at the next", async () => {
  const look = lookForRoom(root, first);
  assert.equal(look(), false);
  while (!look()) await new Promise((resolve) => setTimeout(resolve, 5));
});
await step("a run of a full agent says its first words and its exit code, and can make room", async () => {
  await makeRunFiles(volume, "run_a", first, runFiles);
  const script =
    'exec 3>>exit; echo words >> out; cat /dev/zero > "$0"/more; echo "$?" >> out; rm "$0"/fill; echo begun >&3; echo 7 >&3';
  assert.match(say(first, runDirectory(volume, "run_a"), `sh -c '${script}' ${tmp}`), /Disk quota exceeded/);
  assert.equal(readFileSync(join(runDirectory(volume, "run_a"), "out"), "utf8"), "words\n1\n");
  assert.equal(readExit(volume, "run_a").code, 7);
  await sealRunFiles(volume, "run_a", mib);
  assert.equal(await isFullFor(root, first), false);
});
unmount("usr_new");
await step("inodes are kept as bytes are", async () => {
  const { tmp, root } = await mountWith("usr_small", 32 * mib);
  const fill = "mkdir many; i=0; while : > many/$i; do i=$((i+1)); done";
  assert.match(say(first, tmp, fill), /Disk quota exceeded/);
  assert(await isFullFor(root, first));
  assert.equal(say(second, tmp, "for i in 1 2 3 4 5 6 7 8 9; do echo > $i || exit; done; echo made"), "made\n0");
});
await step("a disk that grows has larger limits, and keeps what was counted", async () => {
  const grown = await mountWith("usr_new", 128 * mib);
  assert.equal(say(first, grown.tmp, "head -c 73400320 /dev/zero > large && echo written"), "written\n0");
  assert.match(say(first, grown.tmp, "cat /dev/zero > fill"), /Disk quota exceeded/);
  unmount("usr_new");
});
await step("a disk whose quotas are damaged is mounted, and has them again at the next mount", async () => {
  execFileSync("debugfs", ["-w", "-R", "clri <3>", image("usr_new")], { stdio: "pipe" });
  await mountWith("usr_new", 128 * mib);
  unmount("usr_new");
  const again = await mountWith("usr_new", 128 * mib);
  assert(hasQuotas("usr_new"));
  assert.match(say(first, again.tmp, "cat /dev/zero > fill"), /Disk quota exceeded/);
});
await step("a disk of before that is full to its last block is mounted", async () => {
  const { root } = await mountWith("usr_old");
  const fill = "cat /dev/zero > big; i=0; while head -c 1024 /dev/zero > $i; do i=$((i+1)); done";
  spawnSync("sh", ["-c", fill], { cwd: root, stdio: "ignore" });
  unmount("usr_old");
  execFileSync("tune2fs", ["-O", "^quota", image("usr_old")], { stdio: "ignore" });
  const { tmp } = await mountWith("usr_old");
  assert.equal(readFileSync(join(tmp, "kept"), "utf8"), "kept\n");
  process.stdout.write(`with quotas: ${hasQuotas("usr_old")}\n`);
});
process.exit();
