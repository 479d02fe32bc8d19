import * as fc from "fast-check";
import { expect, test } from "vitest";
import { splitPrinted } from "./ansi.ts";
import { showable } from "./plain-text.ts";

test("colours last until they are changed or ended", () => {
  expect(splitPrinted("a\u001b[31mb\u001b[1mc\u001b[39md\u001b[0me")).toEqual([
    ["a", ""],
    ["b", "ansi-1"],
    ["c", "ansi-1 ansi-bold"],
    ["d", "ansi-bold"],
    ["e", ""],
  ]);
});

test.each([
  ["bright ones are the same", "\u001b[92mx", "ansi-2"],
  ["black, which a dark page would hide, is none", "\u001b[30mx", ""],
  ["white, which a light page would hide, is none", "\u001b[97mx", ""],
  ["of 256 colours none is shown, and its number is no code", "\u001b[38;5;31mx", ""],
  ["of true colours neither", "\u001b[38;2;31;4;1mx", ""],
  ["what follows one counts", "\u001b[38;5;31;4mx", "ansi-underlined"],
  ["no number is the end of all", "\u001b[31m\u001b[mx", ""],
])("%s", (_, text, classes) => {
  expect(splitPrinted(text)).toEqual([["x", classes]]);
});

test("whatever was printed, its pieces are what shows of it", () => {
  const piece = fc.oneof(
    fc.string(),
    fc.constantFrom("\u001b[31m", "\u001b[m", "\u001b[1;4m", "\u001b[2J", "\u001b[38;5;9m"),
  );
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      const text = pieces.join("");
      expect(
        splitPrinted(text)
          .map(([part]) => showable(part))
          .join(""),
      ).toBe(showable(text));
    }),
  );
});
