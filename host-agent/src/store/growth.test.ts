/**
 * What the hot functions of the host's database read as it grows, counted in pages that SQLite reads from the file, with no
 * cache to speak of: exact on any machine. Each world is as the first, but for one size (or all) four times as large.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type Database from "better-sqlite3";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openDatabase } from "./open.ts";
import { Store } from "./store.ts";
import { firstUid } from "./uids.ts";
import { unseenAgent } from "@berth/shared/host-api";
import { threeRuns } from "../../test/room.ts";

interface Sizes {
  /** Runs of other users that have ended, and of this one. */
  strangersHistory: number;
  history: number;
  /** Runs of other users in progress, each of an agent of its own. */
  strangersActive: number;
  /** Runs of others that changed since this user's socket looked last, and since the last report. */
  changed: number;
  /** Tombstones of agents, which the gateway does not hold yet. */
  tombstones: number;
  /** This user's other agents. */
  agents: number;
}
const base: Sizes = {
  strangersHistory: 300,
  history: 300,
  strangersActive: 60,
  changed: 60,
  tombstones: 60,
  agents: 20,
};
const names = Object.keys(base) as (keyof Sizes)[];
const times = 4;
/** A level more of a few trees. */
const slackPages = 8;
const pageBytes = 4096;

interface World {
  store: Store;
  db: Database.Database;
  look: () => unknown;
  /** The revisions before `changed`, and of the last of them. */
  before: number;
  newest: number;
}
const userId = "usr_me";
const trigger = { kind: "api", triggerId: null } as const;
const spec = { ...unseenAgent("agt_me"), version: 1 };
let counter = 0;
const newRun = () => ({ id: `run_new${++counter}`, agentId: spec.id, userId, trigger, prompt: "x", payload: null });
const time = "2026-01-01T00:00:00.000Z";

const hot: { title: string; grows: (keyof Sizes)[]; readsNothing?: true; act(world: World): unknown }[] = [
  { title: "admitting a run, and taking it back", grows: [], act: ({ store }) => store.withdraw(admitted(store)) },
  { title: "a change of a run", grows: [], act: ({ store }) => store.updateRun("run_mine", { logBytes: ++counter }) },
  { title: "counting what a call of the model cost", grows: [], act: ({ store }) => store.addUsage("run_mine", usage) },
  {
    title: "finding whom the kernel killed",
    grows: ["strangersActive"],
    act: ({ store }) => store.countOomKill(1, "/none", "boot 1"),
  },
  { title: "a user's runs in progress", grows: [], act: ({ store }) => store.activeRuns(userId) },
  { title: "how many of them there are", grows: [], act: ({ store }) => store.countActive(userId) },
  { title: "all runs in progress", grows: ["strangersActive"], act: ({ store }) => store.activeRuns() },
  {
    title: "a report with nothing to tell",
    grows: [],
    readsNothing: true,
    act: ({ store, newest }) => store.changedSince(newest, 1e6),
  },
  {
    title: "a report that tells what changed",
    grows: ["changed"],
    act: ({ store, before }) => store.changedSince(before, 1e6),
  },
  { title: "waking a socket", grows: [], act: ({ look }) => look() },
  { title: "an agent that is known", grows: [], act: ({ store }) => store.learnAgent(userId, spec, null) },
  { title: "a user's agents", grows: ["agents"], act: ({ store }) => store.agentsOf(userId) },
  { title: "a user's budget", grows: [], act: ({ store }) => store.spentToday(userId) },
  { title: "retention that finds nothing", grows: [], act: ({ store }) => store.expiredRuns("2020", []) },
  {
    title: "tombstones that must stay",
    grows: ["tombstones", "agents", "strangersActive"],
    act: ({ store }) => store.forgetAgents(0),
  },
];
const usage = { inputTokens: 1, outputTokens: 1, cacheReadTokens: 0, cacheWriteTokens: 0, costUsd: 0.1 };

function admitted(store: Store): string {
  const run = { ...newRun(), agentId: "agt_mine0" };
  expect(store.admit(run, threeRuns)).toMatchObject({ isNew: true });
  return run.id;
}

let dir: string;
const costs = new Map<string, { first: number; grown: Record<string, number>; all: number }>();
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "berth-growth-"));
  const grown = names.map((name) => ({ ...base, [name]: base[name] * times }));
  const all = Object.fromEntries(names.map((name) => [name, base[name] * times])) as unknown as Sizes;
  const worlds = [base, ...grown, all].map(openWorld);
  for (const { title, act } of hot) {
    const [first, ...rest] = worlds.map((world) => pagesOf(world, act)) as [number, ...number[]];
    costs.set(title, {
      first,
      grown: Object.fromEntries(names.map((name, at) => [name, rest[at]!])),
      all: rest.at(-1)!,
    });
  }
  for (const { store } of worlds) store.close();
});
afterAll(() => rmSync(dir, { recursive: true }));

test.each(hot)(
  "$title reads in proportion to $grows at most, and no more for all that else there is",
  ({ title, grows, readsNothing = false }) => {
    const { first, grown, all } = costs.get(title)!;
    expect(first > 0).toBe(!readsNothing);
    for (const name of names) {
      const most = grows.includes(name) ? first * times + slackPages : first + slackPages;
      expect(grown[name], `pages with ${times} times the ${name}`).toBeLessThanOrEqual(most);
    }
    expect(all, `pages with ${times} times everything`).toBeLessThanOrEqual(first * times + slackPages);
  },
);

/** Nothing but SQLite reads between the two looks. */
function pagesOf(world: World, act: (world: World) => unknown): number {
  world.db.pragma("wal_checkpoint(TRUNCATE)");
  const read = () => Number(/^rchar: (\d+)/m.exec(readFileSync("/proc/self/io", "utf8"))![1]);
  const own = read();
  const before = read();
  act(world);
  const bytes = read() - before - (before - own);
  return Math.round(bytes / pageBytes);
}

function openWorld(sizes: Sizes, at: number): World {
  const opened = openDatabase(join(dir, `${at}.db`));
  const { db } = opened;
  const store = new Store(opened, Date.now);
  store.learnAgent(userId, spec, null);
  store.admit({ ...newRun(), id: "run_mine" }, threeRuns, true);
  const count = (most: number) =>
    `(WITH RECURSIVE c (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < ${most - 1}) SELECT i FROM c)`;
  const rev = store.revision();
  const runs = (prefix: string, user: string, agent: string, ended: string, most: number, revs: string) =>
    db.exec(`INSERT INTO runs (id, agent_id, user_id, rev, first_rev, status, trigger_kind, token, created_at, ended_at)
      SELECT '${prefix}' || i, ${agent}, ${user}, ${revs}, ${revs}, 'running', 'api', '', '${time}', ${ended} FROM ${count(most)};
      INSERT INTO run_inputs (run_id, prompt) SELECT '${prefix}' || i, 'x' FROM ${count(most)}`);
  const agents = (prefix: string, user: string, deleted: number, most: number, uid: number) =>
    db.exec(`INSERT INTO agents (id, user_id, uid, version, runtime, session_id, deleted, rev)
      SELECT '${prefix}' || i, ${user}, ${uid} + i, 1, 'shell', '', ${deleted}, 1 + i FROM ${count(most)}`);
  agents("agt_mine", `'${userId}'`, 0, sizes.agents, firstUid + 10_000);
  agents("agt_far", "'usr_far' || i", 0, sizes.strangersActive, firstUid + 20_000);
  agents("agt_gone", "'usr_far' || i", 2, sizes.tombstones, firstUid + 30_000);
  runs("run_old", `'${userId}'`, "'agt_old'", `'${time}'`, sizes.history, "1 + i");
  runs("run_far", "'usr_far' || i", "'agt_far' || i", `'${time}'`, sizes.strangersHistory, "1 + i");
  runs("run_now", "'usr_far' || i", "'agt_far' || i", "NULL", sizes.strangersActive, "1 + i");
  const look = store.watchRuns(userId);
  const world = { store, db, look, before: rev, newest: rev + sizes.changed };
  runs("run_changed", "'usr_far' || i", "'agt_far' || i", `'${time}'`, sizes.changed, `${rev} + 1 + i`);
  db.pragma("cache_size = 1");
  return world;
}
