/** The host agent's HTTP: what the gateway may ask of this host, for the user its token names. Parses, calls one function, answers. */
import { join } from "node:path";
import { type Context, Hono } from "hono";
import { AppError, parseOr400, toProblem } from "@berth/shared/errors";
import {
  type AgentSpec,
  agentSpec,
  type HostClaims,
  hostMessageBody,
  nameCall,
  protocolHeader,
  setEnvBody,
  startRunBody,
} from "@berth/shared/host-api";
import { messageOf, stackOf } from "@berth/shared/log";
import { answerBody, type ContextUse, type ModelChoice } from "@berth/shared/resources";
import { id } from "@berth/shared/values";
import { type AgentDeps, deleteAgent, resetAgent, setEnv } from "../inside/agents.ts";
import { readJson, readJsonIfAny } from "./body.ts";
import { addChangeRoutes } from "./change-routes.ts";
import { addCredentialRoutes } from "./credential-routes.ts";
import type { ServerEnv } from "./env.ts";
import { addFileRoutes } from "./file-routes.ts";
import type { EntryDeps } from "../inside/entry.ts";
import type { Files } from "../inside/files.ts";
import type { Engine } from "../machine/engine.ts";
import { tellFailure } from "../machine/machine-error.ts";
import type { ForgeDeps } from "../origins/forges.ts";
import type { Keep } from "../origins/keep.ts";
import { toEventBlock } from "../output/event-block.ts";
import { follow, type FollowDeps } from "../output/follow.ts";
import { checkProtocol, type VerifyGateway } from "../membership/verify.ts";
import { readTail } from "../run/run-log.ts";
import { toBody } from "../output/sse.ts";
import { reported, reportedAgent, type RunRow } from "../store/rows.ts";
import type { Streams } from "../output/open-streams.ts";
import { logSizes, runDirectory } from "../run/run-files.ts";
import { answer, askContext, sayTo } from "../run/turn.ts";

export interface ServerDeps extends AgentDeps, Pick<EntryDeps, "programs">, Pick<FollowDeps, "delivered"> {
  verify: VerifyGateway;
  streams: Streams;
  files: Files;
  engine: Engine;
  keep: Keep;
  forge: ForgeDeps;
  listModels: () => Promise<ModelChoice[]>;
}
const stderrBytes = 2 ** 20;

export function createServerApp(deps: ServerDeps): Hono<ServerEnv> {
  const { log } = deps.context;
  const app = new Hono<ServerEnv>();
  app.onError((error, c) => {
    const requestId = crypto.randomUUID();
    if (!(error instanceof AppError)) {
      const path = c.req.routePath;
      log.error("request.failed", { requestId, path, error: messageOf(error), stack: stackOf(error) });
    }
    const problem = toProblem(tellFailure(error) ?? error, requestId);
    return c.body(JSON.stringify(problem.body), problem.status, problem.headers);
  });
  app.notFound(() => {
    throw new AppError("not_found", "There is nothing here.");
  });
  app.get("/healthz", (c) => c.json({ status: "ok" }));
  app.use("/v1/*", async (c, next) => {
    const call = nameCall(c.req.method, new URL(c.req.url));
    c.set("claims", await deps.verify(c.req.header("authorization"), call));
    checkProtocol(c.req.header(protocolHeader));
    await next();
  });
  addWorkspaceRoutes(app, deps);
  addRunRoutes(app, deps);
  addTurnRoutes(app, deps);
  addAgentRoutes(app, deps);
  addFileRoutes(app, deps.files);
  addChangeRoutes(app, deps);
  addCredentialRoutes(app, deps);
  return app;
}

function addWorkspaceRoutes(app: Hono<ServerEnv>, { workspaces, runs }: ServerDeps): void {
  app.get("/v1/workspace", (c) => c.json(workspaces.view(c.get("claims").sub)));
  app.post("/v1/workspace/start", async (c) => {
    await workspaces.start(c.get("claims").sub);
    return c.json(workspaces.view(c.get("claims").sub));
  });
  app.post("/v1/workspace/stop", async (c) => {
    const userId = c.get("claims").sub;
    await workspaces.stop(userId, () => runs.endAll("cancelled", userId));
    return c.json(workspaces.view(userId));
  });
}

/** How a run is found and told, for its routes. */
function createRunAccess({ store }: ServerDeps) {
  return {
    toAnswer: (run: RunRow) => ({ epoch: store.epoch, run: reported(run) }),
    ownRun(claims: HostClaims, runId: string): RunRow {
      const run = store.getRun(parseOr400(id, runId, "run id"));
      if (!run || run.userId !== claims.sub) throw new AppError("not_found", "There is no such run.");
      return run;
    },
  };
}

function addRunRoutes(app: Hono<ServerEnv>, deps: ServerDeps): void {
  const { store, runs, streams, volumes } = deps;
  const { toAnswer, ownRun } = createRunAccess(deps);
  app.post("/v1/runs", async (c) => {
    const body = parseOr400(startRunBody, await readJson(c), "body");
    return c.json(toAnswer(await runs.start(c.get("claims").sub, body)), 202);
  });
  // What the gateway asks while reports do not get there. What a power cut can take back is not told.
  app.get("/v1/runs/:id", async (c) => {
    const run = ownRun(c.get("claims"), c.req.param("id"));
    if (run.rev === 0) throw new AppError("not_found", "The run is not promised yet.");
    await store.synced();
    return c.json(toAnswer(run));
  });
  app.post("/v1/runs/:id/cancel", async (c) => {
    // One that is not known may be on its way.
    const runId = parseOr400(id, c.req.param("id"), "run id");
    return c.json(toAnswer(await runs.cancel(c.get("claims").sub, runId)));
  });
  app.post("/v1/runs/:id/interrupt", async (c) => {
    const { id: runId } = ownRun(c.get("claims"), c.req.param("id"));
    return c.json(toAnswer(await runs.interrupt(c.get("claims").sub, runId)));
  });
  app.get("/v1/runs/:id/events", (c) => {
    const claims = c.get("claims");
    const run = ownRun(claims, c.req.param("id"));
    const after = Number(/^\d{1,15}$/.exec(c.req.query("after") ?? "0")?.[0] ?? 0);
    const body = toBody(
      (signal) => follow(deps, run.id, after, signal, toEventBlock),
      (end) => streams.add(claims, end),
      (error) => deps.context.log.warn("follow.failed", { runId: run.id, error: messageOf(error) }),
    );
    return c.body(body, 200, {
      "content-type": "text/event-stream",
      "cache-control": "no-store",
      "x-accel-buffering": "no",
    });
  });
  app.get("/v1/runs/:id/stderr", async (c) => {
    const run = ownRun(c.get("claims"), c.req.param("id"));
    const volume = await volumes.ensure(run.userId);
    const path = join(runDirectory(volume, run.id), "err");
    return c.body(await readTail(path, stderrBytes, logSizes(volume, run.id).err), 200, {
      "content-type": "text/plain; charset=utf-8",
    });
  });
}

/** What is said to a run under way, and asked of it. */
function addTurnRoutes(app: Hono<ServerEnv>, deps: ServerDeps): void {
  const { toAnswer, ownRun } = createRunAccess(deps);
  app.post("/v1/runs/:id/messages", async (c) => {
    const run = ownRun(c.get("claims"), c.req.param("id"));
    const { messageId, text } = parseOr400(hostMessageBody, await readJson(c), "body");
    await sayTo(deps, run, messageId, text);
    return c.json({ messageId }, 202);
  });
  app.post("/v1/runs/:id/answers", async (c) => {
    const run = ownRun(c.get("claims"), c.req.param("id"));
    return c.json(toAnswer(await answer(deps, run, parseOr400(answerBody, await readJson(c), "body"))));
  });
  const askOnce = createContextQuestion(deps);
  app.get("/v1/runs/:id/context", async (c) => c.json(await askOnce(ownRun(c.get("claims"), c.req.param("id")))));
}

/** However many ask at once: the CLI is asked once, and its log read for one. */
function createContextQuestion(deps: ServerDeps): (run: RunRow) => Promise<ContextUse> {
  const asking = new Map<string, Promise<ContextUse>>();
  return (run) => {
    const asked = asking.get(run.id) ?? askContext(deps, run).finally(() => asking.delete(run.id));
    asking.set(run.id, asked);
    return asked;
  };
}

/** A description of the agent that the path names. */
function ofPath(c: Context<ServerEnv>, spec: AgentSpec): AgentSpec {
  if (spec.id !== c.req.param("id")) throw new AppError("invalid_request", "The agent's id differs from the path's.");
  return spec;
}

function addAgentRoutes(app: Hono<ServerEnv>, deps: ServerDeps): void {
  app.get("/v1/models", async (c) => c.json({ items: await deps.listModels() }));
  app.on(["PUT", "PATCH"], "/v1/agents/:id/env", async (c) => {
    const { agent, env } = parseOr400(setEnvBody, await readJson(c), "body");
    ofPath(c, agent);
    const known = await setEnv(deps, c.get("claims").sub, agent, env, c.req.method === "PUT");
    return c.json({ epoch: deps.store.epoch, agent: reportedAgent(known) });
  });
  app.post("/v1/agents/:id/ahead", async (c) => {
    const spec = ofPath(c, parseOr400(agentSpec, await readJson(c), "body"));
    void deps.runs.ahead.open(await deps.runs.learn(c.get("claims").sub, spec));
    return c.body(null, 204);
  });
  app.post("/v1/agents/:id/reset", async (c) => {
    const agentId = parseOr400(id, c.req.param("id"), "agent id");
    const body = await readJsonIfAny(c);
    const spec = body === undefined ? null : ofPath(c, parseOr400(agentSpec, body, "body"));
    await resetAgent(deps, c.get("claims").sub, agentId, spec);
    return c.body(null, 204);
  });
  app.delete("/v1/agents/:id", async (c) => {
    await deleteAgent(deps, c.get("claims").sub, parseOr400(id, c.req.param("id"), "agent id"));
    return c.body(null, 204);
  });
}
