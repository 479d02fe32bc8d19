/** Builds the dashboard to `dist`: hashed files of this origin alone, nothing inline, so that the strictest CSP holds; each compressed beside it. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

/** As small as they get, once for all who load them. */
const compress: Plugin = {
  name: "compress",
  writeBundle({ dir }, bundle) {
    for (const file of Object.keys(bundle).map((name) => join(dir!, name))) {
      const plain = readFileSync(file);
      writeFileSync(`${file}.br`, brotliCompressSync(plain));
      writeFileSync(`${file}.gz`, gzipSync(plain, { level: 9 }));
    }
  },
};

export default defineConfig({
  root: import.meta.dirname,
  plugins: [compress],
  build: {
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    // What several pages need is one file, which the first page has: else each small part would be one, and a request. What draws
    // a run is another, which the first page does without.
    rolldownOptions: {
      output: {
        codeSplitting: {
          includeDependenciesRecursively: false,
          groups: [
            {
              name: "runs",
              test: /src\/(markdown|agents\/(run-section|waiting-card|queued|transcript)|transcript\/.*-)/,
              priority: 1,
            },
            // Neither the first page nor a conversation has tables, forms of one name, secrets that are shown once, users or triggers.
            {
              name: "lists",
              test: /src\/(charts\/columns|style\/(few|lists)|users\/new-token|state\/users|triggers\/(schemes|template-field|triggers\.ts)|ui\/(table-head|shown-once|name-form))/,
              priority: 1,
            },
            // Nor what is asked for a list; a page of one run has that alone.
            { name: "answers", test: /src\/ui\/use-answer/, priority: 1 },
            { name: "shared", minShareCount: 2 },
          ],
        },
      },
    },
  },
});
