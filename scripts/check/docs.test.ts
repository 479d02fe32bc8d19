import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, matchesGlob } from "node:path";
import { expect, test } from "vitest";
import { builtInHosts } from "../../host-agent/src/egress/built-in-hosts.ts";
import { deriveDocs, root } from "./derived-docs.ts";

const exclude = ["**/node_modules", "**/dist", "build", "data"];
const read = (path: string) => readFileSync(join(root, path), "utf8");
const documents = globSync("{*.md,docs/**/*.md}", { cwd: root });
/** Files and folders of the tree, each with a stroke before it: a name is the end of one, after a stroke. */
const tree = globSync(["**", ".*", ".*/**"], { cwd: root, exclude: [...exclude, ".git"] }).map((path) => `/${path}`);

/** What is named like a source of ours, or like anything below a folder of the top. Settings of an operator are not in the tree. */
const isOfTheTree = (name: string) =>
  /^[\w.-][\w./*-]*$/.test(name) &&
  !name.endsWith(".env") &&
  !name.startsWith("./") &&
  (/\.(ts|tsx|mjs|py|sql|toml)$/.test(name) || (name.includes("/") && existsSync(join(root, name.split("/")[0]!))));
const isThere = (name: string) =>
  tree.some(name.includes("*") ? (path) => matchesGlob(path, `/**/${name}`) : (path) => path.endsWith(`/${name}`));

test.each(documents)("%s names files that there are", (document) => {
  const named = [...read(document).matchAll(/`([^`\n]+)`/g)].map(([, name]) => name!.replace(/:\d+$|\/$/, ""));
  expect(named.filter((name) => isOfTheTree(name) && !isThere(name))).toEqual([]);
});

test.each(documents)("%s leads to pages and headings that there are", (document) => {
  const linked = [...withoutCode(read(document)).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g)];
  const leadsNowhere = linked.filter(([, path, anchor]) => {
    const target = path ? join(dirname(document), path) : document;
    return !existsSync(join(root, target)) || (anchor !== undefined && !anchorsOf(read(target)).includes(anchor));
  });
  expect(leadsNowhere.map(([link]) => link)).toEqual([]);
});

const withoutCode = (text: string) => text.replaceAll(/^ *```[^]*?^ *```/gm, "");

/** As GitHub and its like name them. */
function anchorsOf(text: string): string[] {
  const headings = [...withoutCode(text).matchAll(/^#+ (.+)$/gm)].map(([, words]) =>
    words!.replaceAll(/[`*]|\]\([^)]*\)/g, ""),
  );
  return headings.map((words) =>
    words
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

test("the index of the documentation leads to each page", () => {
  const pages = globSync("docs/*.md", { cwd: root }).map((path) => path.slice("docs/".length));
  expect(pages.filter((page) => page !== "README.md" && !read("docs/README.md").includes(`(${page})`))).toEqual([]);
});

test.each(Object.entries(deriveDocs()))(
  "%s says what the files that it repeats say: npm run fix writes it",
  (path, text) => {
    expect(read(path)).toBe(text);
  },
);

test("the page of what agents may reach has the built-in list", () => {
  const [, list = ""] = /<!-- hosts -->([^]*)<!-- \/hosts -->/.exec(read("docs/egress.md")) ?? [];
  expect([...list.matchAll(/`([^`]+)`/g)].map(([, name]) => name)).toEqual(builtInHosts);
});

test("each sentence of the page of troubleshooting is one that Berth says", () => {
  const sources = globSync("{gateway/{src,web/src},host-agent/src,scripts,shared/src}/**/*.{ts,tsx,mjs}", {
    cwd: root,
    exclude,
  });
  const said = sources.map((path) => read(path).replaceAll(/\s+/g, " ")).join("\n");
  const rows = read("docs/troubleshooting.md").matchAll(/^\| (`.+?`) \|/gm);
  const parts = [...rows].flatMap(([, cell]) => cell!.split("`, `")).flatMap((words) => words.split("…"));
  const bare = parts.map((part) => part.replaceAll("`", "").trim()).filter((part) => part.length > 3);
  expect(bare.length).toBeGreaterThan(25);
  expect(bare.filter((part) => !said.includes(part))).toEqual([]);
});

/** Whose slanted words are those of others, or of none. */
const notOfThePage = ["docs/ARCHITECTURE.md", "docs/BENCHMARKS.md", "docs/oidc.md", "docs/troubleshooting.md"];
test("what the pages call by a slanted name is so called in the dashboard", () => {
  const catalogue = globSync("gateway/web/src/{i18n/en/*,frame/*,runtimes/*,triggers/*}.{ts,tsx}", { cwd: root })
    .map(read)
    .join("\n");
  const pages = globSync("docs/*.md", { cwd: root }).filter((path) => !notOfThePage.includes(path));
  const named = pages.flatMap((path) =>
    [...withoutCode(read(path)).matchAll(/(?<![*\w`])\*([^*\n`]{2,60})\*(?![*\w])/g)].flatMap(([, words]) =>
      words!.split(" → "),
    ),
  );
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter((words) => !catalogue.includes(`"${words}"`))).toEqual([]);
});

test("ARCHITECTURE.md names each table of both databases, and no other", () => {
  const tablesIn = (sql: string) =>
    [...sql.matchAll(/CREATE (?:VIRTUAL )?TABLE `?(?!__new_)(\w+)`?/g)].map(([, name]) => name!);
  const made = [
    globSync("migrations/*.sql", { cwd: root }).map(read).join("\n"),
    read("host-agent/src/store/migrations.ts"),
  ];
  const [, part = ""] = /<!-- tables -->\n([^]*?)<!-- \/tables -->/.exec(read("docs/ARCHITECTURE.md")) ?? [];
  const said = part
    .split("**table of a host**")
    .map((half) =>
      half.split("\n").flatMap((line) => [...line.split(" | ")[0]!.matchAll(/`(\w+)`/g)].map(([, name]) => name)),
    );
  expect(said.map((names) => names.toSorted())).toEqual(made.map((sql) => [...new Set(tablesIn(sql))].toSorted()));
});
