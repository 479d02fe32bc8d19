import { parseSettings } from "@berth/shared/settings";
import { expect, test } from "vitest";
import { inMemory } from "../../test/memory.ts";
import { threeRuns } from "../../test/room.ts";
import { createLimits, endsAtLimits } from "./limits.ts";
import { Store } from "./store.ts";

const settings = parseSettings({ BERTH_DAILY_BUDGET_USD: "5", BERTH_MEMORY_WARN_BYTES: "536870912" });
const claims = (limits?: object) => ({ sub: "usr_a", tid: null, texp: 0, ...(limits && { limits }) });

test("settings are a user's own where the gateway said so last, and also after a restart", () => {
  const database = inMemory();
  const limits = createLimits(new Store(database, Date.now), settings);
  expect(limits.settingsOf("usr_a")).toEqual(settings);
  expect(limits.note(claims())).toBe(false);
  expect(limits.note(claims({}))).toBe(false);
  const own = { concurrentRuns: 1, memoryBytes: 2 ** 31, dailyBudgetUsd: 0 };
  expect([limits.note(claims(own)), limits.note(claims(own)), limits.note(claims())]).toEqual([true, false, false]);
  const theirs = {
    ...settings,
    BERTH_MAX_RUNS: 1,
    BERTH_MEMORY_BYTES: 2 ** 31,
    BERTH_MEMORY_WARN_BYTES: 2 ** 30,
    BERTH_DAILY_BUDGET_USD: 0,
  };
  const again = createLimits(new Store(database, Date.now), settings);
  for (const one of [limits, again]) expect(one.settingsOf("usr_a")).toEqual(theirs);
  expect(again.settingsOf("usr_b")).toEqual(settings);
  expect([again.note(claims({ ...own, dailyBudgetUsd: 1 })), again.note(claims({}))]).toEqual([false, true]);
  expect(again.settingsOf("usr_a")).toEqual(settings);
});

test("who met a limit lately is known from any process: the last ends at one, oldest first", () => {
  const database = inMemory();
  const store = new Store(database, Date.now);
  const ends = [
    ["out_of_memory", "2026-01-01T00:00:01.000Z"],
    ["completed", "2026-01-01T00:00:02.000Z"],
    ["timed_out", "2026-01-01T00:00:03.000Z"],
    ["log_limit", "2026-01-01T00:00:04.000Z"],
  ] as const;
  const trigger = { kind: "api", triggerId: null } as const;
  for (const [at, [reason, endedAt]] of ends.entries()) {
    const id = `run_${at}`;
    store.admit({ id, agentId: "agt_a", userId: "usr_a", trigger, prompt: "", payload: null }, threeRuns, true);
    store.endRun(id, { status: reason === "completed" ? "completed" : "failed", reason, endedAt }, null);
  }
  const after = Date.parse(ends[0][1]);
  expect(endsAtLimits(database, after).map(({ userId, reason }) => [userId, reason])).toEqual([
    ["usr_a", "timed_out"],
    ["usr_a", "log_limit"],
  ]);
  expect(endsAtLimits(database, after - 1)).toHaveLength(3);
  store.close();
});
