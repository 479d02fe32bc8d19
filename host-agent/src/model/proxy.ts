/**
 * The model proxy: what stands between a container and the model APIs. It lets calls through for runs that are known by
 * their token, puts in the real key, and counts tokens as they pass. Knows nothing of sockets, containers or databases.
 */
import http from "node:http";
import type { ClientRequest, IncomingMessage, ServerResponse } from "node:http";
import https from "node:https";
import type { Readable } from "node:stream";
import { type Log, messageOf } from "@berth/shared/log";
import type { Usage } from "@berth/shared/resources";
import { type AnswerReader, readBody, readEvents } from "./answer-json.ts";
import type { AnswerFact, ModelApi, ModelTarget } from "./api.ts";
import { sendModelError } from "./error.ts";
import { createMask, type Mask } from "./mask.ts";
import { type Budget, createTurnstile, type Entrant } from "./turnstile.ts";

export interface ModelProxyDeps {
  /** The API that this agent's programs call. */
  apiOf(agentId: string): ModelApi;
  targetOf(api: ModelApi): ModelTarget;
  /** The run that this token of this agent stands for. Must not leak by timing: look up a hash, or compare in constant time. */
  findRun(agentId: string, token: string): { runId: string } | "starting" | null;
  /** What may still be spent: of the run, and of what it shares with others. */
  budgetsOf(runId: string): Budget[];
  /** Called with what is new, as soon as it is known; also after the run's end, of calls that were open then. */
  onUsage(runId: string, delta: Usage): void;
  /** A call of the run was refused, for nothing is left of one of them. */
  onSpent(runId: string): void;
  /** The status of each answer that costs something; an error inside a stream comes as a second call. */
  onStatus(runId: string, status: number): void;
  log: Log;
  limits?: Partial<ModelLimits>;
}
export interface ModelLimits {
  bodyBytes: number;
  connectMs: number;
  /** How long nothing may move on the upstream connection. */
  silenceMs: number;
}
const defaultLimits: ModelLimits = { bodyBytes: 32 * 1024 * 1024, connectMs: 10_000, silenceMs: 300_000 };

interface Call {
  api: ModelApi;
  runId: string;
  path: string;
  search: string;
  /** Whether it costs something. */
  isCharged: boolean;
}

/** The proxy for all agents of this host. */
export function createModelProxy(given: ModelProxyDeps) {
  const deps = sparing(given);
  const limits = { ...defaultLimits, ...deps.limits };
  const pools = new Map<ModelApi, Pool>();
  const poolOf = (api: ModelApi) => {
    const pool = pools.get(api) ?? openPool(api, deps.targetOf(api), limits.silenceMs);
    pools.set(api, pool);
    return pool;
  };
  const open = new Map<string, Set<ServerResponse>>();
  const turnstile = createTurnstile();

  const track = (runId: string, res: ServerResponse) => {
    const calls = open.get(runId) ?? new Set();
    open.set(runId, calls.add(res));
    res.on("close", () => {
      calls.delete(res);
      if (calls.size === 0 && open.get(runId) === calls) open.delete(runId);
    });
  };
  /** Cuts every connection of a run, without an answer; what the provider may bill is counted to its end all the same. */
  const closeRun = (runId: string): void => {
    for (const res of open.get(runId) ?? []) res.destroy();
  };

  return {
    /** Answers one request that came through the socket of this agent. */
    handle(agentId: string, req: IncomingMessage, res: ServerResponse): void {
      res.on("error", () => res.destroy());
      if (req.method === "HEAD" && req.url === "/") return void res.writeHead(200).end();
      const api = deps.apiOf(agentId);
      const refuse = (status: number, message: string) => refuseCall(req, res, api, status, message);
      const [, path, search = ""] = api.paths.exec(req.url ?? "") ?? [];
      if (req.method !== "POST" || !path) return refuse(404, `Berth passes ${api.name} calls alone.`);
      const run = deps.findRun(agentId, tokenOf(req));
      if (run === "starting") return refuseCall(req, res, api, 503, "The run is being taken up: try again.", true);
      if (!run) return refuse(401, "This token belongs to no run in progress.");
      if (Number(req.headers["content-length"]) > limits.bodyBytes)
        return refuse(413, "The request is too large for Berth's model proxy.");
      track(run.runId, res);
      if (path !== api.chargedPath && deps.budgetsOf(run.runId).some(({ leftUsd }) => leftUsd <= 0))
        return refuseSpent(deps, run.runId, refuse);
      const call = { api, runId: run.runId, path, search, isCharged: path === api.chargedPath };
      const begin = () => forward(call, req, res, { deps, limits, pool: poolOf(api) });
      if (!call.isCharged) return void begin();
      const entrant: Entrant = {
        budgets: () => deps.budgetsOf(call.runId),
        mostUsd: api.mostUsd(req.headers),
        decide(verdict) {
          if (verdict === "budget") refuseSpent(deps, call.runId, refuse);
          else if (verdict === "busy") refuse(429, busySentence);
          else begin().once("close", () => turnstile.leave(entrant));
        },
      };
      res.once("close", () => turnstile.giveUp(entrant));
      turnstile.enter(entrant);
    },
    closeRun,
    close(): void {
      for (const runId of open.keys()) closeRun(runId);
      for (const pool of pools.values()) pool.agent.destroy();
    },
  };
}

/** What is told in the midst of a call may fail to be stored, on a full disk for one: then it is lost, and the call goes on. */
function sparing(deps: ModelProxyDeps): ModelProxyDeps {
  const attempt = (runId: string, tell: () => void) => {
    try {
      tell();
    } catch (error) {
      deps.log.warn("model.unstored", { runId, error: messageOf(error) });
    }
  };
  return {
    ...deps,
    onUsage: (runId, delta) => attempt(runId, () => deps.onUsage(runId, delta)),
    onSpent: (runId) => attempt(runId, () => deps.onSpent(runId)),
    onStatus: (runId, status) => attempt(runId, () => deps.onStatus(runId, status)),
  };
}

/** 402 is the status at which the CLI stops at once; after 400 and 429 it goes on calling. */
const budgetSentence =
  "Berth: the budget is reached (BERTH_RUN_BUDGET_USD or BERTH_DAILY_BUDGET_USD); no further model calls.";

function refuseSpent({ onSpent }: ModelProxyDeps, runId: string, refuse: (status: number, message: string) => void) {
  refuse(402, budgetSentence);
  onSpent(runId);
}

const busySentence = "Berth: too many model calls of this run wait for their turn: send fewer at once.";

function tokenOf(req: IncomingMessage): string {
  const key = req.headers["x-api-key"];
  if (typeof key === "string" && key) return key;
  return /^Bearer +(\S+)$/i.exec(req.headers.authorization ?? "")?.[1] ?? "";
}

/** Answers without looking at the body. The CLI would try 401 again for three minutes if it were not told. */
function refuseCall(
  req: IncomingMessage,
  res: ServerResponse,
  api: ModelApi,
  status: number,
  message: string,
  mayRetry = false,
) {
  req.resume();
  const connection: Record<string, string> = status === 413 ? { connection: "close" } : {};
  sendModelError(res, api, status, message, { "x-should-retry": String(mayRetry), ...connection });
}

/** Kept connections to one API, with its key. */
interface Pool {
  mask: Mask;
  agent: http.Agent;
  request(path: string, headers: http.OutgoingHttpHeaders): ClientRequest;
}

/** Free connections are kept for 15 s. */
function openPool(api: ModelApi, { url, apiKey }: ModelTarget, silenceMs: number): Pool {
  const base = new URL(url);
  const client = base.protocol === "https:" ? https : http;
  const agent = new client.Agent({ keepAlive: true, maxFreeSockets: 16, timeout: 15_000 });
  const prefix = base.pathname.replace(/\/+$/, "");
  return {
    mask: createMask(apiKey),
    agent,
    request: (path, headers) =>
      client.request({
        hostname: base.hostname.replace(/^\[|\]$/g, ""),
        port: base.port || undefined,
        agent,
        timeout: silenceMs,
        method: "POST",
        path: prefix + path,
        headers: { ...headers, host: base.host, "accept-encoding": "identity", ...(apiKey && api.keyHeaders(apiKey)) },
      }),
  };
}

interface Circumstances {
  deps: ModelProxyDeps;
  limits: ModelLimits;
  pool: Pool;
}

/**
 * Sends one call on, and its answer back, with backpressure both ways; either side's end ends the other. But a call that costs
 * something and was sent whole is read to its end: the provider may bill it whoever listens.
 */
function forward(call: Call, req: IncomingMessage, res: ServerResponse, { deps, limits, pool }: Circumstances) {
  const sent = pool.request(call.path + call.search, requestHeaders(call.api, req));
  const fail = (reason: string) => {
    sent.destroy();
    if (res.destroyed || res.writableEnded) return;
    deps.log.warn("model.unreachable", { runId: call.runId, reason: reason.slice(0, 200) });
    req.unpipe(sent).resume();
    sendModelError(res, call.api, 502, "Berth cannot reach the model API.", { "retry-after": "2" });
  };
  sent.on("error", (error: NodeJS.ErrnoException) => fail(error.code ?? error.message));
  sent.on("timeout", () => {
    if (res.destroyed || !res.writableNeedDrain) return fail("silence");
    // It is the client that takes nothing: the rest is only counted.
    res.destroy();
    sent.setTimeout(limits.silenceMs);
  });
  sent.on("close", () => void (res.headersSent || fail("closed")));
  failUnlessConnected(sent, limits.connectMs, fail);
  sent.on("response", (answer) => passAnswer(call, answer, res, { deps, onCut: fail, mask: pool.mask }));
  res.on("close", () => void ((call.isCharged && sent.writableFinished) || sent.destroy()));
  req.on("error", () => void (sent.writableFinished || sent.destroy()));
  boundBody(req, limits.bodyBytes, () => {
    sent.destroy();
    if (!res.headersSent) sendModelError(res, call.api, 413, "The request is too large.", { connection: "close" });
  });
  req.pipe(sent);
  return sent;
}

const passedUp = /^(accept|content-type|content-length|user-agent|x-stainless-.*)$/;

function requestHeaders(api: ModelApi, req: IncomingMessage): http.OutgoingHttpHeaders {
  const isPassed = (name: string) => passedUp.test(name) || api.headers.test(name);
  return Object.fromEntries(Object.entries(req.headers).filter(([name]) => isPassed(name)));
}

function failUnlessConnected(sent: ClientRequest, connectMs: number, fail: (reason: string) => void) {
  sent.on("socket", (socket) => {
    if (!socket.connecting) return;
    const timer = setTimeout(() => fail("connect timeout"), connectMs);
    const done = () => clearTimeout(timer);
    socket.once("encrypted" in socket ? "secureConnect" : "connect", done).once("close", done);
  });
}

/** Calls back once when more than `limit` bytes have come in. */
function boundBody(req: IncomingMessage, limit: number, onExceeded: () => void) {
  let size = 0;
  const count = (chunk: Buffer) => {
    size += chunk.length;
    if (size <= limit) return;
    req.off("data", count);
    onExceeded();
  };
  req.on("data", count);
}

interface AnswerWatch {
  deps: ModelProxyDeps;
  mask: Mask;
  onCut(reason: string): void;
}

/** Whose account it is is nobody's business down there. */
const notPassedDown =
  /^(connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|set-cookie|x-api-key|authorization|.*organization.*)$/;

/** Passes an answer with the key's bytes masked, wherever an upstream repeats them. */
function passAnswer(call: Call, answer: IncomingMessage, res: ServerResponse, { deps, onCut, mask }: AnswerWatch) {
  const status = answer.statusCode ?? 0;
  if (status < 200) return onCut("no HTTP status");
  // Nobody asked for one: neither the key in it nor its tokens would be seen.
  if ((answer.headers["content-encoding"] ?? "identity") !== "identity") return onCut("an encoded answer");
  if (call.isCharged) deps.onStatus(call.runId, status);
  if (status === 401) {
    // Not the upstream's own words: some repeat the key they refuse.
    answer.resume();
    const sentence = `The model API refuses the key of this Berth host (${call.api.keyName}).`;
    return sendModelError(res, call.api, 401, sentence, { "x-should-retry": "false" });
  }
  const reader = call.isCharged && status === 200 ? readerFor(call, answer, deps) : null;
  const headers = Object.entries(answer.headers)
    .filter(([name]) => !notPassedDown.test(name) && !mask.isInName(name))
    .map(([name, value]) => [name, mask.text(String(value))]);
  if (!res.destroyed) res.writeHead(status, Object.fromEntries(headers)).flushHeaders();
  answer.on("data", (chunk: Buffer) => reader?.push(chunk));
  answer.on("end", () => {
    if (reader?.end() === false) deps.log.warn("model.usage_unread", { runId: call.runId, reason: "too large" });
  });
  answer.on("error", (error) => onCut(error.message));
  // Without a client it is only counted.
  res.on("close", () => void answer.unpipe().resume());
  if (res.destroyed) answer.resume();
  else
    mask
      .streams()
      .reduce<Readable>((from, to) => from.pipe(to), answer)
      .pipe(res);
}

/** The reader that fits the answer, its facts turned into deltas for the run. */
function readerFor({ api, runId }: Call, answer: IncomingMessage, deps: ModelProxyDeps): AnswerReader {
  const onEvent = api.readAnswer(
    countDeltas(
      (delta) => deps.onUsage(runId, delta),
      (status) => deps.onStatus(runId, status),
    ),
  );
  const isStream = /^text\/event-stream\b/i.test(answer.headers["content-type"] ?? "");
  return isStream ? readEvents(onEvent) : readBody(onEvent);
}

const nothing: Usage = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0, costUsd: 0 };

function countDeltas(onUsage: (delta: Usage) => void, onStatus: (status: number) => void) {
  let counted = nothing;
  return (fact: AnswerFact) => {
    if ("errorStatus" in fact) return onStatus(fact.errorStatus);
    const delta = { ...nothing };
    for (const key of Object.keys(nothing) as (keyof Usage)[]) delta[key] = fact.usage[key] - counted[key];
    counted = fact.usage;
    if (Object.values(delta).some((value) => value !== 0)) onUsage(delta);
  };
}
