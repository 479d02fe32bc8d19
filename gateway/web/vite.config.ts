/** Builds the dashboard to `dist`: hashed files of this origin alone, nothing inline, so that the strictest CSP holds. */
import { defineConfig } from "vite";

export default defineConfig({
  root: import.meta.dirname,
  build: {
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
});
