/** What a run's end means to a person. */
import { beforeAll, expect, test } from "vitest";
import { type Run, runReasons } from "@berth/shared/resources";
import { speak } from "../i18n/language.ts";
import { tellRun } from "./words.ts";

beforeAll(() => speak("en"));

const ended = (fields: Partial<Run>) =>
  tellRun({ status: "failed", exitCode: null, oomKills: 0, stderrTail: null, ...fields } as Run);

test.each(["en", "ko"] as const)(
  "each reason has words of its own, and a bad one says what to do: %s",
  async (language) => {
    await speak(language);
    const told = runReasons.map((reason) => ended({ reason }));
    expect(new Set(told.map(({ short }) => short)).size).toBe(runReasons.length);
    expect(told.filter(({ tone, advice }) => tone === "bad" && !/[\p{L} ]{3,}.*\.$/u.test(advice))).toEqual([]);
    await speak("en");
  },
);

test("a program that could not be run is told from one that failed", () => {
  const run = { reason: "nonzero_exit", exitCode: 126 } as const;
  expect(ended(run).short).toBe("Failed: it could not be started");
  expect(ended({ ...run, stderrTail: "bash: ./x: Permission denied\n" }).short).toBe("Failed: exit code 126");
  expect(ended({ ...run, exitCode: 1 }).short).toBe("Failed: exit code 1");
});
