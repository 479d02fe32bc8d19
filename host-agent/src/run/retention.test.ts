import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLog } from "@berth/shared/log";
import { parseSettings } from "@berth/shared/settings";
import { expect, onTestFinished, test, vi } from "vitest";
import { createAlerts } from "../context/alerts.ts";
import { createBus } from "../context/bus.ts";
import { createTurns } from "../context/turns.ts";
import { createClock } from "../context/clock.ts";
import { Store } from "../store/store.ts";
import { Volumes } from "../workspace/volumes.ts";
import { createRetention, deletableUpTo, removeExpired } from "./retention.ts";
import { inMemory } from "../../test/memory.ts";
import { threeRuns } from "../../test/room.ts";

const dayMs = 86_400_000;
const hourMs = 3_600_000;

test.each([
  ["nothing at first", 100 * dayMs, null, hourMs, null],
  ["what the clock says, day by day", 100 * dayMs, 99.5 * dayMs, hourMs, 100 * dayMs],
  ["a day more an hour, when the clock is a year ahead", 465 * dayMs, 100 * dayMs, hourMs, 101 * dayMs],
  ["four minutes more for ten seconds then", 465 * dayMs, 100 * dayMs, 10_000, 100 * dayMs + 240_000],
  ["no more than the clock says, when it went back", 99 * dayMs, 100 * dayMs, hourMs, 99 * dayMs],
])("retention takes %s", (_what, asked, reached, elapsedMs, upTo) => {
  expect(deletableUpTo(asked, reached, elapsedMs)).toBe(upTo);
});

let aheadMs = 0;
/** A host with a run of 29.5 days and one of 20, on a clock that can be ahead. */
function openHost(env: Record<string, string> = {}) {
  const dir = mkdtempSync(join(tmpdir(), "berth-retention-"));
  aheadMs = 0;
  const clock = createClock(() => Date.now() + aheadMs);
  const store = new Store(inMemory(), clock.now);
  const context = {
    hostId: "hst_this",
    settings: parseSettings(env),
    settingsOf: () => parseSettings(env),
    dataDir: dir,
    clock,
    log: createLog(() => {}),
    bus: createBus(),
    turns: createTurns(),
    alerts: createAlerts(Date.now),
  };
  const trigger = { kind: "api", triggerId: null } as const;
  for (const [id, days] of [
    ["run_old", 29.5],
    ["run_young", 20],
  ] as const) {
    store.admit({ id, agentId: id, userId: "usr_u", trigger, prompt: "x", payload: null }, threeRuns);
    store.updateRun(id, { status: "completed", endedAt: new Date(Date.now() - days * dayMs).toISOString() });
  }
  const deps = { context, store, volumes: new Volumes(dir, 2 ** 26), heldRev: () => 0 };
  onTestFinished(() => {
    store.close();
    rmSync(dir, { recursive: true });
  });
  return { clock, store, trigger, deps };
}

test("a clock that is a year ahead for an hour takes no run of the last weeks, and nobody's spending of today", async () => {
  const { clock, store, trigger, deps } = openHost();
  const usage = { inputTokens: 1, outputTokens: 1, cacheReadTokens: 0, cacheWriteTokens: 0, costUsd: 3 };
  store.admit({ id: "run_now", agentId: "agt_now", userId: "usr_u", trigger, prompt: "x", payload: null }, threeRuns);
  store.addUsage("run_now", usage);
  const pass = (elapsedMs: number) => removeExpired(deps, elapsedMs);
  aheadMs = 365 * dayMs;
  await pass(hourMs);
  expect(store.getRun("run_old"), "it is not known whether the clock is right").not.toBeNull();
  aheadMs = 0;
  clock.follow(Date.now(), Date.now());
  await pass(hourMs);
  aheadMs = 365 * dayMs;
  // As of a process that begins anew again and again.
  for (let at = 0; at < 20; at++) await pass(60_000);
  expect(store.getRun("run_old"), "20 minutes are a third of a day").not.toBeNull();
  for (let at = 0; at < 3; at++) await pass(hourMs);
  expect([store.getRun("run_old"), store.getRun("run_young")?.id]).toEqual([null, "run_young"]);
  aheadMs = 0;
  expect(store.spentToday("usr_u")).toBe(3);
});

test.each([
  ["30 days, unless somebody says otherwise", {}, ["run_old", "run_young"]],
  ["25 days", { BERTH_RETENTION_DAYS: "25" }, ["run_young"]],
  ["a day", { BERTH_RETENTION_DAYS: "1" }, []],
])("a run with its log is kept for as long as is set: %s", async (_, env, kept) => {
  const { clock, store, deps } = openHost(env);
  clock.follow(Date.now(), Date.now());
  // The first pass notes what the clock says.
  for (let pass = 0; pass < 2; pass++) await removeExpired(deps, hourMs);
  expect(["run_old", "run_young"].filter((id) => store.getRun(id))).toEqual(kept);
});

test("what processes that live for minutes have lived counts together", async () => {
  const { clock, store, deps } = openHost();
  clock.follow(Date.now(), Date.now());
  await removeExpired(deps, hourMs);
  aheadMs = 365 * dayMs;
  vi.useFakeTimers({ toFake: ["performance"] });
  onTestFinished(() => void vi.useRealTimers());
  const live = async (minutes: number) => {
    const retain = createRetention(deps);
    await retain();
    for (let at = 0; at < minutes; at++) {
      vi.advanceTimersByTime(60_000);
      await retain();
    }
  };
  for (let at = 0; at < 3; at++) await live(10);
  expect(store.getRun("run_old"), "20 minutes are a third of a day").not.toBeNull();
  for (let at = 0; at < 3; at++) await live(10);
  expect([store.getRun("run_old"), store.getRun("run_young")?.id]).toEqual([null, "run_young"]);
});
