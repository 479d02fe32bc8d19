/** Colours of code. */
import { expect, test } from "vitest";
import { type ShjLanguage, tokenize as splitByTheLibrary } from "@speed-highlight/core";
import { colourKindOf, colourTokens, kinds, type Token } from "./colours.ts";

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

/** A little of everything: texts, comments, numbers, markup, and what is in another. */
const samples = [
  "const a = `x ${b + `${1}`} y`; // TODO why\n/** @param {string} [a] IDEA */ const r = /[a-z]+\\/x/g;\n",
  "#!/bin/bash\nfor i in $(seq 3); do echo \"$i 'x'\" | sed -e 's/a/b/'; done # FIXME\n",
  'def f(x: int = 0x1f) -> str:\n    """doc"""\n    return f\'{x!r}\' if None else 1e-3  # no\n',
  "<!doctype html><!-- TODO --><p class='a' id=b>x &amp; y<style>a { color: #fff }</style><script>let x = 1</script></p>\n",
  'FROM debian:12\nRUN apt-get update && \\\n  echo "x"\nall: a.o\n\tcc -o $@ $<\n',
  "key: [1, 'two'] # c\nblock: |\n  text\n[section]\nname = \"v\" ; c\n",
  "diff --git a/x b/x\n@@ -1,2 +1,2 @@\n-old\n+new\nselect count(*) from t where a = 'x' -- c\n",
  'fn main() -> Result<(), E> { let x: u8 = 0b1; println!("{}", x); } // x\nasm volatile("nop");\n#include <a.h>\n',
  '{"a": [1, 2.5e-3, true, null], "b": {"c": "\\n"}}\npackage main; func (a *B) C() { go f() }\n',
];

test.each([...new Set(Object.values(kinds))])(
  "rules of %s say what they say in their library",
  async (kind: ShjLanguage) => {
    for (const sample of samples) {
      const theirs: Token[] = [];
      await splitByTheLibrary(sample, kind, (part, type) => theirs.push([part, type ?? null]));
      const isSaid = ([part]: Token) => part !== "";
      expect((await colourTokens(sample, kind)).filter(isSaid)).toEqual(theirs.filter(isSaid));
    }
  },
);
