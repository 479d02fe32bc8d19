import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { house, rest } from "./floors.ts";

const root = join(import.meta.dirname, "../..");
const exclude = ["**/node_modules", "**/dist", "build", "data"];
const read = (path: string) => readFileSync(join(root, path), "utf8");
const documents = globSync("{*.md,docs/**/*.md}", { cwd: root });

/** What is named like a source of ours, or like anything below a folder of the top. Settings of an operator are not in the tree. */
const isOfTheTree = (name: string) =>
  /^[\w.-][\w./*-]*$/.test(name) &&
  !name.endsWith(".env") &&
  (/\.(ts|tsx|mjs|py|sql|toml)$/.test(name) || (name.includes("/") && existsSync(join(root, name.split("/")[0]!))));
const isThere = (name: string) => globSync([name, `**/${name}`], { cwd: root, exclude }).length > 0;

test.each(documents)("%s names files that there are", (document) => {
  const named = [...read(document).matchAll(/`([^`\n]+)`/g)].map(([, name]) => name!.replace(/:\d+$|\/$/, ""));
  expect(named.filter((name) => isOfTheTree(name) && !isThere(name))).toEqual([]);
  const linked = [...read(document).matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map(([, path]) => path!);
  expect(linked.filter((path) => !existsSync(join(root, dirname(document), path)))).toEqual([]);
});

test("the code map of ARCHITECTURE.md has the line of each room, in the order of the list", () => {
  const expected = house
    .flat()
    .flatMap(({ dir, floors }) =>
      floors.flatMap((rooms) =>
        Object.entries(rooms).map(([room, words]) => `| \`${room === rest ? dir : `${dir}/${room}`}\` | ${words} |`),
      ),
    );
  const [, map = ""] = /<!-- rooms -->\n([^]*?)<!-- \/rooms -->/.exec(read("docs/ARCHITECTURE.md")) ?? [];
  expect(map.split("\n").filter((line) => line.startsWith("| `"))).toEqual(expected);
});
