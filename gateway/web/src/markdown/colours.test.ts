/** Colours of code. */
import { expect, test } from "vitest";
import { colourKindOf, colourTokens } from "./colours.ts";

test("a block is coloured by the rules of its language, and its pieces are its text", async () => {
  const code = "const answer = 42; // why\n";
  const tokens = await colourTokens(code, colourKindOf(code, "TypeScript")!);
  expect(tokens.map(([text]) => text).join("")).toBe(code);
  expect(tokens).toContainEqual(["const", "kwd"]);
  expect(tokens).toContainEqual(["42", "num"]);
});

test.each([
  ["4000 characters are few enough", "a\n".repeat(2000), "sh", "bash"],
  ["4001 are not", `${"a\n".repeat(2000)}a`, "sh", null],
  ["a line of 400 characters is short enough", "a".repeat(400), "js", "js"],
  ["one of 401 is not", "a".repeat(401), "js", null],
  ["a language that nobody knows has none", "a", "klingon", null],
  ["nor has a name of every object", "a", "constructor", null],
])("%s", (_, text, language, kind) => {
  expect(colourKindOf(text, language)).toBe(kind);
});
