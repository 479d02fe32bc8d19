import { parseSettings } from "@berth/shared/settings";
import { expect, test } from "vitest";
import { inMemory } from "../../test/memory.ts";
import { createLimits } from "./limits.ts";
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
