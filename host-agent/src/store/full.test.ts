import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openDatabase } from "./open.ts";
import { Store } from "./store.ts";
import { unseenAgent } from "@berth/shared/host-api";
import { threeRuns } from "../../test/room.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "berth-store-"));
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", dir]);
});
afterEach(() => {
  execFileSync("umount", ["-l", dir]);
  rmSync(dir, { recursive: true });
});

test("a change that a full disk did not take is not answered as made", () => {
  const file = join(dir, "host.db");
  const store = new Store(openDatabase(file), Date.now);
  const spec = { ...unseenAgent("agt_1"), version: 1, name: "a" };
  store.learnAgent("usr_1", spec, null);
  store.admit(
    {
      id: "run_1",
      agentId: "agt_1",
      userId: "usr_1",
      trigger: { kind: "api", triggerId: null },
      prompt: "x",
      payload: null,
    },
    threeRuns,
  );
  execFileSync("sh", ["-c", `cat /dev/zero > ${dir}/ballast || true`], { stdio: "ignore" });
  let told: string | null = null;
  expect(() => {
    for (let at = 0; at < 1000; at++)
      told = store.updateRun("run_1", { result: `${at} ${"x".repeat(5000)}` })?.result ?? null;
  }).toThrow(/full/);
  const other = new Database(file, { readonly: true });
  expect(other.prepare("select result from runs").pluck().get()).toBe(told);
  other.close();
  store.close();
});
