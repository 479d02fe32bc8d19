/** Differences of texts. */
import { expect, test } from "vitest";
import { finish } from "../../test/finish.ts";
import { diffLines, foldDiff, readDiff } from "./diff.ts";

const draw = (before: string, after: string) => diffLines(before, after).map(({ sign, text }) => sign + text);

test("keeps equal lines and shows each change where it is", () => {
  expect(draw("a\nb\nc\nd\n", "a\nx\nc\nd\ne\n")).toEqual([" a", "-b", "+x", " c", " d", "+e"]);
});

test("of a new or an emptied text is all of it", () => {
  expect(draw("", "a\nb")).toEqual(["+a", "+b"]);
  expect(draw("a\nb", "")).toEqual(["-a", "-b"]);
  expect(draw("a", "a")).toEqual([" a"]);
});

test("applied to the old text gives the new one, whatever they are", () => {
  let seed = 7;
  const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
  for (let round = 0; round < 200; round++) {
    const make = () =>
      Array.from({ length: Math.floor(random() * 30) }, () => "abcd"[Math.floor(random() * 4)]!).join("\n");
    const [before, after] = [make(), make()];
    const lines = diffLines(before, after);
    expect(
      lines
        .filter(({ sign }) => sign !== "+")
        .map((line) => line.text)
        .join("\n"),
    ).toBe(before);
    expect(
      lines
        .filter(({ sign }) => sign !== "-")
        .map((line) => line.text)
        .join("\n"),
    ).toBe(after);
  }
});

test("of texts with nothing in common comes to an end", () => {
  const make = (name: string) => Array.from({ length: 200_000 }, (_, at) => `${name}${at}`).join("\n");
  const [before, after] = [make("a"), make("b")];
  expect(finish(() => diffLines(before, after))).toHaveLength(400_000);
});

test("folds what is far from any change", () => {
  const before = Array.from({ length: 40 }, (_, at) => `l${at}`);
  const folded = foldDiff(diffLines(before.join("\n"), before.with(20, "new").join("\n")));
  expect(folded[0]).toBe(17);
  expect(folded.at(-1)).toBe(16);
  expect(folded).toHaveLength(10);
});

test("what git says of a file is read as lines with what is between them, whatever the lines look like", () => {
  const draw = (...lines: string[]) =>
    readDiff(lines.join("\n")).map((line) => (typeof line === "number" ? line : line.sign + line.text));
  const head = ["diff --git a/f b/f", "index 1..2 100644", "--- a/f", "+++ b/f"];
  expect(
    draw(
      ...head,
      "@@ -3,3 +3,3 @@ context",
      " a",
      "--- b",
      "+++ c",
      " d",
      "@@ -10 +10,2 @@",
      "-@@",
      "+x",
      "\\ No newline at end of file",
      "",
    ),
  ).toEqual([2, " a", "--- b", "+++ c", " d", 4, "-@@", "+x"]);
  expect(draw("new file mode 100644", "--- /dev/null", "+++ b/f", "@@ -0,0 +1,2 @@", "+", "+b", "")).toEqual([
    "+",
    "+b",
  ]);
  expect(draw("--- a/f", "+++ b/f", "@@ -4,0 +5 @@", "+b", "")).toEqual([4, "+b"]);
  expect(draw("rename from a", "rename to b", "")).toEqual([]);
  expect(draw("Binary files a/b and b/b differ", "")).toEqual([]);
});
