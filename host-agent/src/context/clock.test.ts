import { uptime } from "node:os";
import { expect, onTestFinished, test, vi } from "vitest";
import { bootId, createClock, createElapsed, markNow } from "./clock.ts";

test("a clock goes by what was kept until the gateway tells its time, and is not sure before", () => {
  const kept: number[] = [];
  const clock = createClock(
    () => 1_000_000,
    () => 120_000,
    (offsetMs) => kept.push(offsetMs),
  );
  expect([clock.now(), clock.isSure()]).toEqual([1_120_000, false]);
  clock.follow(1_000_300, 1_000_000);
  expect([clock.now(), clock.isSure(), kept]).toEqual([1_000_000, true, [0]]);
  clock.follow(880_000, 1_000_000);
  expect([clock.now(), kept]).toEqual([880_000, [0, -120_000]]);
});

test("an answer that takes long moves no clock that may be right, and one that is wrong no further than to where it may be", () => {
  let machine = 1_000_000;
  const clock = createClock(() => machine);
  const answerAfter = (ms: number, gatewayNow: number) => {
    const askedAt = machine;
    machine += ms;
    clock.follow(gatewayNow, askedAt);
    return clock.now() - machine;
  };
  expect(answerAfter(5000, 1_000_100)).toBe(0);
  expect(answerAfter(4000, machine - 120_000 + 2000)).toBe(-120_000);
  expect(answerAfter(8000, machine - 120_000 + 8000)).toBe(-120_000);
  expect(answerAfter(0, machine)).toBe(0);
  expect(answerAfter(0, machine + 5000)).toBe(5000);
  expect(answerAfter(12_000, machine + 5000)).toBe(5000);
});

test("what began in an earlier process is as old as it is, however the clocks were set meanwhile", () => {
  const [mark, startedAt] = [markNow(), new Date().toISOString()];
  const ahead = createClock(() => Date.now() + 7_200_000);
  ahead.follow(Date.now() + 7_200_000, Date.now() + 7_200_000);
  expect(createElapsed(ahead, startedAt, mark)()).toBeLessThan(3_600_000);
  expect(createElapsed(ahead, startedAt, mark.replace(/ \d+/, " 0"))()).toBeGreaterThan(0);
  const ofEarlierBoot = createElapsed(ahead, startedAt, `another-boot ${mark.split(" ")[1]}`);
  expect(ofEarlierBoot()).toBeGreaterThan(3_600_000);
});

test("a mark is of the clock that one process measures by, which stands still while the machine sleeps", () => {
  const [, markedMs] = markNow().split(" ");
  const [seconds, nanoseconds] = process.hrtime();
  expect(Math.abs(seconds * 1000 + nanoseconds / 1e6 - Number(markedMs))).toBeLessThan(30_000);
  vi.spyOn(process, "hrtime").mockReturnValue([1060, 0]);
  onTestFinished(() => void vi.restoreAllMocks());
  // However long the machine has slept meanwhile.
  expect(markNow()).toBe(`${bootId()} 1060000 monotonic`);
  const age = createElapsed(createClock(), "2026-01-01T00:00:00Z", `${bootId()} 1000000 monotonic`)()!;
  expect([age >= 60_000, age < 90_000]).toEqual([true, true]);
});

test("a mark of before, by the machine's uptime, is understood", () => {
  const mark = `${bootId()} ${Math.round(uptime() * 1000) - 60_000}`;
  const age = createElapsed(createClock(), "2026-01-01T00:00:00Z", mark)()!;
  expect([age >= 59_000, age < 90_000]).toEqual([true, true]);
});
