import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import Database from "better-sqlite3";
import { migrate } from "./migrations.ts";
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

test("a payload is kept until its run has begun or ended, also over a restart, and the prompt for as long as the run", () => {
  const first = open();
  first.learnAgent("usr_u", spec, null);
  for (const id of ["run_1", "run_2"]) {
    first.admit({ ...run(id), agentId: id, payload: "cGF5bG9hZA" }, 3);
    first.updateRun(id, { execId: "exec", containerId: "c0ffee" });
  }
  first.close();
  const second = open();
  expect(second.inputOf("run_1")).toEqual({ prompt: "x", payload: "cGF5bG9hZA" });
  second.updateRun("run_1", { status: "running", startedAt: new Date().toISOString() });
  second.updateRun("run_2", { status: "cancelled", endedAt: new Date().toISOString() });
  for (const id of ["run_1", "run_2"]) expect(second.inputOf(id)).toEqual({ prompt: "x", payload: null });
  second.removeRun("run_2");
  expect(second.inputOf("run_2")).toBeNull();
  second.close();
});

test("a call of the model rewrites a few pages, however long the prompt is", () => {
  const db = openDatabase(join(dir, "host.db"));
  const store = new Store(db, Date.now);
  store.learnAgent("usr_u", spec, null);
  store.admit({ ...run("run_1"), prompt: "p".repeat(2 ** 20) }, 3);
  db.pragma("wal_checkpoint(TRUNCATE)");
  const usage = { inputTokens: 99, outputTokens: 99, cacheReadTokens: 0, cacheWriteTokens: 0, costUsd: 0.01 };
  for (let call = 0; call < 50; call++) store.addUsage("run_1", usage);
  expect(statSync(join(dir, "host.db-wal")).size).toBeLessThan(50 * 5 * 4096);
  store.close();
});

test("a database of the first version keeps its runs, and the payloads of those alone that have not begun", () => {
  const db = new Database(":memory:");
  migrate(db, 1);
  for (const [id, startedAt] of [
    ["run_1", "2026-01-01T00:00:00.000Z"],
    ["run_2", null],
  ])
    db.prepare(
      `INSERT INTO runs (id, agent_id, user_id, rev, status, trigger_kind, prompt, payload, created_at, started_at, token)
       VALUES (?, 'agt_a', 'usr_u', 7, 'starting', 'webhook', 'the prompt', 'cGF5bG9hZA', '2026-01-01T00:00:00.000Z', ?, 't')`,
    ).run(id, startedAt);
  const store = new Store(db, Date.now);
  expect(store.activeRuns("usr_u").map(({ id }) => [id, store.inputOf(id)])).toEqual([
    ["run_1", { prompt: "the prompt", payload: null }],
    ["run_2", { prompt: "the prompt", payload: "cGF5bG9hZA" }],
  ]);
  store.close();
});

test("a run is answered with every field by its name", () => {
  const store = open();
  store.learnAgent("usr_u", spec, null);
  store.admit({ ...run("run_1"), trigger: { kind: "webhook", triggerId: "trg_1" } }, 3, true);
  const usage = { inputTokens: 1, outputTokens: 2, cacheReadTokens: 3, cacheWriteTokens: 4, costUsd: 5 };
  store.addUsage("run_1", usage);
  store.intend("run_1", "cancelled");
  const change = {
    status: "cancelled",
    reason: "cancelled",
    result: "r",
    exitCode: 6,
    oomKills: 7,
    logBytes: 8,
    stderrTail: "s",
    startedAt: "2026-01-01T00:00:00.000Z",
    endedAt: "2026-01-01T00:00:01.000Z",
    containerId: "c",
    execId: "e",
    modelStatus: 200,
  } as const;
  const { token, createdAt } = store.getRun("run_1")!;
  expect(store.updateRun("run_1", change)).toEqual({
    id: "run_1",
    agentId: "agt_a",
    userId: "usr_u",
    rev: store.revision(),
    trigger: { kind: "webhook", triggerId: "trg_1" },
    usage,
    intent: "cancelled",
    createdAt,
    token,
    ...change,
  });
  expect(token).toMatch(/^brt_/);
  store.close();
});

test("whoever watches a user's runs reads no change of others twice, and none by a scan", () => {
  const statements: string[] = [];
  const db = new Database(":memory:", { verbose: (text) => void statements.push(String(text)) });
  const store = new Store(db, Date.now);
  const changed = store.watchRuns("usr_u");
  for (let at = 0; at < 100; at++) {
    store.admit({ ...run(`run_${at}`), agentId: `agt_${at}`, userId: `usr_${at}` }, 3, true);
    expect(changed()).toEqual([]);
  }
  const before = store.revision();
  store.admit(run("run_own"), 3, true);
  expect(changed().map(({ id }) => id)).toEqual(["run_own"]);
  const query = statements.findLast((text) => text.includes("rev > "))!;
  expect(Number(/rev > (\d+)/.exec(query)![1])).toBe(before);
  const plan = db.prepare(`EXPLAIN QUERY PLAN ${query}`).all() as { detail: string }[];
  expect(plan.map(({ detail }) => detail)).toEqual(["SEARCH runs USING INDEX runs_user_rev (user_id=? AND rev>?)"]);
  store.close();
});

test("a tombstone goes once the gateway holds it and no run is left, its uid stays taken, and its database is no older copy", () => {
  const first = open();
  for (const id of ["agt_a", "agt_b"]) first.learnAgent("usr_u", { ...spec, id }, null);
  first.admit(run("run_1"), 3, true);
  first.updateRun("run_1", { status: "completed", endedAt: new Date().toISOString() });
  const uids = ["agt_a", "agt_b"].map((id) => first.getAgent(id)!.uid);
  for (const id of ["agt_a", "agt_b"]) {
    first.deleteAgent("usr_u", id);
    first.buryAgent(id);
  }
  const told = first.revision();
  const left = () => ["agt_a", "agt_b"].filter((id) => first.getAgent(id));
  first.forgetAgents(told - 1);
  expect(left()).toEqual(["agt_a", "agt_b"]);
  first.forgetAgents(told);
  expect(left()).toEqual(["agt_a"]);
  first.removeRun("run_1");
  first.forgetAgents(told);
  expect(left()).toEqual([]);
  first.learnAgent("usr_u", { ...spec, id: "agt_b" }, null);
  expect(uids).not.toContain(first.getAgent("agt_b")!.uid);
  first.deleteAgent("usr_u", "agt_b");
  first.buryAgent("agt_b");
  const newest = first.revision();
  first.forgetAgents(newest);
  first.close();
  const second = open();
  expect(second.earlierRevision).toBeGreaterThanOrEqual(newest);
  second.close();
});

test("a database whose newest run went with its time is no older copy at its next start", () => {
  const first = open();
  first.learnAgent("usr_u", spec, null);
  first.admit(run("run_1"), 3);
  first.updateRun("run_1", { status: "completed", endedAt: new Date().toISOString() });
  const told = first.revision();
  first.removeRun("run_1");
  first.close();
  const second = open();
  expect(second.earlierRevision).toBeGreaterThanOrEqual(told);
  second.close();
});
