import { execFileSync } from "node:child_process";
import { chownSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Volumes } from "./volumes.ts";
import { makeOwnDirectory } from "@berth/shared/node/own-directory";

let dir: string;
let volumes: Volumes;
beforeEach(() => {
  dir = makeOwnDirectory("volume");
  // The machine's disk: smaller than what the volume promises.
  execFileSync("truncate", ["-s", String(160 * 2 ** 20), `${dir}.disk`]);
  execFileSync("mkfs.ext4", ["-q", "-F", "-m", "0", `${dir}.disk`]);
  execFileSync("mount", ["-o", "loop", `${dir}.disk`, dir]);
  volumes = new Volumes(dir, 256 * 2 ** 20);
});
afterEach(() => {
  execFileSync("umount", ["-l", join(dir, "mnt", "usr_1")]);
  execFileSync("umount", ["-l", dir]);
  rmSync(dir, { recursive: true });
  rmSync(`${dir}.disk`);
});

test("a volume under which the machine's disk was full is mended once there is room, and keeps its files", async () => {
  const { workspace } = await volumes.ensure("usr_1");
  writeFileSync(join(workspace, "kept"), "kept");
  mkdirSync(join(workspace, "agent-1"));
  chownSync(join(workspace, "agent-1"), 20_007, 0);
  execFileSync("sync");
  execFileSync("sh", ["-c", `cat /dev/zero > ${dir}/ballast || true`], { stdio: "ignore" });
  const write = () => {
    try {
      execFileSync("sh", ["-c", `head -c 30000000 /dev/urandom > ${workspace}/big; sync -f ${workspace}`], {
        stdio: "ignore",
      });
    } catch {
      // That is the point.
    }
  };
  await expect
    .poll(() => (write(), readFileSync("/proc/self/mountinfo", "utf8").match(/usr_1.*(emergency_ro|[ ,]ro\b)/)), {
      timeout: 100_000,
    })
    .toBeTruthy();
  expect(volumes.mendable()).toEqual([]);
  // A host that starts now with a new database still learns the uids in use.
  const owners: number[] = [];
  const later = new Volumes(dir, 256 * 2 ** 20, (uid) => owners.push(uid));
  expect([await later.readOwners(), owners]).toEqual([[], [20_007]]);
  rmSync(join(dir, "ballast"));
  expect(volumes.mendable()).toEqual(["usr_1"]);
  await volumes.mend("usr_1");
  expect(volumes.mendable()).toEqual([]);
  const again = await volumes.ensure("usr_1");
  expect(readFileSync(join(again.workspace, "kept"), "utf8")).toBe("kept");
  writeFileSync(join(again.workspace, "new"), "written");
});
