import { expect, test } from "vitest";
import { createLog, messageOf } from "./log.ts";

test("an event that somebody makes without end leaves room for all others, and what was left out is told", () => {
  const lines: { event: string; leftOut?: number }[] = [];
  let now = 0;
  const log = createLog(
    (line) => lines.push(JSON.parse(line)),
    () => now,
  );
  const count = (event: string) => lines.filter((line) => line.event === event).length;
  for (let at = 0; at < 100_000; at++) log.info("http", { status: 401 });
  expect(count("http")).toBe(1000);
  log.error("workspace.unended");
  expect(count("workspace.unended")).toBe(1);
  now = 1000;
  for (let at = 0; at < 1000; at++) log.info("http");
  expect(count("http")).toBe(1050);
  expect(lines.find(({ leftOut }) => leftOut !== undefined)).toMatchObject({ event: "http", leftOut: 99_000 });
  // A clock that steps back takes nothing away.
  now = 0;
  log.info("http");
  now = 100_000;
  log.info("http");
  expect(lines.at(-1)).toMatchObject({ event: "http", leftOut: 951 });
});

test("a fetch that failed says why: an operator sees a wrong name, a closed port and an unknown certificate apart", async () => {
  const refused = await fetch("http://127.0.0.1:2").catch(messageOf);
  expect(refused).toBe("fetch failed: connect ECONNREFUSED 127.0.0.1:2");
  const several = Object.assign(new AggregateError([]), { code: "ECONNREFUSED" });
  expect(messageOf(new TypeError("fetch failed", { cause: several }))).toBe("fetch failed: ECONNREFUSED");
});
