/** Calls to hosts: the credential, the deadline, and what a host's answer means for the client. */
import { parseSmall } from "@berth/shared/bounds/json-scan";
import { AppError, problemSchema } from "@berth/shared/errors";
import { nameCall, protocolHeader, protocolVersion } from "@berth/shared/host-api";
import { sha256Hex } from "@berth/shared/ids";
import { messageOf } from "@berth/shared/log";
import type { OwnLimits } from "@berth/shared/users";
import { eq, sql } from "drizzle-orm";
import type { z } from "zod";
import type { Database } from "../data/database.ts";
import { users } from "../data/schema.ts";
import { readBytes } from "../http/body.ts";
import { type Deps, UnsentError } from "../deps.ts";
import type { Caller } from "../http/caller.ts";
import type { HostTarget } from "./placement.ts";
import { signHostCall } from "../keys/jwt.ts";

const deadlineMs = 15_000;
/** For calls that wait for a container or for processes to end. */
export const longDeadlineMs = 60_000;
/** What is said of a host that has joined, until it was called. */
export const notCalledYet = "It has joined, and the gateway has not called it yet.";
/** Of an answer: a host may be anybody's by now. */
const [answerMaxBytes, answerMaxValues] = [8 * 2 ** 20, 100_000];

export interface HostCall {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Path and query on the host. */
  path: string;
  body?: unknown;
  /** A body that flows through, with no deadline: the host ends what stalls. */
  stream?: ReadableStream<Uint8Array>;
  headers?: Headers;
  /** A refusal that is an answer of this call. */
  accepts?: number;
  /** Until the headers of the answer, or all of it where it is read here; 15 s without it. */
  deadlineMs?: number;
  /** Ends the call when the client goes away before that. */
  signal?: AbortSignal;
}

/** For whom the gateway calls: a `Caller`, or the gateway by itself (`token.id` null). `expiresAt` in seconds since 1970. */
export interface HostCaller {
  user: { id: string } | Caller["user"];
  token: { id: string | null; expiresAt: number };
}

/** The gateway itself, for a user: no credential of theirs stands behind the call. */
export function gatewayFor({ now }: Pick<Deps, "now">, userId: string): HostCaller {
  return { user: { id: userId }, token: { id: null, expiresAt: Math.floor(now() / 1000) + 60 } };
}

/** Calls the host and returns its answer once the headers are there. Throws the host's own problem, or `host_unavailable`. */
export function callHost(deps: Deps, host: HostTarget, caller: HostCaller, call: HostCall): Promise<Response> {
  return callAndRead(deps, host, caller, call, async (response) => response);
}

/** Calls the host for what it does there. Throws as `callHost`. */
export async function actOnHost(deps: Deps, host: HostTarget, caller: HostCaller, call: HostCall): Promise<void> {
  await callAndRead(deps, host, caller, call, readAnswer);
}

/** What `read` makes of the answer within the call's deadline. Throws as `callHost`, also where reading fails. */
export async function callAndRead<T>(
  deps: Deps,
  host: HostTarget,
  caller: HostCaller,
  call: HostCall,
  read: (response: Response) => Promise<T>,
): Promise<T> {
  const url = addressOn(host, call.path);
  const text = call.body === undefined ? "" : JSON.stringify(call.body);
  const headers = await hostHeaders(deps, host, caller, nameCall(call.method, url), call.stream ? null : text);
  call.headers?.forEach((value, name) => headers.set(name, value));
  if (call.body !== undefined) headers.set("content-type", "application/json");
  const abort = new AbortController();
  const timer = call.stream ? undefined : setTimeout(() => abort.abort(), call.deadlineMs ?? deadlineMs);
  const giveUp = () => abort.abort();
  call.signal?.addEventListener("abort", giveUp);
  // Who gave up while the call was signed is not told again.
  if (call.signal?.aborted) giveUp();
  try {
    const body = call.stream ?? (text || null);
    const init = { method: call.method, headers, body, signal: abort.signal, ...(call.stream && { duplex: "half" }) };
    const response = await deps.transport.fetch(new Request(url, init));
    if (!response.ok && response.status !== call.accepts) throw await hostProblem(response);
    return await read(response);
  } catch (error) {
    const isOfHost = error instanceof AppError && error.cause === undefined;
    if (isOfHost) throw error;
    const why = messageOf(error instanceof AppError ? error.cause : error);
    deps.log.warn("host.unreachable", { hostId: host.id, path: call.path, error: why });
    const isHasty = abort.signal.aborted && (call.signal?.aborted || (call.deadlineMs ?? deadlineMs) < deadlineMs);
    if (!isHasty) await noteUnreached(deps, host, abort.signal.aborted ? "no answer in time" : why);
    throw error instanceof AppError ? error : hostUnavailable(error);
  } finally {
    clearTimeout(timer);
    call.signal?.removeEventListener("abort", giveUp);
  }
}

/** Calls the host and parses its JSON. Throws as `callHost`; an answer that does not fit counts as none. */
export async function callHostJson<T extends z.ZodType>(
  deps: Deps,
  host: HostTarget,
  caller: HostCaller,
  call: HostCall,
  schema: T,
): Promise<z.infer<T>> {
  const value = await callAndRead(deps, host, caller, call, boundedJson);
  try {
    return schema.parse(value);
  } catch (error) {
    deps.log.error("host.answer_unreadable", { hostId: host.id, path: call.path });
    throw hostUnavailable(error);
  }
}

/**
 * Notes that a call did not get to the host. What a host reports proves the other direction alone: nobody new is placed on
 * it until it was called again, which each of its reports has done.
 */
async function noteUnreached({ db, log }: Deps, { id, url }: HostTarget, why: string): Promise<void> {
  const sentence = `The gateway does not reach it at ${url} (${why.slice(0, 300)}): see BERTH_HOST_URL, its certificate, and what is between.`;
  const noting = sql`update hosts set unreached = ${sentence}
    where id = ${id} and (unreached is null or unreached = ${notCalledYet}) returning id`;
  // The caller is told of the host, whatever this database takes.
  try {
    await db.all(noting);
  } catch (error) {
    log.error("host.unreached_unnoted", { hostId: id, error: messageOf(error) });
  }
}

interface CalledAgain {
  url: string;
  at: number;
  abort: AbortController;
}
/** How each host is being called again, by the database of the gateway that calls. */
const calledAgain = new WeakMap<Database, Map<string, CalledAgain>>();

/**
 * Calls a host that was not reached, for nobody: an answer of its own, whatever it says, is the proof. One call at a time to a
 * host, however often it reports, and whatever address it names: a new one ends the call to the one before.
 */
export async function callAgain(deps: Deps, host: HostTarget): Promise<void> {
  const called = calledAgain.get(deps.db) ?? new Map<string, CalledAgain>();
  calledAgain.set(deps.db, called);
  const last = called.get(host.id);
  // On Workers one may be cut off, and say nothing.
  if (last?.url === host.url && performance.now() - last.at < longDeadlineMs) return;
  last?.abort.abort();
  const mine = { url: host.url, at: performance.now(), abort: new AbortController() };
  called.set(host.id, mine);
  const call = { method: "GET", path: "/v1/workspace", signal: mine.abort.signal } as const;
  try {
    await actOnHost(deps, host, gatewayFor(deps, "nobody"), call);
  } catch (error) {
    if (!(error instanceof AppError) || error.cause !== undefined) return;
  } finally {
    if (called.get(host.id) === mine) called.delete(host.id);
  }
  if (mine.abort.signal.aborted) return;
  await deps.db.all(
    sql`update hosts set unreached = null where id = ${host.id} and unreached is not null returning id`,
  );
}

/** Whatever a host says of its address, the path is ours. */
export const addressOn = ({ url }: HostTarget, path: string) => new URL(path, url);

/** The headers of a call: the gateway's credential for this host, user, client credential, and this very call; a null body streams. */
export async function hostHeaders(
  { db, keyring, now }: Deps,
  host: HostTarget,
  { user, token }: HostCaller,
  call: string,
  body: string | null,
): Promise<Headers> {
  const limits = "limits" in user ? user.limits : await findLimits(db, user.id);
  const who = {
    sub: user.id,
    tid: token.id,
    texp: token.expiresAt,
    limits,
    ...("name" in user && { git: gitOf(user) }),
  };
  const what = { call, body: body === null ? null : await sha256Hex(body) };
  const jwt = await signHostCall(keyring, host.id, { ...who, ...what }, now());
  return new Headers({ authorization: `Bearer ${jwt}`, [protocolHeader]: String(protocolVersion) });
}

/** What is of the user's own; nothing of one who is not there. */
export async function findLimits(db: Database, userId: string): Promise<OwnLimits> {
  const [row] = await db.select({ limits: users.limits }).from(users).where(eq(users.id, userId));
  return row?.limits ?? {};
}

/** Author and committer where a repository names none: a commit must be possible, and its address reach nobody by mistake. */
function gitOf({ name, gitName, gitEmail }: Caller["user"]) {
  const local = name.toLowerCase().replaceAll(/[^a-z0-9._-]+/g, "-");
  return { name: gitName ?? name, email: gitEmail ?? `${local}@berth.invalid` };
}

/** The problem that a host answered, to be passed on; what is between gateway and host alone becomes `host_unavailable`. */
export async function hostProblem(response: Response): Promise<AppError> {
  const parsed = problemSchema.safeParse(await boundedJson(response).catch(() => null));
  if (!parsed.success || parsed.data.code === "unauthenticated")
    return hostUnavailable(new Error(`the host answered ${response.status}`));
  const { code, detail, errors, limit, runId, waitsFor } = parsed.data;
  const retryAfter = Number(response.headers.get("retry-after") ?? Number.NaN);
  return new AppError(code, detail, {
    ...(errors && { errors }),
    ...(limit !== undefined && { limit }),
    ...(runId !== undefined && { runId }),
    ...(waitsFor && { waitsFor }),
    ...(Number.isFinite(retryAfter) && { retryAfter }),
  });
}

export function hostUnavailable(cause: unknown): AppError {
  const detail = "The user's host does not answer; a retry with the same Idempotency-Key starts nothing twice.";
  return new AppError("host_unavailable", detail, { retryAfter: 2 }, { cause });
}

/**
 * Whether the host that was asked for a run may have it all the same: it said nothing definite, or that it has it with another
 * message. Where no connection came about it was not asked; Workers do not tell that.
 */
export function isUncertain({ code, cause, fields }: AppError): boolean {
  if (code === "conflict") return fields.runId !== undefined;
  return code === "internal" || (code === "host_unavailable" && !(cause instanceof UnsentError));
}

/** What is left unread would keep its connection. */
async function readAnswer(response: Response): Promise<Uint8Array> {
  const bytes = await readBytes(response, answerMaxBytes);
  if (bytes) return bytes;
  // Where some of it was read it is given up already.
  await response.body?.cancel().catch(() => undefined);
  throw new Error("the answer is too long");
}

async function boundedJson(response: Response): Promise<unknown> {
  const bytes = await readAnswer(response);
  const value = parseSmall(bytes, answerMaxValues);
  if (value === undefined) throw new Error("the answer is no JSON, or of too many values");
  return value;
}
