import { AppError } from "@berth/shared/errors";
import { promptMaxBytes } from "@berth/shared/resources";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkTemplate, renderPrompt } from "./template.ts";

const view = {
  payload: {
    text: `<b>"it's"</b> & more`,
    zero: 0,
    no: false,
    nothing: null,
    items: [{ name: "a" }, { name: "b" }],
    words: ["x", "y"],
    deep: { one: { two: "three" } },
    empty: [],
    "odd key-1": "odd",
  },
  headers: { "x-github-event": "push" },
  trigger: { name: "mine" },
};
const render = (text: string, over: Record<string, unknown> = view) => renderPrompt(text, over);

describe("rendering", () => {
  test.each([
    ["{{payload.text}}", `<b>"it's"</b> & more`],
    ["{{{payload.text}}}{{& payload.zero}}", `<b>"it's"</b> & more0`],
    ["{{headers.x-github-event}} {{trigger.name}} {{payload.deep.one.two}}", "push mine three"],
    ["{{payload.missing}}{{payload.nothing}}{{missing.at.all}}.", "."],
    ["{{#payload.items}}{{name}},{{/payload.items}}", "a,b,"],
    ["{{#payload.words}}{{.}} {{/payload.words}}", "x y "],
    ["{{payload.items.1.name}} {{payload.items.length}}", "b 2"],
    ["{{#payload.deep}}{{one.two}} {{trigger.name}}{{/payload.deep}}", "three mine"],
    [
      "{{^payload.empty}}none{{/payload.empty}}{{#payload.no}}yes{{/payload.no}}{{^payload.no}}no{{/payload.no}}",
      "noneno",
    ],
    ["{{payload.deep}} {{payload.words}} {{payload.no}}", '{"one":{"two":"three"}} ["x","y"] false'],
    ["{{! a remark }}{{payload.odd key-1}}", "odd"],
    ["{{=<% %>=}}<% trigger.name %> {{text}}", "mine {{text}}"],
    ["a\n{{#payload.deep}}\nb\n{{/payload.deep}}\nc", "a\nb\nc"],
    ["{{payload.text}}", ""],
  ])("%j gives %j", (text, prompt) => {
    expect(render(text, prompt === "" ? { payload: "text" } : view)).toEqual({ prompt });
  });

  test.each([
    "{{payload.constructor}}",
    "{{payload.constructor.constructor}}",
    "{{payload.__proto__}}{{__proto__}}{{constructor.name}}",
    "{{payload.items.push}}{{payload.text.length}}{{payload.text.constructor}}",
    "{{#payload.constructor.constructor}}return process{{/payload.constructor.constructor}}",
    "{{#payload.items.map}}x{{/payload.items.map}}",
    "{{toString}}{{hasOwnProperty}}",
  ])("%s reaches nothing", (text) => {
    expect(render(text)).toEqual({ prompt: "" });
  });

  test("what no prompt may contain becomes U+FFFD", () => {
    expect(render("{{payload}}", { payload: "a\0b\ud800c" })).toEqual({ prompt: "a\ufffdb\ufffdc" });
  });

  test("a prompt of 1 MiB is whole and a byte more is said", () => {
    expect(render("{{payload}}", { payload: "é".repeat(524_288) })).toEqual({ prompt: "é".repeat(524_288) });
    expect(render("{{payload}}x", { payload: "é".repeat(524_288) })).toHaveProperty("problem");
  });

  test("sections that multiply come to an end", () => {
    const payload = Array.from({ length: 1000 }, () => 1);
    expect(
      render("{{#payload}}{{#payload}}{{#payload}}{{/payload}}{{/payload}}{{/payload}}", { payload }),
    ).toHaveProperty("problem");
    expect(render("{{#payload}}{{#payload}}{{payload}}{{/payload}}{{/payload}}", { payload })).toHaveProperty(
      "problem",
    );
  });

  test.each([
    ["through many levels", `${"{{#.}}".repeat(1200)}{{#payload}}{{x}}{{/payload}}${"{{/.}}".repeat(1200)}`],
    ["along many dots", `{{#payload}}{{${"a.".repeat(8000)}a}}{{/payload}}`],
  ])("names that are looked for %s come to an end", (_way, text) => {
    expect(render(text, { payload: Array.from({ length: 20_000 }, () => ({})) })).toHaveProperty("problem");
  });

  test("a payload nested deeper than the stack is said", () => {
    const payload: unknown = JSON.parse("[".repeat(100_000) + "]".repeat(100_000));
    expect(render("{{payload}}", { payload })).toHaveProperty("problem");
    expect(render("fine", { payload })).toEqual({ prompt: "fine" });
  });
});

/** Templates that are mostly well formed, of names that mean something to objects. */
const name = fc.constantFrom(
  "payload",
  "a",
  "b.c",
  ".",
  "payload.0",
  "__proto__",
  "constructor",
  "length",
  " a ",
  "é",
  "",
);
const { template } = fc.letrec<{ template: string; part: string }>((tie) => ({
  template: fc.array(tie("part"), { maxLength: 5 }).map((parts) => parts.join("")),
  part: fc.oneof(
    { depthSize: "small" },
    fc.string({ unit: "binary", maxLength: 8 }),
    name.map((one) => `{{${one}}}`),
    name.map((one) => `{{{${one}}}}`),
    fc.constantFrom("{{! x }}", "{{=<% %>=}}", "{{> a}}", "{{", "}}", "{{#", "{{/a}}", "\n", "\ud800", "\0", "{{&a}}"),
    fc
      .tuple(fc.constantFrom("#", "^"), name, tie("template"))
      .map(([kind, one, inner]) => `{{${kind}${one}}}${inner}{{/${one}}}`),
  ),
}));
const isKept = (text: string) => {
  try {
    checkTemplate(text);
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(AppError);
    return false;
  }
};

test("any template that is kept makes a prompt or a sentence of any payload, and any other is refused", () => {
  const payload = fc.oneof(fc.jsonValue({ maxDepth: 4 }), fc.string({ unit: "binary" }));
  fc.assert(
    fc.property(template, payload, fc.dictionary(fc.string(), fc.string()), (text, value, headers) => {
      if (!isKept(text)) return;
      const rendered = renderPrompt(text, { payload: value, headers, a: value, b: { c: [value, headers] } });
      if ("problem" in rendered) {
        expect(rendered.problem).toMatch(/^[A-Z].*\.$/);
        return;
      }
      expect(rendered.prompt.isWellFormed() && !rendered.prompt.includes("\0")).toBe(true);
      expect(Buffer.byteLength(rendered.prompt)).toBeLessThanOrEqual(promptMaxBytes);
    }),
    { numRuns: 1000 },
  );
});

test.each(["x", "é", "€", "🙂"])("a prompt of %s is whole up to 1 MiB and said to be too long beyond", (unit) => {
  const size = Buffer.byteLength(unit);
  for (let bytes = promptMaxBytes - 4; bytes <= promptMaxBytes + 4; bytes++) {
    const payload = unit.repeat(Math.floor(bytes / size)) + "x".repeat(bytes % size);
    const rendered = render("{{payload}}", { payload });
    if (bytes <= promptMaxBytes) expect(rendered).toEqual({ prompt: payload });
    else expect(rendered).toHaveProperty("problem");
  }
});

describe("checking", () => {
  test.each([
    ["{{payload", "at 9"],
    ["{{#a}}x", "at 7"],
    ["x{{/a}}", "at 1"],
    ["{{#a}}{{/b}}", "at 6"],
    ["{{> other}}", "partials"],
    ["{{#a}}{{> other}}{{/a}}", "partials"],
  ])("%s is refused: %s", (text, reason) => {
    expect(() => checkTemplate(text)).toThrow(reason);
  });

  test("the longest template that is mostly white space is checked soon", () => {
    expect(() => checkTemplate(`{{${" ".repeat(16_380)}`)).toThrow();
  });
});
