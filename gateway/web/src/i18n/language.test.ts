/** The language of the page, and what depends on it. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { ApiError, explain } from "../api/api.ts";
import { formatAgo, formatBytes, formatCost, formatDuration } from "../text/format.ts";
import { details } from "./ko/errors.ts";
import { chooseLanguage, speak, t } from "./language.ts";

describe("the language", () => {
  test.each([
    ["what was chosen here", "ko", ["en-US"], "ko"],
    ["else the first that the browser wants and the page speaks", null, ["fr-FR", "ko-KR", "en"], "ko"],
    ["else English", null, ["fr", "de"], "en"],
    ["English where the choice is of no language", "constructor", [], "en"],
  ])("is %s", (_, chosen, wishes, language) => {
    expect(chooseLanguage(chosen, wishes)).toBe(language);
  });

  test("is the one that was asked for last, whichever is loaded first", async () => {
    await Promise.all([speak("en"), speak("ko")]);
    expect(t().common.save).toBe("저장");
  });
});

test("each sentence of the API that has Korean words is still one of the API's", () => {
  const sources = ["gateway/src", "host-agent/src", "shared/src"].flatMap((dir) => {
    const root = join(import.meta.dirname, "../../../..", dir);
    const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".ts"));
    return files.map((path) => readFileSync(join(root, path), "utf8"));
  });
  expect(Object.keys(details).filter((detail) => !sources.some((source) => source.includes(`"${detail}"`)))).toEqual(
    [],
  );
});

/** What stands in the catalogue of a language, as it is written. */
const sourcesOf = (language: string) => {
  const root = join(import.meta.dirname, language);
  return readdirSync(root).map((path) => readFileSync(join(root, path), "utf8"));
};

test("no Korean particle that depends on a sound follows a name, and no sentence is of another politeness", () => {
  const slips = /\$\{[^}]*\}(?:은|는|이|가|을|를|와|과|랑|으로|로)(?![가-힣])|니다\./g;
  expect(sourcesOf("ko").flatMap((source) => source.match(slips) ?? [])).toEqual([]);
});

test.each(["en", "ko"])("an ellipsis stands on the word before it: %s", (language) => {
  expect(sourcesOf(language).flatMap((source) => source.match(/[^"\n]*(?<!Bearer) …["`]/g) ?? [])).toEqual([]);
});

describe.each([
  [
    "en",
    ["0 B", "999 B", "1 kB", "78 MB", "1.07 GB"],
    ["40ms", "1.4s", "59s", "3m 5s", "2h 10m 7s"],
    ["now", "59 seconds ago", "1 minute ago", "1 hour ago", "in 2 days", "2 years ago"],
    ["1 run", "2 runs", "1,000 runs"],
  ],
  [
    "ko",
    ["0B", "999B", "1kB", "78MB", "1.07GB"],
    ["40ms", "1.4초", "59초", "3분 5초", "2시간 10분 7초"],
    ["지금", "59초 전", "1분 전", "1시간 전", "2일 후", "2년 전"],
    ["실행 1건", "실행 2건", "실행 1,000건"],
  ],
] as const)("in %s", (language, bytes, durations, agos, counts) => {
  beforeEach(() => speak(language));
  const now = Date.parse("2026-11-29T00:00:00.000Z");
  const at = (seconds: number) => new Date(now + seconds * 1000).toISOString();

  test("bytes, durations and prices are written as there", () => {
    expect([0, 999, 1000, 78.3e6, 2 ** 30].map(formatBytes)).toEqual(bytes);
    expect([40, 1449, 59_400, 185_000, 7_807_000].map(formatDuration)).toEqual(durations);
    expect([0, 0.0034, 1.2].map(formatCost)).toEqual(["$0.00", "$0.0034", "$1.20"]);
  });

  test("a time is told in whole units that have passed", () => {
    expect([0, -59.9, -60, -3600, 172_800, -2 * 366 * 86_400].map((ago) => formatAgo(at(ago), now))).toEqual(agos);
  });

  test("a count has its form", () => {
    expect([1, 2, 1000].map(t().agents.runs)).toEqual(counts);
  });

  test("an error is told by its code, one of a newer gateway by its own sentence", () => {
    const busy = new ApiError("rate_limited", "Too many calls; try again in 3 s.", {}, 3);
    expect(explain(busy)).toBe(
      language === "en"
        ? "Too many requests. Try again in 3 seconds."
        : "요청이 너무 많아요. 3초 뒤에 다시 시도하세요.",
    );
    expect(explain(new ApiError("of_tomorrow" as "internal", "The moon is full."))).toBe("The moon is full.");
  });
});
