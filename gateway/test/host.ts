/** For tests: the other side of the wire. A real HTTP server that speaks a host's protocol, and what a host sends. */
import {
  type HostLoad,
  protocolVersion,
  type ReportBody,
  type ReportedRun,
  type StartRunBody,
} from "@berth/shared/host-api";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { once } from "node:events";
import { decodeJwt, exportJWK, generateKeyPair, type JWTPayload, SignJWT } from "jose";
import { sql } from "drizzle-orm";
import type { TestApp } from "./app.ts";
import { until } from "./wait.ts";

export type TestHost = Awaited<ReturnType<typeof joinTestHost>>;
type Handler = (request: HostRequest, response: ServerResponse) => void | Promise<void>;

export interface HostRequest {
  method: string;
  path: string;
  headers: IncomingMessage["headers"];
  body: string;
  incoming: IncomingMessage;
}

export const emptyUsage = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0, costUsd: 0 };

/** Joins a host that keeps started runs in a map and answers as `handle` says, else as a host that accepts everything. */
export async function joinTestHost(test: TestApp, load: Partial<HostLoad> = {}) {
  const { privateKey, publicKey } = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
  const requests: HostRequest[] = [];
  const runs = new Map<string, ReportedRun>();
  const host = { epoch: "epoch1", rev: 0, seq: 0, handle: undefined as Handler | undefined };
  const server = createServer(async (incoming, response) => {
    const request = await readRequest(incoming).catch(() => null);
    // Its caller is gone: it was cut off, or came to its deadline.
    if (!request) return;
    // The gateway looks whether it gets here at all.
    if (claimsOf(request).sub === "nobody") return answerJson(response, 404, problem("not_found", 404));
    requests.push(request);
    if (host.handle) await host.handle(request, response);
    else accept(host, runs, request, response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { x } = await exportJWK(publicKey);
  const join = { protocol: protocolVersion, name: "testing", url, publicKey: { kty: "OKP", crv: "Ed25519", x } };
  const admin = await test.addUser(`admin of ${url}`, "admin");
  const joinToken = (await test.call("POST", "/v1/admin/hosts/join-tokens", { token: admin.token })).json()
    .token as string;
  const joined = await test.call("POST", "/internal/hosts/join", { body: { ...join, token: joinToken } });
  const hostId = joined.json().hostId as string;

  const sign = (claims: Record<string, unknown> = {}, key = privateKey) => {
    const seconds = Math.floor(test.deps.now() / 1000);
    return new SignJWT({ iss: hostId, sub: hostId, aud: "berth:gateway", iat: seconds, exp: seconds + 60, ...claims })
      .setProtectedHeader({ alg: "EdDSA", typ: "berth-host+jwt" })
      .sign(key);
  };
  const makeReport = (changes: Partial<ReportBody> = {}): ReportBody => ({
    protocol: protocolVersion,
    version: "test",
    epoch: host.epoch,
    seq: ++host.seq,
    since: 0,
    rev: host.rev,
    url,
    load: { ...idleLoad, ...load },
    workspaces: [],
    runs: [],
    agents: [],
    ...changes,
  });
  const report = async (changes: Partial<ReportBody> = {}) =>
    test.call("POST", "/internal/hosts/report", { token: await sign(), body: makeReport(changes) });
  /** Reports, as a host does again and again, until the gateway has called it where it was not reached before: a call may be cut off. */
  const reach = async () => {
    const isReached = sql`select 1 from hosts where id = ${hostId} and unreached is null`;
    let reportedAt = -Infinity;
    await until(async () => {
      if (performance.now() - reportedAt > 5000) {
        await report();
        reportedAt = performance.now();
      }
      return (await test.deps.db.all(isReached)).length > 0;
    }, "the gateway has called it");
  };
  await reach();
  return Object.assign(host, {
    id: hostId,
    url,
    server,
    requests,
    runs,
    join,
    joinToken,
    sign,
    makeReport,
    report,
    reach,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  });
}

/** What a host tells of itself that has nothing to do. */
export const idleLoad: HostLoad = {
  workspaces: 0,
  maxWorkspaces: 200,
  activeRuns: 0,
  memoryTotalBytes: 8 * 2 ** 30,
  memoryAvailableBytes: 8 * 2 ** 30,
  diskAvailableBytes: 2 ** 40,
  cpus: 2,
  demoModel: true,
  problem: null,
  alerts: [],
};

/** A run as a host tells it. */
export function makeRun(
  changes: Partial<ReportedRun> & Pick<ReportedRun, "id" | "userId" | "agentId" | "rev">,
): ReportedRun {
  return {
    status: "running",
    reason: null,
    trigger: { kind: "api", triggerId: null },
    prompt: "hello",
    result: null,
    exitCode: null,
    usage: emptyUsage,
    oomKills: 0,
    logBytes: 0,
    stderrTail: null,
    createdAt: "2026-01-01T00:00:00.000Z",
    startedAt: null,
    endedAt: null,
    ...changes,
  };
}

/** What the gateway says in the credential of a call. */
export function claimsOf({ headers }: Pick<HostRequest, "headers">): JWTPayload {
  return decodeJwt(headers.authorization!.slice("Bearer ".length));
}

export function answerJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  const type = status >= 400 ? "application/problem+json" : "application/json";
  response.writeHead(status, { "content-type": type, ...headers }).end(JSON.stringify(body));
}

async function readRequest(incoming: IncomingMessage): Promise<HostRequest> {
  let body = "";
  for await (const chunk of incoming.setEncoding("utf8")) body += chunk;
  return { method: incoming.method!, path: incoming.url!, headers: incoming.headers, body, incoming };
}

function accept(
  host: { epoch: string; rev: number },
  runs: Map<string, ReportedRun>,
  { method, path, headers, body }: HostRequest,
  response: ServerResponse,
): void {
  const userId = claimsOf({ headers }).sub!;
  if (method === "POST" && path === "/v1/runs") {
    const { run, agent } = JSON.parse(body) as StartRunBody;
    const known = runs.get(run.id) ?? {
      ...makeRun({ id: run.id, userId, agentId: agent.id, rev: ++host.rev }),
      prompt: run.prompt,
      trigger: run.trigger,
      status: "starting" as const,
      createdAt: new Date().toISOString(),
    };
    runs.set(run.id, known);
    if (known.prompt !== run.prompt) return answerJson(response, 409, problem("conflict", 409));
    const { prompt: _prompt, ...told } = known;
    return answerJson(response, 202, { epoch: host.epoch, run: told });
  }
  const [, runId, change] = /^\/v1\/runs\/([\w-]+)\/(cancel|interrupt|answers|messages)$/.exec(path) ?? [];
  if (change === "messages")
    return answerJson(response, 202, { messageId: (JSON.parse(body) as { messageId: string }).messageId });
  if (runId) {
    const ended = change !== "answers" && { status: "cancelled" as const, reason: "cancelled" as const };
    const run = { ...runs.get(runId)!, ...ended, rev: ++host.rev };
    runs.set(runId, run);
    const { prompt: _prompt, ...told } = run;
    return answerJson(response, 200, { epoch: host.epoch, run: told });
  }
  const asked = runs.get(path.replace("/v1/runs/", ""));
  if (method === "GET" && asked) return answerJson(response, 200, { epoch: host.epoch, run: asked });
  if (path.endsWith("/env")) {
    const { agent, env } = JSON.parse(body) as { agent: { id: string }; env: Record<string, string> };
    const told = { id: agent.id, userId, envKeys: Object.keys(env), rev: ++host.rev };
    return answerJson(response, 200, { epoch: host.epoch, agent: told });
  }
  if (method === "DELETE") return void response.writeHead(204).end();
  answerJson(response, 404, problem("not_found", 404));
}

const problem = (code: string, status: number) => ({
  type: "about:blank",
  title: "-",
  status,
  detail: "-",
  code,
  requestId: "host",
});
