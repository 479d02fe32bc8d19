/** What a test run leaves that was killed. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { withLock } from "../scripts/setup/lock.mjs";
import { makeOwnDirectory } from "@berth/shared/node/own-directory";
import { sweep } from "./harness/traces.ts";

const sweepAlone = () => withLock("sweep of test machines", sweep);
/** Ends with the test that began it, if not before. */
function begin(args: string[], env: Record<string, string> = {}): ChildProcess {
  const child = spawn("tail", ["-f", "/dev/null", ...args], {
    env: { PATH: process.env["PATH"]!, ...env },
    stdio: "ignore",
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

test("is removed before the next one begins: its processes, by what they were told or where they live, its mounts and files", async () => {
  const dead = spawnSync("true").pid;
  const run = mkdtempSync(join(tmpdir(), "berth-e2e-"));
  writeFileSync(join(run, "owner"), String(dead));
  writeFileSync(join(run, "gateway.log"), "");
  const mounted = join(tmpdir(), `berth-test-${dead}-mounted-abcdef`);
  for (const dir of [mounted, join(mounted, "below")]) {
    mkdirSync(dir);
    execFileSync("mount", ["-t", "tmpfs", "none", dir]);
  }
  const left = [begin([join(run, "gateway.log")]), begin([], { HOME: run })];
  const ended = Promise.all(left.map((child) => once(child, "exit")));
  await sweepAlone();
  await ended;
  expect([existsSync(run), existsSync(mounted)]).toEqual([false, false]);
  expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(mounted);
});

test("stays while its run goes on", async () => {
  const mine = makeOwnDirectory("going");
  const child = begin([], { HOME: mine });
  await sweepAlone();
  expect([existsSync(mine), child.exitCode, child.signalCode]).toEqual([true, null, null]);
  execFileSync("rm", ["-r", mine]);
});
