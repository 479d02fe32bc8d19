import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { findBreaches } from "./breaches.ts";
import { house, rest, type Package } from "./floors.ts";
import { readImports } from "./imports.ts";

const root = join(import.meta.dirname, "../..");
/** What is no source of ours, and what tools of the top read. */
const exclude = ["**/node_modules", "**/dist", "build", "coverage", "data", "**/*.config.ts"];

test("each file stands in a room and imports from floors below its own, and no imports run in a circle", () => {
  const paths = globSync("*/**/*.{ts,tsx,mjs,cjs,css}", { cwd: root, exclude });
  const tree = new Map(paths.map((path) => [path, readFileSync(join(root, path), "utf8")]));
  expect(findBreaches(house, readImports(tree))).toEqual([]);
});

describe("in a small house", () => {
  const shared: Package = { dir: "shared/src", floors: [{ [rest]: "The contract." }] };
  const shop: Package = {
    dir: "shop/src",
    tests: "shop/test",
    floors: [{ till: "Money." }, { "stock.ts": "What there is.", staff: "Who there is." }, { shop: "All of it." }],
  };
  const bank: Package = { dir: "bank", floors: [{ vault: "More money." }] };
  const tests: Package = { dir: "e2e", isForTests: true, floors: [{ tools: "For suites." }] };
  const sound = {
    "shared/src/price.ts": "export type Price = number;",
    "shop/src/till/add.ts": 'import type { Price } from "@berth/shared/price"; export type Sum = Price;',
    "shop/src/till/count.ts": 'export * from "./add.ts"; import zod from "zod";',
    "shop/src/stock.ts": 'import { sum } from "./till/add.ts";',
    "shop/src/staff/hire.ts": "",
    "shop/src/shop/open.ts": 'import "../stock.ts"; const hire = () => import("../staff/hire.ts");',
    "shop/src/till/add.test.ts": 'import "../shop/open.ts"; import "../../test/wait.ts";',
    "shop/test/wait.ts": 'import "../src/stock.ts";',
    "bank/vault/gold.ts": "",
    "e2e/tools/client.ts": 'import "../../shop/test/wait.ts"; import "../../shop/src/stock.ts";',
  };
  const breaches = (files: Record<string, string> = {}) =>
    findBreaches([[shared], [shop, bank], [tests]], readImports(new Map(Object.entries({ ...sound, ...files }))));

  test("nothing is said of what is sound: down, within a room, into a package below, tests whatever of their own", () => {
    expect(breaches()).toEqual([]);
  });

  test.each([
    ["a value", 'import { open } from "../shop/open.ts";'],
    ["a type", 'import type { Open } from "../shop/open.ts";'],
    ["what is passed on", 'export { open } from "../shop/open.ts";'],
    ["a dynamic import", 'const it = await import("../shop/open.ts");'],
    ["a type by import()", 'export type Open = import("../shop/open.ts").Open;'],
  ])("a look up is found: %s", (_, text) => {
    expect(breaches({ "shop/src/till/look.ts": text })).toEqual([
      "shop/src/till/look.ts (till) looks up to shop/open.ts (shop): move what it needs down, or itself up.",
    ]);
  });

  test("words that only look like an import are none", () => {
    const text = '// import "../shop/open.ts"\nexport const words = `import "../shop/open.ts"`;';
    expect(breaches({ "shop/src/till/look.ts": text })).toEqual([]);
  });

  test("a look at a neighbour on the same floor is found", () => {
    expect(breaches({ "shop/src/staff/look.ts": 'import "../stock.ts";' })).toEqual([
      "shop/src/staff/look.ts (staff) looks at its neighbour stock.ts (stock.ts): move what both need down, or one of the two up.",
    ]);
  });

  test.each([
    ["a neighbour", "shop/src/till/look.ts", "../../../bank/vault/gold.ts"],
    ["a package above", "shop/src/till/look.ts", "../../../e2e/tools/client.ts"],
    ["a package above, from a test", "shop/src/till/look.test.ts", "../../../e2e/tools/client.ts"],
    ["anything, from the lowest", "shared/src/look.ts", "../../bank/vault/gold.ts"],
  ])("an import of another package that is not below is found: %s", (_, from, to) => {
    expect(breaches({ [from]: `import "${to}";` })).toEqual([
      expect.stringMatching(new RegExp(`^${from} imports .* of a package that is not below its own: `)),
    ]);
  });

  test("a source that imports what is for tests is found", () => {
    expect(breaches({ "shop/src/shop/look.ts": 'import "../../test/wait.ts";' })).toEqual([
      "shop/src/shop/look.ts imports shop/test/wait.ts, which is for tests alone: move what it needs to the sources.",
    ]);
  });

  test("a circle is found, within a room and of types too", () => {
    const files = {
      "shop/src/till/a.ts": 'import type { B } from "./b.ts"; export type A = B;',
      "shop/src/till/b.ts": 'import type { C } from "./c.ts"; export type B = C;',
      "shop/src/till/c.ts": 'export type C = import("./a.ts").A;',
    };
    expect(breaches(files)).toEqual([
      "shop/src/till/a.ts → shop/src/till/b.ts → shop/src/till/c.ts → shop/src/till/a.ts is a circle: move what both need into a file below them.",
    ]);
  });

  test.each(["shop/src/cellar/wine.ts", "shop/src/loose.ts", "e2e/loose.ts", "shop/loose.ts", "pub/bar.ts"])(
    "a file that stands in no room is found: %s",
    (path) => {
      expect(breaches({ [path]: "" })).toEqual([
        `${path} stands in no room: move it into one, or give its room a sentence in scripts/check/floors.ts.`,
      ]);
    },
  );

  test("a room of the list that is gone is found", () => {
    const { "bank/vault/gold.ts": _, ...others } = sound;
    expect(findBreaches([[shared], [shop, bank], [tests]], readImports(new Map(Object.entries(others))))).toEqual([
      "bank/vault is gone: take its line out of scripts/check/floors.ts.",
    ]);
  });

  test("a folder with more than 15 files is found; tests and declarations do not count", () => {
    const files = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, at) => [`bank/vault/${at}.ts`, ""]));
    expect(breaches({ ...files(14), "bank/vault/gold.test.ts": "", "bank/vault/gold.d.ts": "" })).toEqual([]);
    expect(breaches(files(15))).toEqual(["bank/vault has 16 files, 15 are the most: give some a folder of their own."]);
  });
});
