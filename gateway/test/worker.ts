/**
 * For tests: the Worker, with many apps in it. Each has a D1, settings, key and clock of its own and answers below
 * `/~NAME` or, with the clock that many milliseconds ahead, `/~NAME.MS`;
 * `/~NAME/~sql` gives the test the same database.
 */
import { createLog } from "@berth/shared/log";
import { bindingsFor, type WaitUntil } from "../src/worker-bindings.ts";
import type { D1, D1Statement } from "../src/worker-data.ts";
import { openGateway, type Env } from "../src/worker-gateway.ts";
import { databases } from "./worker-databases.ts";

interface OpenApp {
  env: Env;
  skewMs: number;
  lines: string[];
}
interface FullD1 extends D1 {
  prepare(sql: string): FullStatement;
}
interface FullStatement extends D1Statement {
  bind(...values: unknown[]): FullStatement;
  all(): Promise<unknown>;
  raw(): Promise<unknown>;
}

/** What a call of the test says of itself, in the header `berth-test`; the clock stays so for calls that say nothing. */
export interface Told {
  skewMs: number;
  /** Headers that a client of HTTP may not set by itself. */
  headers: Record<string, string>;
}
export interface SqlCall {
  method: "all" | "raw" | "batch";
  statements: { sql: string; params: unknown[] }[];
}

const apps = new Map<string, OpenApp>();

export default {
  async fetch(request: Request, env: Record<string, FullD1>, context: WaitUntil): Promise<Response> {
    const url = new URL(request.url);
    const [, name = "", skewMs, path = ""] = /^\/~(\w+)(?:\.(\d+))?(\/.*)?$/.exec(url.pathname) ?? [];
    if (name === "open") return open(env, await request.json());
    const app = apps.get(name);
    if (!app) return new Response("no such app", { status: 500 });
    if (skewMs !== undefined) app.skewMs = Number(skewMs);
    if (path === "/~sql") return runSql(env[name]!, await request.json());
    if (path === "/~close") return Response.json(apps.delete(name));
    return serve(app, new Request(new URL(path + url.search, url.origin), request), context);
  },
};

function open(env: Record<string, FullD1>, settings: Record<string, string>): Response {
  const name = databases.find((free) => !apps.has(free));
  if (!name) return new Response(`more than ${databases.length} apps are open`, { status: 500 });
  apps.set(name, { env: { ...settings, DB: env[name]! }, skewMs: 0, lines: [] });
  return Response.json(name);
}

async function serve(app: OpenApp, given: Request, context: WaitUntil): Promise<Response> {
  const told = JSON.parse(given.headers.get("berth-test") ?? "null") as Told | null;
  const headers = new Headers(given.headers);
  headers.delete("berth-test");
  if (told) {
    app.skewMs = told.skewMs;
    headers.delete("host");
  }
  for (const [header, value] of Object.entries(told?.headers ?? {})) headers.set(header, value);
  const request = new Request(given, { headers });
  const own = { now: () => Date.now() + app.skewMs, log: createLog((line) => app.lines.push(line)) };
  const { app: gateway } = await openGateway(app.env, own);
  const response = await gateway.fetch(request, bindingsFor(request, context));
  return told ? withLines(response, app.lines.splice(0)) : response;
}

/** What was logged since the last call of the test goes with the answer, the latest that a header holds. */
function withLines(response: Response, lines: string[]): Response {
  const told = new Response(response.body, response);
  const encode = () => encodeURIComponent(JSON.stringify(lines));
  while (encode().length > 12_000) lines.shift();
  told.headers.set("berth-test-lines", encode());
  return told;
}

async function runSql(d1: FullD1, { method, statements }: SqlCall): Promise<Response> {
  try {
    const bound = statements.map(({ sql, params }) => d1.prepare(sql).bind(...params));
    const [first] = bound;
    return Response.json(await (method === "batch" ? d1.batch(bound) : first![method]()));
  } catch (error) {
    return new Response(error instanceof Error ? error.message : String(error), { status: 500 });
  }
}
