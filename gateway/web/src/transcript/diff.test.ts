/** Differences of texts. */
import { expect, test } from "vitest";
import { finish } from "../../test/finish.ts";
import { diffLines, foldDiff } from "./diff.ts";

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
