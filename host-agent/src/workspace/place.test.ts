import { expect, test } from "vitest";
import { nextOfFound, type Used, whyGo } from "./place.ts";

test("a container of the user's is taken where it runs and sees the volume, waited for while it is young, removed else", () => {
  const facts = [true, false].flatMap((isRunning) =>
    [true, false].flatMap((seesVolume) =>
      [-60_001, -60_000, 0, 60_000, 60_001].map((startedMsAgo) => ({ isRunning, seesVolume, startedMsAgo })),
    ),
  );
  const next = facts.map((found) => nextOfFound(found, 60_000));
  expect(next.slice(0, 5)).toEqual(Array(5).fill("take"));
  expect(next.slice(5, 10)).toEqual(["remove", "wait", "wait", "wait", "remove"]);
  expect(new Set(next.slice(10))).toEqual(new Set(["remove"]));
});

test("a workspace goes once nobody has used it for so long, or once it is outdated and nothing runs in it", () => {
  const quiet: Used = { connections: 0, activeRuns: 0, idleMs: 1000, isOutdated: false, hasAgents: () => false };
  const why = (more: Partial<Used>) => whyGo({ ...quiet, ...more }, 1000);
  expect(why({})).toBe("idle");
  // A process of an agent is no use of it: whoever wants it to stay has a run or is connected.
  expect(why({ hasAgents: () => true })).toBe("idle");
  expect([why({ idleMs: 999 }), why({ connections: 1 }), why({ activeRuns: 1 })]).toEqual([null, null, null]);
  const outdated = { idleMs: 0, isOutdated: true };
  expect([why(outdated), why({ ...outdated, connections: 1 })]).toEqual(["outdated", "outdated"]);
  expect([why({ ...outdated, activeRuns: 1 }), why({ ...outdated, hasAgents: () => true })]).toEqual([null, null]);
});
