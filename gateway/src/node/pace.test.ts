import { expect, test } from "vitest";
import { createPace } from "./pace.ts";

test("hosts gather longer while the loop is busy, at most 8 s, and less again once it is idle", () => {
  const at = { part: 0, now: 0 };
  let looks = 0;
  const pace = createPace(
    () => (looks++, at.part),
    () => at.now,
  );
  const after = (part: number, seconds: number) => {
    at.part = part;
    const told: number[] = [];
    for (let second = 0; second < seconds; second++) {
      at.now += 1000;
      told.push(pace());
    }
    return told;
  };
  expect(after(0, 2)).toEqual([100, 100]);
  expect(after(1, 8)).toEqual([200, 400, 800, 1600, 3200, 6400, 8000, 8000]);
  // Between both bounds nothing swings.
  expect(after(0.5, 2)).toEqual([8000, 8000]);
  expect(after(0.1, 7)).toEqual([4000, 2000, 1000, 500, 250, 125, 100]);
  // However often it is asked, it looks once a second.
  const before = looks;
  for (let call = 0; call < 100; call++) pace();
  expect(looks).toBe(before);
});

test("the loop's own utilization is that since the last look", async () => {
  let now = 0;
  const pace = createPace(undefined, () => now);
  const until = performance.now() + 20;
  while (performance.now() < until);
  now += 1000;
  expect(pace()).toBe(200);
  // What suites before this one left may keep the loop busy for a while.
  const look = () => {
    now += 1000;
    return pace();
  };
  await expect.poll(look, { interval: 100, timeout: 60_000 }).toBe(100);
});
