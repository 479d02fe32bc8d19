/** Text out of a container, as it is shown. */
import { expect, test } from "vitest";
import { finish } from "../../test/finish.ts";
import { inOneLine, lastLine, showable } from "./plain-text.ts";

test.each([
  ["colours go", "\u001b[1;31mred\u001b[0m", "red"],
  ["titles and links go", "\u001b]0;title\u0007a\u001b]8;;https://x.example\u001b\\b", "ab"],
  ["other control characters show", "a\u0000b\u0008c\u007f", "a␀b␈c␡"],
  ["a progress bar shows its last state", "10%\r50%\r100%\nnext\r\n", "100%\nnext\n"],
  ["overrides of the writing direction show", "user\u202etxt.exe", "user⟨U+202E⟩txt.exe"],
  ["tabs, newlines and other scripts stay", "a\tb\n日本語 🙂", "a\tb\n日本語 🙂"],
])("%s", (_, text, expected) => {
  expect(showable(text)).toBe(expected);
});

test.each(["a", "\r", "\u001b[", "\u001b[0", "\u001b]", "\u001b] ", "\u001b", "\u0000", "a\r", "\r\n", "\u202e"])(
  "megabytes of %j come to an end",
  (part) => {
    const text = `a${part.repeat(2_000_000)}\nend`;
    expect(finish(() => showable(text))).toMatch(/end$/);
  },
);

test("one line of a text is its last, or its beginning without signs", () => {
  expect(lastLine("one\n two \n\n")).toBe("two");
  expect(inOneLine("## Title\n\n**bold** `code`\n\n| a | b |\n|---|---|")).toBe("Title bold code");
  expect(inOneLine("| a |")).toBe("| a |");
});
