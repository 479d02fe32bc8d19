/** One declaration a route: from it come the handler's parsed input, the answer, and the OpenAPI document. */
import { hostAuthority, secretName } from "@berth/shared/credentials/credentials";
import { createPlaces } from "@berth/shared/bounds/places";
import { networkOf } from "@berth/shared/bounds/network";
import { AppError, parseOr400, type ErrorCode } from "@berth/shared/errors";
import type { Context, Hono } from "hono";
import { filePath } from "@berth/shared/files";
import { id } from "@berth/shared/values";
import { sleep } from "@berth/shared/wait";
import { z } from "zod";
import { clientAddress } from "./address.ts";
import { type BodyBounds, readJson } from "./body.ts";
import type { AppEnv, Deps, Burst } from "../deps.ts";
import type { LimitName, Limits } from "./limits.ts";
import { sourceOf, type AuditSource, type Authenticator, type Caller } from "./caller.ts";

type Auth = "none" | "user" | "admin";
type Schema = z.ZodType | undefined;
type HeaderSchema = z.ZodObject | undefined;
type Parsed<S extends Schema> = S extends z.ZodType ? z.infer<S> : undefined;

/** What may stand in braces in an address; a last `{path}` takes all that follows, slashes and all. */
const placeholders = { id, host: hostAuthority, name: secretName, path: filePath };
type Placeholders = typeof placeholders;
type Params<Path extends string> = {
  [Name in keyof Placeholders as Path extends `${string}{${Name}}${string}` ? Name : never]: z.infer<
    Placeholders[Name]
  >;
};

interface Input<
  A extends Auth,
  P extends string,
  Q extends Schema,
  B extends Schema,
  H extends HeaderSchema = undefined,
> {
  deps: Deps;
  c: Context<AppEnv>;
  authenticator: Authenticator;
  caller: A extends "none" ? undefined : Caller;
  /** Who calls and from where, for the audit. */
  source: AuditSource;
  limits: Limits;
  params: Params<P>;
  query: Parsed<Q>;
  headers: Parsed<H>;
  body: Parsed<B>;
}

interface Otherwise {
  status: 200 | 206 | 416 | 503;
  when: string;
  media?: string[];
}

interface RouteSpec<
  A extends Auth,
  P extends string,
  Q extends Schema,
  B extends Schema,
  R extends Schema,
  H extends HeaderSchema = undefined,
> {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** With parameters in braces, as OpenAPI writes them: see `placeholders`. */
  path: P;
  summary: string;
  auth: A;
  query?: Q;
  /** By their names as the contract writes them. */
  headers?: H;
  body?: B;
  /** A body of no bytes counts as `{}`. */
  isBodyOptional?: boolean;
  /** How often it may be called: by one credential, or without one from one address. Whatever a user has written down in the audit is of `changes`. */
  limit?: LimitName | LimitName[];
  /** What it is part of, of which no more is taken than can be served (docs/adr/0032). */
  burst?: Burst;
  /** Bytes of the body; without it 64 KiB, and 8 KiB where anybody may call. */
  bodyMaxBytes?: number;
  /** The type of a body that `run` reads itself, as a stream. */
  upload?: string;
  /** The status of success where that is neither 200 nor, without a body, 204. */
  status?: 101 | 201 | 202 | 302;
  /** Other statuses, when they are answered, and with which types where it is not the same as of success. */
  otherwise?: Otherwise | Otherwise[];
  /** The JSON of success; without it there is no body, or one of `media`, and `run` answers itself. */
  answer?: R;
  media?: string | string[];
  /** Codes beyond those that follow from the declaration. */
  errors?: ErrorCode[];
  run(input: Input<A, P, Q, B, H>): Promise<Response | (R extends z.ZodType ? z.infer<R> : void)>;
}

/** A declared route, whatever its schemas: what registration and the documents read. */
export type Route = Omit<RouteSpec<Auth, string, Schema, Schema, Schema, HeaderSchema>, "run"> & {
  // oxlint-disable-next-line no-explicit-any -- each route is checked where it is declared
  run(input: any): Promise<unknown>;
};

export function route<
  A extends Auth,
  P extends string,
  Q extends Schema = undefined,
  B extends Schema = undefined,
  R extends Schema = undefined,
  H extends HeaderSchema = undefined,
>(spec: RouteSpec<A, P, Q, B, R, H>): Route {
  return spec;
}

/** The status with which the route answers success. */
export function statusOf({ status, answer, media }: Route): number {
  return status ?? (answer || media ? 200 : 204);
}

/** The schema of what stands in braces in the address; undefined without any. */
export function paramsOf({ path }: Route): z.ZodObject | undefined {
  const named = Object.entries(placeholders).filter(([name]) => path.includes(`{${name}}`));
  return named.length > 0 ? z.object(Object.fromEntries(named)) : undefined;
}

/** Bodies of strangers that are read at once: each that does not come whole takes some 40 KB for half a minute. */
const strangersAtOnce = 1024;
/** The same of those that a route reads itself, webhooks, which are larger. */
const uploadsAtOnce = 512;
const bodyBytes = { none: 8192, user: 65_536, admin: 65_536 };
/** Bodies above that which are read at once: each is in memory several times while it becomes a call of a host. */
const longAtOnce = 16;
/** The most that the contract has in one body are 100 variables. */
const bodyValues = 1000;

/**
 * A response, or what one is made of: headers in a plain object, which the adapter of Node writes as it stands, where a
 * `Headers` costs as much as a query of the database.
 */
export type Answer = Response | { status: number; headers: Record<string, string>; body: string | BufferSource | null };

interface Serving {
  authenticator: Authenticator;
  limits: Limits;
  /** What wraps every route. */
  serve(answer: (c: Context<AppEnv>) => Promise<Answer>): (c: Context<AppEnv>) => Promise<Response>;
}

/** Adds the routes to the app. */
export function registerRoutes(
  app: Hono<AppEnv>,
  routes: Route[],
  deps: Deps,
  { authenticator, limits, serve }: Serving,
): void {
  const placeFor = createBodyPlaces();
  for (const declared of routes) {
    const params = paramsOf(declared);
    const plainQuery = declared.query?.safeParse({});
    const answer = async (c: Context<AppEnv>): Promise<Answer> => {
      c.set("route", declared.path);
      const address = clientAddress(deps.settings, c);
      if (!declared.burst || !c.env?.admit) return answerCall(c, address).catch(holdBack(c));
      const done = (await c.env.admit(declared.burst, networkOf(address ?? "unknown"))) ?? refuseBurst();
      return answerCall(c, address).finally(done).catch(holdBack(c));
    };
    const answerCall = async (c: Context<AppEnv>, address: string | null): Promise<Answer> => {
      const caller = await admit(declared.auth, c, authenticator, address);
      const source = sourceOf(address, caller ?? null);
      for (const name of [declared.limit ?? []].flat()) await limits.spend(name, caller ?? null, address);
      if (caller && isLong(declared, c)) await limits.spendLong(caller);
      const given = { deps, c, authenticator, limits, caller, source };
      const leave = placeFor(declared, c, caller, address);
      if (!leave) throw new AppError("rate_limited", "Too many calls at once; try again in 1 s.", { retryAfter: 1 });
      const run = async (input: ReturnType<typeof parseInput>) => declared.run({ ...given, ...(await input) });
      const input = parseInput(declared, { params, plainQuery }, c);
      const said = await (declared.upload ? run(input).finally(leave) : run(input.finally(leave)));
      if (said instanceof Response) return said;
      return declared.answer ? answerJson(c, declared, said) : { status: 204, headers: {}, body: null };
    };
    app.on(declared.method, declared.path.replace(/\{path\}$/, "*").replace(/\{(\w+)\}/g, ":$1"), serve(answer));
  }
}

/** Places for bodies while they come: of strangers, and long ones of users. The answer gives the place back, null is none. */
function createBodyPlaces() {
  const [strangers, uploads] = [createPlaces(strangersAtOnce), createPlaces(uploadsAtOnce)];
  const long = createPlaces(longAtOnce);
  return (declared: Route, c: Context<AppEnv>, caller: Caller | undefined, address: string | null) => {
    const { body, upload } = declared;
    if (!body && (caller || !upload)) return () => undefined;
    if (!caller) return (upload ? uploads : strangers).take(networkOf(address ?? "unknown"));
    return isLong(declared, c) ? long.take(caller.user.id) : () => undefined;
  };
}

/** Whether a user's body may be longer than most, by what is said of it before it comes. */
function isLong({ body, bodyMaxBytes = 0 }: Route, c: Context<AppEnv>): boolean {
  const declared = Number(c.req.header("content-length") ?? (c.req.header("transfer-encoding") ? Infinity : 0));
  return body !== undefined && Math.min(bodyMaxBytes, declared) > bodyBytes.user;
}

/** A shorter answer is one packet either way. */
const packetBytes = 1400;

/** What a GET answers is compressed; secrets stand in answers to POST alone (docs/adr/0025). */
async function answerJson(c: Context<AppEnv>, declared: Route, said: unknown): Promise<Answer> {
  const body = JSON.stringify(said);
  const headers = { "content-type": "application/json" };
  const { gzip } = c.env ?? {};
  const isLong = declared.method === "GET" && body.length > packetBytes;
  if (!gzip || !isLong || !accepts(c.req.raw, "gzip")) return { status: statusOf(declared), headers, body };
  const packed = { ...headers, "content-encoding": "gzip", vary: "accept-encoding" };
  return { status: 200, headers: packed, body: await gzip(body) };
}

/** Whether whoever asks reads this encoding. */
export const accepts = (request: Request, encoding: "br" | "gzip"): boolean =>
  (request.headers.get("accept-encoding") ?? "")
    .split(",")
    .some((part) => part.split(";")[0]!.trim() === encoding && !/;\s*q=0(\.0*)?\s*$/.test(part));

const heldBackMs = 1000;

/** A user who asks too often hears so a second later: who asks again at once, on however many connections, makes us no work meanwhile. */
const holdBack = (c: Context<AppEnv>) => async (error: unknown) => {
  const isAgain = error instanceof AppError && error.code === "rate_limited" && c.get("userId") !== undefined;
  if (isAgain) await sleep(heldBackMs);
  throw error;
};

/** Jitter: each comes again at a time of its own. */
function refuseBurst(): never {
  const retryAfter = 1 + Math.floor(Math.random() * 4);
  throw new AppError("host_unavailable", "More comes at once than can be served; try again in a moment.", {
    retryAfter,
  });
}

async function admit(
  auth: Auth,
  c: Context<AppEnv>,
  authenticator: Authenticator,
  address: string | null,
): Promise<Caller | undefined> {
  if (auth === "none") return undefined;
  const caller = await authenticator.fromRequest(c.req.raw, address);
  c.set("userId", caller.user.id);
  c.set("cookie", caller.renewal);
  if (auth === "admin" && caller.user.role !== "admin") throw new AppError("forbidden", "Only an admin may do this.");
  return caller;
}

interface Prepared {
  params: z.ZodObject | undefined;
  /** What the route's query says where the address has none, as most calls do. */
  plainQuery: z.ZodSafeParseResult<unknown> | undefined;
}

async function parseInput(declared: Route, { params, plainQuery }: Prepared, c: Context<AppEnv>) {
  const { query, headers, body } = declared;
  const isPlain = plainQuery?.success && !c.req.url.includes("?");
  const given = () =>
    declared.path.endsWith("{path}") ? { ...c.req.param(), path: tailOf(c, declared.path) } : c.req.param();
  return {
    params: params && parseOr400(params, given(), "path"),
    query: isPlain ? plainQuery.data : query && parseOr400(query, c.req.query(), "query"),
    headers: headers && parseOr400(headers, namedHeaders(headers, c), "header"),
    body: body && parseOr400(body, await readJson(c.req.raw, boundsOf(declared), declared.isBodyOptional), "body"),
  };
}

function boundsOf({ auth, bodyMaxBytes }: Route): BodyBounds {
  return { bytes: bodyMaxBytes ?? bodyBytes[auth], values: bodyValues };
}

function namedHeaders(schema: z.ZodObject, c: Context<AppEnv>): Record<string, string | undefined> {
  return Object.fromEntries(Object.keys(schema.shape).map((name) => [name, c.req.header(name)]));
}

/** What the address has in place of the `{path}` that a route ends with, as it was written. */
export function tailOf(c: Context<AppEnv>, path: string): string {
  const before = path.split("/").length - 1;
  return new URL(c.req.url).pathname.split("/").slice(before).join("/");
}
