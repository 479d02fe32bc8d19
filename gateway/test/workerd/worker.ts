/**
 * For tests: the Worker, with many apps in it. Each has a D1, settings, key and clock of its own and answers below
 * `/~NAME` or, with the clock that many milliseconds ahead, `/~NAME.MS`;
 * `/~NAME/~sql` gives the test the same database, `/~NAME/~cron` is the cron event, `/~NAME/~whole/PATH` a call of the Worker with all that follows it, `/~NAME/~plans` tells how D1 runs what was prepared.
 */
import { createLog } from "@berth/shared/log";
import { bindingsFor, type WaitUntil } from "../../src/worker/bindings.ts";
import type { D1, D1Statement } from "../../src/worker/data.ts";
import { openGateway, type Env } from "../../src/worker/gateway.ts";
import worker from "../../src/worker/main.ts";
import { isSetUp, nullsFor, type Step } from "../plan-rules.ts";
import { databases } from "./worker-databases.ts";

interface OpenApp {
  env: Env;
  skewMs: number;
  lines: string[];
  /** How many statements ran since the last call of the test began, and how many rows D1 read for them. */
  statements: number;
  rows: number;
}
interface FullD1 extends D1 {
  prepare(sql: string): FullStatement;
  withSession(constraint: "first-primary"): D1Session;
}
/** All that a session runs passes `_sendOrThrow`: there alone D1 tells what each statement cost, whatever asked for it. */
interface D1Session extends D1 {
  _sendOrThrow(...query: unknown[]): Promise<Ran | Ran[]>;
}
interface Ran {
  meta: { rows_read: number };
}
interface FullStatement extends D1Statement {
  bind(...values: unknown[]): FullStatement;
  all(): Promise<unknown>;
  raw(): Promise<unknown>;
  run(): Promise<unknown>;
  first(): Promise<unknown>;
}

/** What a call of the test says of itself, in the header `berth-test`; the clock stays so for calls that say nothing. */
export interface TestCall {
  skewMs: number;
  /** Headers that a client of HTTP may not set by itself. */
  headers: Record<string, string>;
}
export interface SqlCall {
  method: "all" | "raw" | "batch";
  statements: { sql: string; params: unknown[] }[];
}

/** How D1 would run a statement. */
export interface Plan {
  source: string;
  steps: Step[];
}

const apps = new Map<string, OpenApp>();
/** The databases that are as the migrations leave them. */
const migrated = new Set<string>();
/** What apps have prepared, and whether it was asked for how D1 runs it. */
const prepared = new Map<string, boolean>();

export default {
  async fetch(request: Request, env: Record<string, FullD1>, context: WaitUntil): Promise<Response> {
    const url = new URL(request.url);
    const [, name = "", skewMs, path = ""] = /^\/~(\w+)(?:\.(\d+))?(\/.*)?$/.exec(url.pathname) ?? [];
    if (name === "open") return open(env, await request.json());
    const app = apps.get(name);
    if (!app) return new Response("no such app", { status: 500 });
    if (skewMs !== undefined) app.skewMs = Number(skewMs);
    if (path === "/~sql") return runSql(env[name]!, await request.json());
    if (path === "/~plans") return Response.json(await planAll(env[name]!));
    if (path === "/~cron") return runCron(app);
    if (path.startsWith("/~whole/"))
      return callWorker(app, new Request(new URL(path.slice("/~whole".length), url.origin), request));
    if (path === "/~close") return close(name, await request.json());
    return serve(app, new Request(new URL(path + url.search, url.origin), request), context);
  },
};

function open(env: Record<string, FullD1>, settings: Record<string, string>): Response {
  const name = databases.find((free) => !apps.has(free));
  if (!name) return new Response(`more than ${databases.length} apps are open`, { status: 500 });
  const app: OpenApp = { env: { ...settings, DB: env[name]! }, skewMs: 0, lines: [], statements: 0, rows: 0 };
  app.env.DB = countStatements(env[name]!, app);
  apps.set(name, app);
  return Response.json(name, { headers: { "berth-test-empty": String(migrated.delete(name)) } });
}

function close(name: string, isEmpty: boolean): Response {
  if (isEmpty) migrated.add(name);
  return Response.json(apps.delete(name));
}

/** The same D1, with all that it runs counted. */
function countStatements(d1: FullD1, app: OpenApp): D1 {
  const session = d1.withSession("first-primary");
  const send = session._sendOrThrow.bind(session);
  const prepare = session.prepare.bind(session);
  session.prepare = (source) => {
    if (!prepared.has(source)) prepared.set(source, isSetUp(source));
    return prepare(source);
  };
  session._sendOrThrow = async (...query) => {
    const answer = await send(...query);
    for (const { meta } of [answer].flat()) {
      app.statements++;
      app.rows += meta.rows_read;
    }
    return answer;
  };
  return session;
}

/** Of each statement that was prepared since the last call. */
async function planAll(d1: FullD1): Promise<Plan[]> {
  const due = [...prepared].filter(([, isAsked]) => !isAsked).map(([source]) => source);
  for (const source of due) prepared.set(source, true);
  if (due.length === 0) return [];
  const asked = due.map((source) => d1.prepare(`explain query plan ${source}`).bind(...nullsFor(source)));
  const plans = (await d1.batch(asked)) as unknown as { results: Step[] }[];
  return due.map((source, at) => ({ source, steps: plans[at]!.results }));
}

async function runCron(app: OpenApp): Promise<Response> {
  await openApp(app);
  Object.assign(app, { statements: 0, rows: 0 });
  await worker.scheduled(null, app.env);
  return withNotes(new Response(), app);
}

async function callWorker(app: OpenApp, request: Request): Promise<Response> {
  await openApp(app);
  Object.assign(app, { statements: 0, rows: 0 });
  const left: Promise<unknown>[] = [];
  let isAnswered = false;
  let isKept = false;
  const response = await worker.fetch(request, app.env, {
    waitUntil(work) {
      isKept ||= !isAnswered;
      left.push(work);
    },
  });
  isAnswered = true;
  await Promise.all(left);
  const told = withNotes(response, app);
  // Whether the runtime was asked to keep it, before it had an answer.
  told.headers.set("berth-test-kept", String(isKept));
  return told;
}

const openApp = (app: OpenApp) =>
  openGateway(app.env, { now: () => Date.now() + app.skewMs, log: createLog((line) => app.lines.push(line)) });

async function serve(app: OpenApp, given: Request, context: WaitUntil): Promise<Response> {
  const told = JSON.parse(given.headers.get("berth-test") ?? "null") as TestCall | null;
  const headers = new Headers(given.headers);
  headers.delete("berth-test");
  if (told) {
    app.skewMs = told.skewMs;
    headers.delete("host");
  }
  for (const [header, value] of Object.entries(told?.headers ?? {})) headers.set(header, value);
  const request = new Request(given, { headers });
  const opened = await openApp(app).catch(() => null);
  // Where the settings do not fit, the answer is the Worker's own.
  if (!opened) return worker.fetch(request, app.env, context);
  if (told) Object.assign(app, { statements: 0, rows: 0 });
  const response = await opened.app.fetch(request, bindingsFor(request, context));
  return told ? withNotes(response, app) : response;
}

/** What was logged since the last call of the test goes with the answer, the latest that a header holds; and what this one asked of the database. */
function withNotes(response: Response, { lines: logged, statements, rows }: OpenApp): Response {
  const lines = logged.splice(0);
  const told = new Response(response.body, response);
  told.headers.set("berth-test-statements", String(statements));
  told.headers.set("berth-test-rows", String(rows));
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
