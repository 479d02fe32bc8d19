/** Which files a file imports, by TypeScript's own parser: values and types, `export from`, dynamic imports and `import()` types alike. */
import { posix } from "node:path";
import type { StringLiteral } from "typescript/unstable/ast";
import { createVirtualFileSystem } from "typescript/unstable/fs";
import { API } from "typescript/unstable/sync";

const isScript = /\.(ts|tsx|mjs|cjs)$/;
const isSource = /\.(ts|tsx|mjs|cjs|css)$/;
const options = { allowJs: true, noLib: true, noResolve: true, types: [] };

/** Each file of the tree (path → text) with the files of the tree that it imports; packages of others are left out. */
export function readImports(tree: ReadonlyMap<string, string>): Map<string, string[]> {
  const files = [...tree.keys()].filter((path) => isScript.test(path));
  const fs = createVirtualFileSystem({
    ...Object.fromEntries(files.map((path) => [`/${path}`, tree.get(path)!])),
    "/tsconfig.json": JSON.stringify({ compilerOptions: options, files }),
  });
  const api = new API({ cwd: "/", fs });
  try {
    const { program } = api.updateSnapshot({ openProjects: ["/tsconfig.json"] }).getProjects()[0]!;
    const named = (path: string) => program.getSourceFile(`/${path}`)!.imports.map((it) => (it as StringLiteral).text);
    const importsOf = (path: string) => (isScript.test(path) ? named(path) : []);
    return new Map(
      [...tree.keys()].map((path) => [path, importsOf(path).flatMap((name) => resolve(path, name) ?? [])]),
    );
  } finally {
    api.close();
  }
}

/** The path of a relative import or one of `@berth/NAME/FILE` (in `src` but for `node/FILE`); null for a package of others and for what is no source. */
function resolve(from: string, name: string): string | null {
  const path = name.startsWith(".")
    ? posix.join(posix.dirname(from), name)
    : name.replace(/^@berth\/([^/]+)\/(node\/)?(.+)$/, (_, of, node = "src/", file) => `${of}/${node}${file}.ts`);
  return (name.startsWith(".") || path !== name) && isSource.test(path) ? path : null;
}
