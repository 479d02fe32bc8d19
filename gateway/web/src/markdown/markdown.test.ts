/** Markdown as agents write it, and as nobody should. */
import { describe, expect, test } from "vitest";
import { finish } from "../../test/finish.ts";
import { parseBlocks } from "./blocks.ts";
import { parseInline } from "./inline.ts";

describe("a paragraph", () => {
  const cases: [string, unknown[]][] = [
    ["plain", ["plain"]],
    [
      "**bold** and *leaning*",
      [{ type: "strong", children: ["bold"] }, " and ", { type: "em", children: ["leaning"] }],
    ],
    ["***both***", [{ type: "em", children: [{ type: "strong", children: ["both"] }] }]],
    ["**a *b* c**", [{ type: "strong", children: ["a ", { type: "em", children: ["b"] }, " c"] }]],
    ["~~gone~~ ~not~", [{ type: "del", children: ["gone"] }, " ~not~"]],
    ["snake_case_name", ["snake_case_name"]],
    ["2 * 3 * 4", ["2 * 3 * 4"]],
    ["`a * b` and ``x ` y``", [{ type: "code", text: "a * b" }, " and ", { type: "code", text: "x ` y" }]],
    ["`open", ["`open"]],
    ["one\ntwo", ["one", { type: "break" }, "two"]],
    ["[text](https://a.example/b_(c))", [{ type: "link", href: "https://a.example/b_(c)", children: ["text"] }]],
    [
      '![alt](https://a.example/x.png "title")',
      [{ type: "image", href: "https://a.example/x.png", children: ["alt"] }],
    ],
    [
      "see https://a.example/b.",
      ["see ", { type: "link", href: "https://a.example/b", children: ["https://a.example/b"] }, "."],
    ],
    ["<https://a.example>", [{ type: "link", href: "https://a.example", children: ["https://a.example"] }]],
    ["[ ] and [x] and ]", ["[ ] and [x] and ]"]],
    ["&lt;b&gt; &amp; &#64; &#0;", ["<b> & @ &#0;"]],
    ["<script>alert(1)</script>", ["<script>alert(1)</script>"]],
    [String.raw`\*not\* \a`, [String.raw`*not* \a`]],
    ["*open **mixed*", ["*open *", { type: "em", children: ["mixed"] }]],
  ];
  test.each(cases)("%s", (text, expected) => {
    expect(join(parseInline(text))).toEqual(expected);
  });
});

describe("blocks", () => {
  test("headings, rules and paragraphs", () => {
    expect(parseBlocks("# One #\ntext\nmore\n\n---\n###### Six")).toEqual([
      { type: "heading", level: 1, text: "One" },
      { type: "paragraph", text: "text\nmore" },
      { type: "rule" },
      { type: "heading", level: 6, text: "Six" },
    ]);
  });

  test("code keeps its lines, also where its end is missing", () => {
    expect(parseBlocks("```ts\na\n\n  b\n```\nafter")).toEqual([
      { type: "code", text: "a\n\n  b", language: "ts" },
      { type: "paragraph", text: "after" },
    ]);
    expect(parseBlocks("~~~\n# not a heading")).toEqual([{ type: "code", text: "# not a heading", language: "" }]);
  });

  test("lists nest, number and tick off", () => {
    expect(parseBlocks("3. one\n   - a\n   - b\n\n4. two\n- [x] done\n- [ ] not")).toEqual([
      {
        type: "list",
        start: 3,
        items: [
          {
            isDone: null,
            blocks: [
              { type: "paragraph", text: "one" },
              { type: "list", start: null, items: [item("a"), item("b")] },
            ],
          },
          item("two"),
        ],
      },
      {
        type: "list",
        start: null,
        items: [
          { ...item("done"), isDone: true },
          { ...item("not"), isDone: false },
        ],
      },
    ]);
  });

  test("quotes hold blocks, tables hold cells", () => {
    expect(parseBlocks("> # q\n> text\n\n| a | b |\n|---|:-:|\n| 1 | x \\| y |\n| 2 |")).toEqual([
      {
        type: "quote",
        blocks: [
          { type: "heading", level: 1, text: "q" },
          { type: "paragraph", text: "text" },
        ],
      },
      { type: "table", header: ["a", "b"], aligns: [null, "center"], rows: [["1", "x | y"], ["2"]] },
    ]);
  });
});

describe("a hostile text", () => {
  const n = 300_000;
  const of = (part: string) => part.repeat(Math.ceil(n / part.length)).slice(0, n);
  const steps = (step: (at: number) => string) => Array.from({ length: Math.sqrt(2 * n) }, (_, at) => step(at));
  const parts = [
    "*",
    "*a",
    "*a ",
    "a* ",
    "[",
    "[a](",
    "![",
    "`",
    "_a_",
    ">",
    "> ",
    "- ",
    "1. ",
    "<",
    "<a ",
    "<!--",
    "&",
    "~~a",
    "|a",
    " ",
    "\n",
    "http://",
    "a@",
    "a.",
    "\\",
    "**a ",
    "a**b",
    "#",
    "# a\n",
    "[a]: ",
    "(",
    "](",
    "- - - ",
    "*a _b ",
    "https://a.",
  ];
  const texts: [string, string][] = [
    ...parts.map((part): [string, string] => [part, of(part)]),
    ["longer and longer ticks", steps((at) => "`".repeat(at + 1)).join(" ")],
    ["deeper and deeper lists", steps((at) => `${" ".repeat(at)}- a`).join("\n")],
    ["a gap", `a${" ".repeat(n)}b`],
    ["a wide table", `${of("|a")}\n${of("|-")}`],
    ["stars that open, then such that close", of("*a ") + of(" a*")],
    ["loose lists", of("- a\n\n")],
  ];
  test.each(texts)("of %j comes to an end", (_, text) => {
    const read = () => parseBlocks(text).map((block) => ("text" in block ? parseInline(block.text) : [block]));
    expect(finish(read)).toBeDefined();
    expect(finish(() => parseInline(text))).not.toEqual([]);
  });
});

const item = (text: string) => ({ isDone: null, blocks: [{ type: "paragraph", text }] });

/** Neighbouring strings as one. */
function join(parts: unknown[]): unknown[] {
  const joined: unknown[] = [];
  for (const part of parts) {
    if (typeof part === "string" && typeof joined.at(-1) === "string") joined.push(`${String(joined.pop())}${part}`);
    else if (part !== null && typeof part === "object" && "children" in part)
      joined.push({ ...part, children: join(part.children as unknown[]) });
    else joined.push(part);
  }
  return joined;
}
