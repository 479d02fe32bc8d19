import { beforeAll, expect, test } from "vitest";
import type { Run } from "@berth/shared/resources";
import { speak } from "../i18n/language.ts";
import { conversationFile } from "./conversation-file.ts";

beforeAll(() => speak("en"));

const run = (prompt: string, result: string) =>
  ({
    prompt,
    result,
    status: "completed",
    reason: "completed",
    exitCode: 0,
    oomKills: 0,
    stderrTail: null,
    createdAt: "2026-01-01T00:00:00.000Z",
    usage: { costUsd: 0 },
  }) as Run;
const partsOf = (file: string) => file.split("\n\n").filter((part) => !/^(## |\*Finished)/.test(part));

test("a message is quoted, and an answer stands as it is, with the fence closed that it left open", () => {
  const runs = [run("a\n\nb", "Look:\n```js\n1"), run("c", "~~~\n```\n~~~"), run("d", "````\n```\n````")];
  expect(partsOf(conversationFile("a *b*", runs, false).trim())).toEqual([
    String.raw`# a \*b\*`,
    "> a\n>\n> b",
    "Look:\n```js\n1\n```",
    "> c",
    "~~~\n```\n~~~",
    "> d",
    "````\n```\n````",
  ]);
});

test("a script and what it printed are code, whatever is in them", () => {
  const [, script, output] = partsOf(conversationFile("s", [run("echo '```'", "<b> *x* ````")], true));
  expect([script, output]).toEqual(["````\necho '```'\n````", "`````\n<b> *x* ````\n`````"]);
});
