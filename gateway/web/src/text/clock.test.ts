import { afterEach, expect, test, vi } from "vitest";
import { ahead, noteServerTime } from "./clock.ts";

afterEach(() => void vi.useRealTimers());

const serverNow = () => Date.now() + ahead.value;
const at = (iso: string) => Date.parse(iso);

test("the gateway's time is this clock's where they agree to the second, else the gateway's, closer with each answer", () => {
  vi.useFakeTimers({ now: at("2026-01-01T10:00:00.900Z") });
  noteServerTime(null, Date.now());
  noteServerTime("Thu, 01 Jan 2026 10:00:00 GMT", Date.now() - 50);
  expect(serverNow()).toBe(Date.now());
  // Set an hour ahead.
  vi.setSystemTime(at("2026-01-01T11:00:01.000Z"));
  noteServerTime("Thu, 01 Jan 2026 10:00:01 GMT", Date.now() - 40);
  noteServerTime("Thu, 01 Jan 2026 10:00:01 GMT", Date.now() - 40);
  expect(Math.abs(serverNow() - at("2026-01-01T10:00:01.500Z"))).toBeLessThan(600);
  vi.setSystemTime(at("2026-01-01T11:00:01.980Z"));
  noteServerTime("Thu, 01 Jan 2026 10:00:01 GMT", Date.now() - 5);
  expect(Math.abs(serverNow() - at("2026-01-01T10:00:01.990Z"))).toBeLessThan(20);
});
