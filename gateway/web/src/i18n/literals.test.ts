/** Whether every word that a person sees comes from a catalogue, or stands in each language beside the other: the page's sources are read for text that stands in them. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseSync } from "vite";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
/** Names that are the same in every language, code, media queries, and what is said to the model. */
const names = new Set(["Berth", "zip", "tar", "eyJ…", "The user does not want to answer this."]);
const examples = new Set(["github.com", "api.example.com", "tracker", "Authorization: Bearer {}"]);
const isCode = /^\([a-z-]+: [a-z-]+\)$|^git clone /;
const spokenAttributes = /^(aria-label|title|placeholder|label|alt|action|what|words|all|choiceLabel)$/;
const silentAttributes = /^(class|rel|d|viewBox|rootMargin|style)$/;

interface Node {
  type: string;
  [key: string]: unknown;
}

/** Texts in the source that look like words for a person. */
function wordsIn(path: string, source: string): string[] {
  const found: string[] = [];
  const note = (text: string, isShown: boolean) => {
    const looksLikeWords = isShown ? /\p{L}/u.test(text) : /\p{L}{2,}[,.:]? (?:\p{L}|…)/u.test(text);
    if (looksLikeWords && !names.has(text.trim()) && !examples.has(text) && !isCode.test(text)) found.push(text.trim());
  };
  const visit = (value: unknown, isShown: boolean): void => {
    if (Array.isArray(value)) return value.forEach((one) => visit(one, isShown));
    if (value === null || typeof value !== "object" || !("type" in value)) return;
    const node = value as Node;
    const visitAll = (shown: boolean, ...keys: string[]) =>
      Object.entries(node).forEach(([key, child]) => keys.includes(key) || visit(child, shown));
    switch (node.type) {
      case "JSXText":
        return note(String(node["value"]), true);
      case "Literal":
        return typeof node["value"] === "string" ? note(node["value"], isShown) : undefined;
      case "TemplateElement":
        return note((node["value"] as { cooked: string }).cooked, isShown);
      case "JSXAttribute": {
        const name = String((node["name"] as Node)["name"]);
        return silentAttributes.test(name) ? undefined : visit(node["value"], spokenAttributes.test(name));
      }
      case "JSXElement":
        visit((node["openingElement"] as Node)["attributes"], false);
        return visit(node["children"], true);
      case "ConditionalExpression":
        visit(node["test"], false);
        return visitAll(isShown, "test");
      case "ImportDeclaration":
      case "ExportNamedDeclaration":
        return visit(node["declaration"], false);
      case "CallExpression":
        // In each language beside the other, and the compiler asks for all of them.
        return (node["callee"] as Node)["name"] === "createWords" ? undefined : visitAll(false);
      case "BinaryExpression":
      case "MemberExpression":
        return visitAll(false);
      default:
        return visitAll(isShown);
    }
  };
  visit(parseSync(path, source).program, false);
  return found;
}

test("no source of the page has words of its own", () => {
  const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter(
    (path) => /\.tsx?$/.test(path) && !path.endsWith(".test.ts") && !path.startsWith("i18n/"),
  );
  expect(files.length).toBeGreaterThan(60);
  const found = files.map((path) => [path, wordsIn(path, readFileSync(join(root, path), "utf8"))]);
  expect(Object.fromEntries(found.filter(([, words]) => words!.length > 0))).toEqual({});
});

test.each([
  ["text", "<p>Hello</p>", ["Hello"]],
  ["one of two", "<p>{a ? 'Yes' : b}</p>", ["Yes"]],
  ["a name for a screen reader", '<button aria-label="Close" class="big close" />', ["Close"]],
  ["a title with a name in it", "<p title={`Settings of ${name}`} />", ["Settings of"]],
  ["an error", 'throw new Error("That did not work.")', ["That did not work."]],
  ["none that is there in each language", 'createWords({ en: "Not so", ko: "그렇지 않아요" })', []],
  ["no names, keys and classes", '<p class="a b" data-x={go("agents")}>{t().a} Berth</p>', []],
])("is found: %s", (_, source, expected) => {
  expect(wordsIn("a.tsx", source)).toEqual(expected);
});
