import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import Database from "better-sqlite3";
import { createCredentials } from "./credentials.ts";
import { migrate } from "./migrations.ts";
import { openDatabase } from "./open.ts";
import { Store } from "./store.ts";
import { inMemory } from "../../test/memory.ts";
import { unseenAgent } from "@berth/shared/host-api";
import { threeRuns } from "../../test/room.ts";

let dir: string;
beforeEach(() => void (dir = mkdtempSync(join(tmpdir(), "berth-store-"))));
afterEach(() => rmSync(dir, { recursive: true }));
const open = () => new Store(openDatabase(join(dir, "host.db")), Date.now);
const spec = { ...unseenAgent("agt_a"), version: 1, name: "a" };
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
  first.admit(run("run_1"), threeRuns);
  first.updateRun("run_1", { status: "completed", endedAt: new Date().toISOString() });
  first.updateRun("run_1", { status: "failed" });
  const told = first.revision();
  first.removeRun("run_1");
  first.close();
  const second = open();
  second.admit(run("run_2"), threeRuns);
  second.updateRun("run_2", {});
  expect(second.changedSince(told, 1e6).runs.map(({ id }) => id)).toEqual(["run_2"]);
  second.close();
});

test("each directory that an agent works in has a conversation of its own, which goes on when it is back there", () => {
  const store = open();
  let version = 0;
  const work = (directory: string | null) =>
    store.learnAgent("usr_u", { ...spec, directory, version: ++version }, null);
  const session = () => {
    const { sessionId, sessionUsed } = store.getAgent("agt_a")!;
    return [sessionId, sessionUsed];
  };
  work(null);
  const own = session();
  store.setSession("agt_a", "first", true);
  work("web");
  expect(session()).toEqual([expect.not.stringMatching(/^first$/), false]);
  expect(session()).not.toEqual(own);
  store.setSession("agt_a", "second", true);
  work(null);
  expect(session()).toEqual(["first", true]);
  work("web");
  expect(session()).toEqual(["second", true]);
  store.close();
});

test("an agent stays where it works while a run of it is in progress", () => {
  const store = open();
  store.learnAgent("usr_u", spec, null);
  store.admit(run("run_1"), threeRuns);
  expect(store.learnAgent("usr_u", { ...spec, version: 2, directory: "web" }, null)).toEqual({ busy: "run_1" });
  expect(store.learnAgent("usr_u", { ...spec, version: 2, model: "m" }, null)).toMatchObject({ model: "m" });
  store.updateRun("run_1", { endedAt: new Date().toISOString() });
  expect(store.learnAgent("usr_u", { ...spec, version: 3, directory: "web" }, null)).toMatchObject({
    directory: "web",
  });
  store.close();
});

test("a run is not told before it is promised", () => {
  const store = open();
  store.learnAgent("usr_u", spec, null);
  store.admit(run("run_1"), threeRuns);
  expect(store.changedSince(0, 1e6).runs).toEqual([]);
  store.updateRun("run_1", {});
  expect(store.changedSince(0, 1e6).runs).toHaveLength(1);
  store.close();
});

test("a user who is deleted is forgotten by slices, but for what a run in progress needs; uids and revisions stay taken", () => {
  const database = inMemory();
  const store = new Store(database, Date.now);
  const credentials = createCredentials(database, Date.now);
  store.learnAgent("usr_u", spec, null);
  store.learnAgent("usr_other", { ...spec, id: "agt_b" }, null);
  store.deleteAgent("usr_u", "agt_before");
  credentials.put("usr_u", "git", "git.example.com", {}, "tok_12345678");
  for (let at = 0; at < 250; at++) {
    store.admit(run(`run_${at}`), threeRuns);
    store.updateRun(`run_${at}`, { status: "completed", endedAt: new Date().toISOString() });
  }
  store.addUsage("run_0", { inputTokens: 1, outputTokens: 1, cacheReadTokens: 0, cacheWriteTokens: 0, costUsd: 1 });
  store.admit(run("run_now"), threeRuns, true);
  const [told, uid] = [store.revision(), store.nextUid()];
  const forget = () => {
    let slices = 1;
    while (store.forgetUser("usr_u")) slices += 1;
    return slices;
  };
  expect(forget()).toBe(3);
  expect([store.activeRuns("usr_u").length, store.agentsOf("usr_u").length]).toEqual([1, 1]);
  expect(store.hasUser("usr_u")).toBe(true);
  store.updateRun("run_now", { status: "cancelled", endedAt: new Date().toISOString() });
  forget();
  expect([store.hasUser("usr_u"), store.hasUser("usr_other")]).toEqual([false, true]);
  expect([store.spentToday("usr_u"), credentials.list("usr_u", "git")]).toEqual([0, []]);
  expect([store.nextUid(), store.promptOf("run_0")]).toEqual([uid, ""]);
  expect(new Store(database, Date.now).earlierRevision).toBeGreaterThanOrEqual(told);
  store.close();
});

test("what does not fit one report comes with the next, and nothing is left out", () => {
  const store = open();
  store.learnAgent("usr_u", spec, null);
  const ids = Array.from({ length: 20 }, (_, at) => `run_${at}`);
  for (const id of ids) {
    store.admit({ ...run(id), prompt: "p".repeat(1000) }, threeRuns);
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
    ["host.key", 0],
  ]);
  store.close();
});

test("a kill counts for the victim's run in the container where it was, and for no other of that uid", () => {
  const store = open();
  const agent = store.learnAgent("usr_u", spec, null) as { uid: number };
  store.admit(run("run_1"), threeRuns);
  expect(store.countOomKill(agent.uid, "/docker/c0ffee", "boot 1")).toBeNull();
  store.updateRun("run_1", { containerId: "c0ffee" });
  expect(store.countOomKill(agent.uid, "/docker/another", "boot 1")).toBeNull();
  expect(store.countOomKill(agent.uid + 1, "/docker/c0ffee", "boot 1")).toBeNull();
  expect(store.countOomKill(agent.uid, "/system.slice/docker-c0ffee.scope", "boot 1")).toMatchObject({
    id: "run_1",
    oomKills: 1,
  });
  store.close();
});

test("a payload is kept until its run has begun or ended, also over a restart, and the prompt for as long as the run", () => {
  const first = open();
  first.learnAgent("usr_u", spec, null);
  for (const id of ["run_1", "run_2"]) {
    first.admit({ ...run(id), agentId: id, payload: "cGF5bG9hZA" }, threeRuns);
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
  const opened = openDatabase(join(dir, "host.db"));
  const store = new Store(opened, Date.now);
  store.learnAgent("usr_u", spec, null);
  store.admit({ ...run("run_1"), prompt: "p".repeat(2 ** 20) }, threeRuns);
  opened.db.pragma("wal_checkpoint(TRUNCATE)");
  const usage = { inputTokens: 99, outputTokens: 99, cacheReadTokens: 0, cacheWriteTokens: 0, costUsd: 0.01 };
  for (let call = 0; call < 50; call++) store.addUsage("run_1", usage);
  expect(statSync(join(dir, "host.db-wal")).size).toBeLessThan(50 * 5 * 4096);
  store.close();
});

test("a database of the first version keeps its runs, and the payloads of those alone that have not begun", () => {
  const db = new Database(":memory:");
  migrate(db, inMemory(db).sealing, 1);
  for (const [id, startedAt] of [
    ["run_1", "2026-01-01T00:00:00.000Z"],
    ["run_2", null],
  ])
    db.prepare(
      `INSERT INTO runs (id, agent_id, user_id, rev, status, trigger_kind, prompt, payload, created_at, started_at, token)
       VALUES (?, 'agt_a', 'usr_u', 7, 'starting', 'webhook', 'the prompt', 'cGF5bG9hZA', '2026-01-01T00:00:00.000Z', ?, 't')`,
    ).run(id, startedAt);
  const store = new Store(inMemory(db), Date.now);
  expect(store.activeRuns("usr_u").map(({ id }) => [id, store.inputOf(id)])).toEqual([
    ["run_1", { prompt: "the prompt", payload: null }],
    ["run_2", { prompt: "the prompt", payload: "cGF5bG9hZA" }],
  ]);
  store.close();
});

test("a run is answered with every field by its name", () => {
  const store = open();
  store.learnAgent("usr_u", spec, null);
  store.admit({ ...run("run_1"), trigger: { kind: "webhook", triggerId: "trg_1" } }, threeRuns, true);
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
    waitingFor: null,
    startedAt: "2026-01-01T00:00:00.000Z",
    endedAt: "2026-01-01T00:00:01.000Z",
    containerId: "c",
    execId: "e",
    startedMark: null,
    modelStatus: 200,
  } as const;
  const { createdAt } = store.getRun("run_1")!;
  expect(store.updateRun("run_1", change)).toEqual({
    id: "run_1",
    agentId: "agt_a",
    userId: "usr_u",
    rev: store.revision(),
    trigger: { kind: "webhook", triggerId: "trg_1" },
    usage,
    intent: "cancelled",
    attachments: [],
    continues: null,
    createdAt,
    ...change,
  });
  expect(store.tokenOf("run_1")).toMatch(/^brt_/);
  store.close();
});

test("whoever watches a user's runs reads no change of others twice, and none by a scan", () => {
  const statements: string[] = [];
  const db = new Database(":memory:", { verbose: (text) => void statements.push(String(text)) });
  const store = new Store(inMemory(db), Date.now);
  const changed = store.watchRuns("usr_u");
  for (let at = 0; at < 100; at++) {
    store.admit({ ...run(`run_${at}`), agentId: `agt_${at}`, userId: `usr_${at}` }, threeRuns, true);
    expect(changed()).toEqual([]);
  }
  const before = store.revision();
  store.admit(run("run_own"), threeRuns, true);
  expect(changed().map(({ id }) => id)).toEqual(["run_own"]);
  const query = statements.findLast((text) => text.includes("rev > "))!;
  expect(Number(/rev > \+?(\d+)/.exec(query)![1])).toBe(before);
  const plan = db.prepare(`EXPLAIN QUERY PLAN ${query}`).all() as { detail: string }[];
  expect(plan.map(({ detail }) => detail)).toEqual(["SEARCH runs USING INDEX runs_user_rev (user_id=? AND rev>?)"]);
  store.close();
});

test("a tombstone goes once the gateway holds it and no run is left, its uid stays taken, and its database is no older copy", () => {
  const first = open();
  for (const id of ["agt_a", "agt_b"]) first.learnAgent("usr_u", { ...spec, id }, null);
  first.admit(run("run_1"), threeRuns, true);
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
  first.admit(run("run_1"), threeRuns);
  first.updateRun("run_1", { status: "completed", endedAt: new Date().toISOString() });
  const told = first.revision();
  first.removeRun("run_1");
  first.close();
  const second = open();
  expect(second.earlierRevision).toBeGreaterThanOrEqual(told);
  second.close();
});

const secrets = ["s3cret-of-an-environment", "c2VjcmV0LXBheWxvYWQ"];
/** All that a thief has of it without the key. */
const stolen = () => ["host.db", "host.db-wal"].map((name) => readFileSync(join(dir, name), "latin1")).join("");
/** A store of which all that is secret is in use. */
function fill(store: Store): string {
  store.learnAgent("usr_u", spec, null);
  store.setEnv("agt_a", { TOKEN: secrets[0]! });
  store.admit({ ...run("run_1"), payload: secrets[1]! }, threeRuns);
  return store.tokenOf("run_1");
}

test("neither the database nor its journal has a value of an environment, a run's token or a payload", () => {
  const store = open();
  const token = fill(store);
  expect(stolen()).toContain("run_1");
  for (const secret of [...secrets, token]) expect(stolen()).not.toContain(secret);
  store.close();
  const again = open();
  expect([again.getAgent("agt_a")!.env, again.tokenOf("run_1"), again.inputOf("run_1")!.payload]).toEqual([
    { TOKEN: secrets[0] },
    token,
    secrets[1],
  ]);
  again.close();
});

test("a sealed value that is put into another row does not open there", () => {
  const store = open();
  fill(store);
  store.learnAgent("usr_u", { ...spec, id: "agt_b" }, null);
  const thief = new Database(join(dir, "host.db"));
  thief.exec("UPDATE agents SET env = (SELECT env FROM agents WHERE id = 'agt_a') WHERE id = 'agt_b'");
  thief.close();
  expect(() => store.getAgent("agt_b")).toThrow("what is sealed in agents/agt_b/env does not open with this key");
  expect(store.getAgent("agt_a")!.env).toEqual({ TOKEN: secrets[0] });
  store.close();
});

test("without the key, or with another, a database that has sealed values is not opened, and a sentence says what to do", () => {
  const store = open();
  fill(store);
  store.close();
  const key = join(dir, "host.key");
  renameSync(key, `${key}.away`);
  expect(open).toThrow(`The key file ${key} is missing: put it back from the backup`);
  expect(existsSync(key)).toBe(false);
  writeFileSync(key, Buffer.alloc(32, 1).toString("base64url"));
  expect(open).toThrow("put back the one that belongs to it");
  writeFileSync(key, "half");
  expect(open).toThrow(`The key file ${key} is damaged`);
  renameSync(`${key}.away`, key);
  open().close();
});

test("a database from before the sealing is sealed, and what it had in clear is nowhere in its file", () => {
  const opened = openDatabase(join(dir, "host.db"));
  migrate(opened.db, opened.sealing, 4);
  const insert = (sql: string, ...values: unknown[]) => opened.db.prepare(sql).run(...values);
  for (const [at, env] of [
    [1, "{}"],
    [2, `{"TOKEN":"${secrets[0]}"}`],
  ])
    insert(
      `INSERT INTO agents (id, user_id, uid, version, runtime, env, session_id, rev) VALUES (?, 'usr_u', ?, 1, 'shell', ?, '', ?)`,
      `agt_${at}`,
      at,
      env,
      at,
    );
  for (const [at, payload] of [null, "", secrets[1]].entries()) {
    insert(
      `INSERT INTO runs (id, agent_id, user_id, rev, status, trigger_kind, token, created_at)
       VALUES (?, 'agt_1', 'usr_u', 7, 'starting', 'webhook', ?, '2026-01-01T00:00:00.000Z')`,
      `run_${at}`,
      `brt_in_clear_${at}`,
    );
    insert("INSERT INTO run_inputs VALUES (?, 'the prompt', ?)", `run_${at}`, payload);
  }
  // What was deleted lies on in free pages.
  insert("INSERT INTO meta VALUES ('gone', ?)", "brt_in_clear_deleted".repeat(1000));
  insert("DELETE FROM meta WHERE key = 'gone'");
  const store = new Store(opened, Date.now);
  expect(stolen()).toContain("the prompt");
  for (const secret of [...secrets, "brt_in_clear"]) expect(stolen()).not.toContain(secret);
  expect(["agt_1", "agt_2"].map((id) => store.getAgent(id)!.env)).toEqual([{}, { TOKEN: secrets[0] }]);
  expect([0, 1, 2].map((at) => [store.tokenOf(`run_${at}`), store.inputOf(`run_${at}`)!.payload])).toEqual([
    ["brt_in_clear_0", null],
    ["brt_in_clear_1", ""],
    ["brt_in_clear_2", secrets[1]],
  ]);
  store.close();
});
