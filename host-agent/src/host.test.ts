import { expect, test } from "vitest";
import { createClock } from "./host.ts";

test("a clock goes by what was kept until the gateway tells its time, and is not sure before", () => {
  const kept: number[] = [];
  const clock = createClock(
    () => 1_000_000,
    () => 120_000,
    (offsetMs) => kept.push(offsetMs),
  );
  expect([clock.now(), clock.isSure()]).toEqual([1_120_000, false]);
  clock.follow(1_000_300);
  expect([clock.now(), clock.isSure(), kept]).toEqual([1_000_000, true, [0]]);
  clock.follow(880_000);
  expect([clock.now(), kept]).toEqual([880_000, [0, -120_000]]);
});
