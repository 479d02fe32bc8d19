/** The built dashboard from the disk, read once, compressed as the build left it. What it is called and how it is cached is not known here. */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { extname, join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import type { Deps } from "../deps.ts";
import { accepts } from "../http/route.ts";

const types: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".webmanifest": "application/manifest+json",
  ".woff2": "font/woff2",
};

interface Asset {
  type: string;
  plain: Buffer<ArrayBuffer>;
  br: Buffer<ArrayBuffer> | null;
  gzip: Buffer<ArrayBuffer> | null;
}

/** Loads every file of the dashboard; undefined where it is not built. */
export function loadAssets(dir = findDist()): Deps["assets"] {
  if (dir === null) return undefined;
  const files = new Map<string, Asset>();
  for (const entry of readdirSync(dir, { withFileTypes: true, recursive: true })) {
    const type = types[extname(entry.name)];
    if (!entry.isFile() || !type) continue;
    const file = join(entry.parentPath, entry.name);
    const encoded = (ending: string) => (existsSync(file + ending) ? readFileSync(file + ending) : null);
    const asset = { type, plain: readFileSync(file), br: encoded(".br"), gzip: encoded(".gz") };
    files.set(file.slice(dir.length).split(sep).join("/").replace(/^\/?/, "/"), asset);
  }
  return async (request) => {
    const { pathname } = new URL(request.url);
    const asset = files.get(pathname === "/" ? "/index.html" : pathname);
    if (!asset) return null;
    const headers = new Headers({ "content-type": asset.type, vary: "accept-encoding" });
    const encoding = (["br", "gzip"] as const).find((name) => asset[name] && accepts(request, name));
    if (encoding) headers.set("content-encoding", encoding);
    return new Response(encoding ? asset[encoding] : asset.plain, { headers });
  };
}

/** `gateway/web/dist` of the repository, seen from the bundle in `build/` or from this file. */
function findDist(): string | null {
  const places = ["../gateway/web/dist/", "../../web/dist/"].map((path) =>
    fileURLToPath(new URL(path, import.meta.url)),
  );
  return places.find((place) => existsSync(join(place, "index.html"))) ?? null;
}
