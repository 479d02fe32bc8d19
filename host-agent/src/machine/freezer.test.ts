import { execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { forkChain } from "../../test/fork-chain.ts";
import type { Cgroup } from "./cgroup.ts";
import { letGoOn, whileFrozen } from "./freezer.ts";
import { readProc } from "./proc.ts";
import { endProcesses, isWithout, proveWithout } from "./processes.ts";

/** Of cgroup v2, which every kernel mounts beside v1: its freezer needs no controller. */
const uid = 64_001;
const isOurs = (owner: { uid: number }) => owner.uid === uid;
let dir: string;
let cgroup: Cgroup;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "berth-cgroup-"));
  chmodSync(dir, 0o777);
  mkdirSync(join(dir, "root"));
  execFileSync("mount", ["-t", "cgroup2", "cgroup2", join(dir, "root")]);
  const path = join(dir, "root", `berth-freezer-${process.pid}`);
  mkdirSync(path);
  cgroup = { version: 2, memory: path, cpu: path, pids: path, freezer: path };
  writeFileSync(join(dir, "chain"), Buffer.from(forkChain, "base64"), { mode: 0o755 });
  const enter = `echo $$ > ${path}/cgroup.procs; exec setpriv --reuid ${uid} --regid ${uid} --clear-groups ./chain`;
  spawn("sh", ["-c", enter], { cwd: dir, stdio: "inherit" });
  await vi.waitUntil(() => steps() > 1000n, { timeout: 60_000 });
});
afterEach(async () => {
  await endProcesses(cgroup, isOurs, 0);
  rmdirSync(cgroup.freezer);
  execFileSync("umount", [join(dir, "root")]);
  rmSync(dir, { recursive: true });
});

function steps(): bigint {
  try {
    return readFileSync(join(dir, "count")).readBigUInt64LE(0);
  } catch {
    return 0n;
  }
}
/** While a program goes by, thousands of steps would be made. */
const stepsOverAWhile = () => {
  const before = steps();
  execFileSync("sleep", ["0.2"]);
  return steps() - before;
};

test("with cgroup v2 no chain of forks survives its end, and that is proved", async () => {
  expect(stepsOverAWhile()).toBeGreaterThan(0n);
  expect(isWithout(cgroup, isOurs)).toBe(false);
  await endProcesses(cgroup, isOurs, 0);
  expect(stepsOverAWhile()).toBe(0n);
  expect(await proveWithout(cgroup, isOurs)).toBe(true);
  expect(readFileSync(join(cgroup.pids, "cgroup.procs"), "utf8")).toBe("");
});

test("with cgroup v2 what is frozen stands still and goes on after it, also what a killed process left so", async () => {
  expect(await whileFrozen(cgroup, stepsOverAWhile)).toBe(0n);
  expect(stepsOverAWhile()).toBeGreaterThan(0n);
  writeFileSync(join(cgroup.freezer, "cgroup.freeze"), "1");
  await expect.poll(stepsOverAWhile).toBe(0n);
  await letGoOn(cgroup);
  expect(stepsOverAWhile()).toBeGreaterThan(0n);
});

test("a container that the kernel does not let go on is told of, not waited for without end", async () => {
  const broken = join(dir, "broken");
  mkdirSync(broken);
  // Every write to it fails as that of a full disk does.
  symlinkSync("/dev/full", join(broken, "cgroup.freeze"));
  await expect(letGoOn({ ...cgroup, freezer: broken })).rejects.toThrow(/^a container stays frozen: ENOSPC/);
});

test("whoever may not look at a process does not take it for gone", () => {
  const file = join(dir, "secret");
  writeFileSync(file, "there", { mode: 0o600 });
  chmodSync(dir, 0o755);
  process.seteuid!(uid);
  try {
    expect(() => readProc(file)).toThrow("EACCES");
  } finally {
    process.seteuid!(0);
  }
  expect(readProc(file)).toBe("there");
  expect(readProc(`${file}.gone`)).toBeNull();
});
