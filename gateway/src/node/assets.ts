/** The built dashboard from the disk, read and compressed once. What it is called and how it is cached is not known here. */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { extname, join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import type { Deps } from "../deps.ts";

const types: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".woff2": "font/woff2",
};

interface Asset {
  type: string;
  plain: Buffer<ArrayBuffer>;
  gzip: Buffer<ArrayBuffer>;
}

/** Loads every file of the dashboard; undefined where it is not built. */
export function loadAssets(dir = findDist()): Deps["assets"] {
  if (dir === null) return undefined;
  const files = new Map<string, Asset>();
  for (const entry of readdirSync(dir, { withFileTypes: true, recursive: true })) {
    const type = types[extname(entry.name)];
    if (!entry.isFile() || !type) continue;
    const file = join(entry.parentPath, entry.name);
    const plain = readFileSync(file);
    files.set(file.slice(dir.length).split(sep).join("/").replace(/^\/?/, "/"), {
      type,
      plain,
      gzip: gzipSync(plain, { level: 9 }),
    });
  }
  return async (request) => {
    const { pathname } = new URL(request.url);
    const asset = files.get(pathname === "/" ? "/index.html" : pathname);
    if (!asset) return null;
    const headers = new Headers({ "content-type": asset.type, vary: "accept-encoding" });
    const takesGzip = /\bgzip\b/.test(request.headers.get("accept-encoding") ?? "");
    if (takesGzip) headers.set("content-encoding", "gzip");
    return new Response(takesGzip ? asset.gzip : asset.plain, { headers });
  };
}

/** `gateway/web/dist` of the repository, seen from the bundle in `build/` or from this file. */
function findDist(): string | null {
  const places = ["../gateway/web/dist/", "../../web/dist/"].map((path) =>
    fileURLToPath(new URL(path, import.meta.url)),
  );
  return places.find((place) => existsSync(join(place, "index.html"))) ?? null;
}
