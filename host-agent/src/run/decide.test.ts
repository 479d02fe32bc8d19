import { describe, expect, test } from "vitest";
import {
  nextOfAhead,
  nextOfExec,
  nextOfRun,
  nextOfStart,
  type ExecFact,
  type RunFacts,
  type RunLimits,
} from "./decide.ts";

const begun = { hasBegun: true, code: null };
const unbegun = { hasBegun: false, code: null };
const run = { startedAt: null, intent: null };

describe("the start of a run", () => {
  test("is made only where nothing has begun, nothing shall end it, and its container is not gone", () => {
    const all = [begun, { hasBegun: true, code: 0 }, unbegun].flatMap((exit) =>
      [null, "2026-01-01T00:00:00.000Z"].flatMap((startedAt) =>
        ([null, "cancelled"] as const).flatMap((intent) =>
          (["none", "here", "gone"] as const).map((where) => ({ exit, startedAt, intent, where })),
        ),
      ),
    );
    const begins = all.filter(({ exit, where, ...row }) => nextOfStart(row, exit, where) === "begin");
    expect(begins).toEqual([
      { exit: unbegun, startedAt: null, intent: null, where: "none" },
      { exit: unbegun, startedAt: null, intent: null, where: "here" },
    ]);
  });
  test("is never lost while its container is here", () => {
    for (const exit of [begun, unbegun]) expect(nextOfStart(run, exit, "here")).not.toBe("lost");
  });
  test("is taken up by watching, also with an intent", () => {
    expect(nextOfStart({ ...run, intent: "cancelled" }, begun, "here")).toBe("watch");
  });

  test("makes a second exec only where the first left neither process nor trace", () => {
    const facts = (["none", "unknown", "created", "running", "ended"] satisfies ExecFact[]).flatMap((exec) =>
      [false, true].flatMap((hasProcesses) => [true, false].map((hasBegun) => ({ exec, hasProcesses, hasBegun }))),
    );
    const made = facts.filter((fact) => nextOfExec(fact.exec, fact.hasProcesses, fact.hasBegun) === "make");
    expect(made).toEqual([
      { exec: "none", hasProcesses: false, hasBegun: false },
      { exec: "none", hasProcesses: true, hasBegun: false },
      { exec: "unknown", hasProcesses: false, hasBegun: false },
      { exec: "ended", hasProcesses: false, hasBegun: false },
    ]);
  });
});

describe("a look at a begun run", () => {
  const limits: RunLimits = { logBytes: 100, timeoutMs: 1000, startTimeoutMs: 60, lingerMs: 30, interruptMs: 5 };
  const going: RunFacts = {
    exit: begun,
    intent: null,
    interruptedMs: 0,
    logBytes: 100,
    isInitEnding: false,
    hasProcesses: true,
    elapsedMs: 50,
    idleMs: null,
    hasStarted: false,
  };
  const next = (facts: Partial<RunFacts>) => nextOfRun({ ...going, ...facts }, limits);
  const over = (fields: object) => ({
    over: { exitCode: null, isContainerLost: false, hasLingered: false, ...fields },
  });

  test("waits while nothing has happened, up to each bound", () => {
    expect(next({})).toBe("wait");
    expect(next({ elapsedMs: 60 })).toBe("wait");
    expect(next({ elapsedMs: 1000, hasStarted: true, idleMs: 30 })).toBe("wait");
    expect(next({ elapsedMs: null })).toBe("wait");
  });
  test("acts one beyond each bound", () => {
    expect(next({ logBytes: 101 })).toEqual({ intend: "log_limit" });
    expect(next({ elapsedMs: 61 })).toEqual({ intend: "start_timeout" });
    expect(next({ elapsedMs: 1001, hasStarted: true })).toEqual({ intend: "timed_out" });
    expect(next({ idleMs: 31 })).toEqual(over({ hasLingered: true }));
  });
  test("never ends a run by time that is not known", () => {
    expect(next({ elapsedMs: null, hasStarted: false })).toBe("wait");
  });
  test("takes the exit code for the end, whatever became of the container", () => {
    for (const isInitEnding of [true, false])
      for (const code of [0, 1, 127])
        expect(next({ exit: { hasBegun: true, code }, isInitEnding, hasProcesses: false })).toEqual(
          over({ exitCode: code }),
        );
  });
  test("looks twice where a signal or silence may be the container's end", () => {
    expect(next({ exit: { hasBegun: true, code: 137 } })).toBe("lookAtInit");
    expect(next({ hasProcesses: false })).toBe("lookAtInit");
    expect(next({ exit: { hasBegun: true, code: 137 }, isInitEnding: true })).toEqual(
      over({ exitCode: 137, isContainerLost: true }),
    );
  });
  test("is over with an intent, or without a container", () => {
    expect(next({ intent: "cancelled" })).toEqual(over({}));
    expect(next({ isInitEnding: true })).toEqual(over({ isContainerLost: true }));
  });
  test("says each intent once", () => {
    expect(next({ intent: "log_limit", logBytes: 101 })).toEqual(over({}));
  });
});

test("a CLI is started ahead only where it is wanted and 400 MB are free, and stays only as it would be started now", () => {
  const all = (["none", "gone", "outdated", "ready"] as const).flatMap((waiting) =>
    [true, false].flatMap((isWanted) => [4e8, 2e8, 1e8].map((freeBytes) => ({ waiting, isWanted, freeBytes }))),
  );
  const those = (next: string) => all.filter((facts) => nextOfAhead(facts) === next);
  expect(those("start")).toEqual([{ waiting: "none", isWanted: true, freeBytes: 4e8 }]);
  expect(those("stay").filter(({ waiting }) => waiting !== "none")).toEqual([
    { waiting: "ready", isWanted: true, freeBytes: 4e8 },
    { waiting: "ready", isWanted: true, freeBytes: 2e8 },
  ]);
});
