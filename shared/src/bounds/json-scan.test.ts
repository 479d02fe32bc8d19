import * as fc from "fast-check";
import { expect, test } from "vitest";
import { JsonScan, parseSmall } from "./json-scan.ts";

function scan(text: string, maxDepth = 100, pieces = 7) {
  const read = new JsonScan(maxDepth);
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length; at += pieces) read.push(bytes.subarray(at, at + pieces));
  return read;
}
const isObject = (text: string) => scan(text).isObject();

/** What the engine's own parser says. */
function parses(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

const object = fc.dictionary(fc.string(), fc.jsonValue(), { noNullPrototype: true });

test("says of any text what the engine's parser says, however it is cut and broken", () => {
  const space = fc.constantFrom("", " ", "\n", "\t", "\r", "\u00a0", "\ufeff");
  const broken = fc
    .tuple(
      object,
      fc.constantFrom(0, 1, 2),
      fc.nat(),
      fc.constantFrom(...Array.from('{}[]",:\\u0019-+.eE truefalsn\u0001\n\u00e9')),
      space,
    )
    .map(([made, indent, place, put, around]) => {
      const text = around + JSON.stringify(made, null, indent) + around;
      const at = place % (text.length + 1);
      return [
        text,
        text.slice(0, at) + put + text.slice(at),
        text.slice(0, at) + text.slice(at + 1),
        text.slice(0, at),
      ];
    });
  fc.assert(
    fc.property(broken, fc.integer({ min: 1, max: 9 }), (texts, pieces) => {
      for (const text of texts) expect([text, scan(text, 100, pieces).isObject()]).toEqual([text, parses(text)]);
    }),
    { numRuns: 300 },
  );
});

test("knows every form of a number and of a string, and what is neither", () => {
  const numbers = [
    "0",
    "-0",
    "01",
    "1.",
    ".5",
    "1.50",
    "-",
    "+1",
    "1e5",
    "1E+05",
    "1e",
    "1e-",
    "-1.5e-3",
    "0x1",
    "1 2",
    "NaN",
  ];
  const strings = ['"\\u00e9"', '"\\u00g9"', '"\\x"', '"\\u12"', '"\u0000"', '"\u007f"', "'a'", '"', '"\\"', '"\\\\"'];
  for (const value of [...numbers, ...strings, "true", "tru", "truee", "null", "nul", "[1,]", "[,1]", "{}", "{,}"]) {
    const text = `{"a":${value}}`;
    expect([text, isObject(text)]).toEqual([text, parses(text)]);
  }
});

test("takes a value of any kind at the top, and says whether it is an object", () => {
  const told = ["[{}]", "[1,{", '"a"', "12", "1.", "true", "tru", "", "{} {}", " {} "].map((text) => {
    const read = scan(text);
    return [text, read.isWhole(), read.isObject()];
  });
  expect(told).toEqual([
    ["[{}]", true, false],
    ["[1,{", false, false],
    ['"a"', true, false],
    ["12", true, false],
    ["1.", false, false],
    ["true", true, false],
    ["tru", false, false],
    ["", false, false],
    ["{} {}", false, false],
    [" {} ", true, true],
  ]);
});

test("counts keys and values", () => {
  expect(scan('{"a":[1,"b",{"c":null}],"d":true}').values()).toBe(10);
  expect(scan("{}").values()).toBe(1);
});

test("takes no text that is nested deeper than it may be", () => {
  const nested = (depth: number) => `{"a":${"[".repeat(depth - 1)}${"]".repeat(depth - 1)}}`;
  expect([scan(nested(20), 20).isObject(), scan(nested(21), 20).isObject()]).toEqual([true, false]);
});

test("parses what has few values alone", () => {
  const rich = `[${"[],".repeat(100)}[]]`;
  expect([parseSmall(rich, 200), parseSmall(rich, 100)]).toEqual([JSON.parse(rich), undefined]);
  expect(parseSmall(new TextEncoder().encode('{"a":"한글"}'), 10)).toEqual({ a: "한글" });
  expect([parseSmall("null", 10), parseSmall("{", 10), parseSmall("", 10)]).toEqual([null, undefined, undefined]);
});
