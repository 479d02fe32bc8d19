import { expect, test } from "vitest";
import { whatIsMissing } from "./room.ts";

const begun = { startedAt: "2026-01-01T00:00:00.000Z" };
const coming = { startedAt: null };
const room = { limit: 3, freeBytes: 0, neededBytes: 100 };

test("alone a run has room however little memory is free", () => {
  expect(whatIsMissing([], room)).toBeNull();
});

test("beside others it needs its memory, and theirs where they have not begun, to the byte", () => {
  const missing = (active: (typeof begun | typeof coming)[], freeBytes: number) =>
    whatIsMissing(active, { ...room, freeBytes });
  expect([99, 100, 101].map((free) => missing([begun], free))).toEqual(["memory", null, null]);
  expect([199, 200, 201].map((free) => missing([coming], free))).toEqual(["memory", null, null]);
  expect([299, 300].map((free) => missing([coming, coming], free))).toEqual(["memory", null]);
});

test("the number of runs is a limit of its own, and told first", () => {
  const three = [begun, begun, begun];
  expect(whatIsMissing(three, room)).toBe("run_limit");
  expect(whatIsMissing(three, { ...room, freeBytes: 1e9 })).toBe("run_limit");
  expect(whatIsMissing(three, { limit: 4, freeBytes: 0, neededBytes: 0 })).toBeNull();
});
