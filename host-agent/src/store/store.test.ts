import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openDatabase } from "./open.ts";
import { Store } from "./store.ts";

let dir: string;
beforeEach(() => void (dir = mkdtempSync(join(tmpdir(), "berth-store-"))));
afterEach(() => rmSync(dir, { recursive: true }));
const open = () => new Store(openDatabase(join(dir, "host.db")), Date.now);
const spec = { id: "agt_a", version: 1, name: "a", runtime: "shell", model: null, instructions: null } as const;
const run = (id: string) =>
  ({
    id,
    agentId: "agt_a",
    userId: "usr_u",
    trigger: { kind: "api", triggerId: null },
    prompt: "x",
    payload: null,
  }) as const;

test("a revision that was told is never given again, also when its row is gone and the process starts anew", () => {
  const first = open();
  first.learnAgent("usr_u", spec, null);
  first.admit(run("run_1"), 3);
  first.updateRun("run_1", { status: "completed", endedAt: new Date().toISOString() });
  first.updateRun("run_1", { status: "failed" });
  const told = first.revision();
  first.removeRun("run_1");
  first.close();
  const second = open();
  second.admit(run("run_2"), 3);
  second.updateRun("run_2", {});
  expect(second.changedSince(told, 1e6).runs.map(({ id }) => id)).toEqual(["run_2"]);
  second.close();
});

test("a run is not told before it is promised", () => {
  const store = open();
  store.learnAgent("usr_u", spec, null);
  store.admit(run("run_1"), 3);
  expect(store.changedSince(0, 1e6).runs).toEqual([]);
  store.updateRun("run_1", {});
  expect(store.changedSince(0, 1e6).runs).toHaveLength(1);
  store.close();
});

test("what does not fit one report comes with the next, and nothing is left out", () => {
  const store = open();
  store.learnAgent("usr_u", spec, null);
  const ids = Array.from({ length: 20 }, (_, at) => `run_${at}`);
  for (const id of ids) {
    store.admit({ ...run(id), prompt: "p".repeat(1000) }, 3);
    store.updateRun(id, { status: "completed", endedAt: new Date().toISOString() });
  }
  const seen: string[] = [];
  let held = 0;
  while (held < store.revision()) {
    const report = store.changedSince(held, 5000);
    seen.push(...report.runs.map(({ id }) => id));
    expect(report.rev).toBeGreaterThan(held);
    held = report.rev;
  }
  expect(seen).toEqual(ids);
  store.close();
});

test("environments and prompts are shown to no other user of the machine", () => {
  const store = open();
  store.learnAgent("usr_u", spec, null);
  const modes = readdirSync(dir).map((name) => [name, statSync(join(dir, name)).mode & 0o077]);
  expect(modes).toEqual([
    ["host.db", 0],
    ["host.db-shm", 0],
    ["host.db-wal", 0],
  ]);
  store.close();
});

test("a kill counts for the victim's run in the container where it was, and for no other of that uid", () => {
  const store = open();
  const agent = store.learnAgent("usr_u", spec, null) as { uid: number };
  store.admit(run("run_1"), 3);
  expect(store.countOomKill(agent.uid, "/docker/c0ffee")).toBeNull();
  store.updateRun("run_1", { containerId: "c0ffee" });
  expect(store.countOomKill(agent.uid, "/docker/another")).toBeNull();
  expect(store.countOomKill(agent.uid + 1, "/docker/c0ffee")).toBeNull();
  expect(store.countOomKill(agent.uid, "/system.slice/docker-c0ffee.scope")).toMatchObject({
    id: "run_1",
    oomKills: 1,
  });
  store.close();
});
