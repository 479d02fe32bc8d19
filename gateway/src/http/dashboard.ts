/** The dashboard's files with the headers of a page that trusts nobody: for every address that is not the API's. */
import type { Context } from "hono";
import type { AppEnv, Deps } from "../deps.ts";
import { htmlPage } from "./html.ts";

const ofTheApi = /^\/(v1|internal|hooks|session|healthz|readyz|\.well-known|openapi\.json|docs)(\/|$)/;
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' blob:",
  "manifest-src 'self'",
  "font-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

/** The file at the request's path; the page itself for any other address that a browser opens; null for what is the API's. */
export async function serveDashboard({ assets }: Deps, c: Context<AppEnv>): Promise<Response | null> {
  const { method, path } = c.req;
  if ((method !== "GET" && method !== "HEAD") || ofTheApi.test(path)) return null;
  c.set("route", "dashboard");
  const file = path === "/" ? null : await assets?.(c.req.raw);
  if (file) return withHeaders(file, path.startsWith("/assets/"));
  if (path !== "/" && !c.req.header("accept")?.includes("text/html")) return null;
  const page = await assets?.(new Request(new URL("/", c.req.url), { headers: c.req.raw.headers }));
  return page ? withHeaders(page, false) : notBuilt();
}

/**
 * Names of files under `/assets/` carry a hash of their content, so those never change. Scripts and style sheets are no pages:
 * they have the policy of what says nothing else, which allows nothing and is shorter.
 */
function withHeaders(file: Response, isHashed: boolean): Response {
  const response = new Response(file.body, file);
  response.headers.set("cache-control", isHashed ? "public, max-age=31536000, immutable" : "no-cache");
  if (/^text\/(javascript|css)/.test(file.headers.get("content-type") ?? "")) return response;
  response.headers.set("content-security-policy", policy);
  response.headers.set("cross-origin-opener-policy", "same-origin");
  return response;
}

function notBuilt(): Response {
  return htmlPage(
    "Berth",
    `<h1>Berth</h1><p>The gateway is here, its dashboard is not built. <code>npm start</code> builds it.</p>
<p><a href="/docs">The API to read</a> · <a href="/openapi.json">OpenAPI</a></p>`,
  );
}
