/** Runs: started and cancelled on the host, listed from the copy, streamed through. */
import { AppError } from "@berth/shared/errors";
import { runAnswer } from "@berth/shared/host-api";
import {
  answerBody,
  contextUseSchema,
  createRunBody,
  idempotencyKey,
  isEnded,
  messageAnswer,
  messageBody,
  promptMaxBytes,
  type Run,
  runSchema,
  updateRunBody,
} from "@berth/shared/resources";
import { useSchema } from "@berth/shared/users";
import { uuidOf } from "@berth/shared/ids";
import type { Context } from "hono";
import { z } from "zod";
import type { AppEnv, Deps } from "../deps.ts";
import { callHost, callHostJson, longDeadlineMs } from "../hosts/call.ts";
import { findHostOfUser, type HostTarget } from "../hosts/placement.ts";
import { digits, pageSchema } from "../http/paging.ts";
import { passThrough } from "../http/pass-through.ts";
import { endedEvents, metered, streamPending } from "../agents/pending-events.ts";
import { cancelPending, startPending } from "../agents/pending.ts";
import { rewordPending } from "../agents/queue-run.ts";
import { runAfterAnswer } from "../http/background.ts";
import { route } from "../http/route.ts";
import { getRun, getStatus, isOnHost, listRuns, runsQuery } from "../agents/runs.ts";
import { readUse, useQuery } from "../agents/use.ts";
import { searchQuery, searchRuns } from "../agents/search.ts";
import { applyRunAnswer, asOfNow, publicRun } from "../agents/host-answer.ts";
import { startRun } from "../agents/start-run.ts";
import type { Caller } from "../http/caller.ts";

/** Idle timeout: hosts send a heartbeat on every stream each 10 s. */
const silenceMs = 30_000;
/** A prompt of 1 MiB in a language whose letters a client writes as \uXXXX each: three times as much. */
const longestPromptBody = 3 * 2 ** 20 + 2 ** 16;
const offset = digits(z.number().int().nonnegative());

const endings = {
  cancel: "Cancel a run; answers when no process of it is left",
  interrupt: "Stop the run's turn and keep its conversation; answers once it is over, cancelled",
};

export const runRoutes = [
  route({
    method: "POST",
    path: "/v1/agents/{id}/runs",
    summary:
      "Send a message: starts a run, and the workspace if need be; the header Idempotency-Key makes a retry return the first run",
    auth: "user",
    headers: z.object({ "Idempotency-Key": idempotencyKey.optional() }),
    body: createRunBody,
    bodyMaxBytes: longestPromptBody,
    status: 202,
    answer: runSchema,
    limit: "runs",
    errors: ["conflict", "agent_busy", "run_limit", "host_unavailable", "no_host"],
    run: async ({ deps, c, caller, params, headers, body }) => {
      const idempotencyKey = headers["Idempotency-Key"] ?? null;
      refuseLong(body.prompt);
      const run = await startRun(deps, caller, { agentId: params.id, ...body, idempotencyKey });
      if (run.status === "pending") runAfterAnswer(c, deps, "start pending", () => startPending(deps, caller.user.id));
      return run;
    },
  }),
  route({
    method: "PATCH",
    path: "/v1/runs/{id}",
    summary: "Reword a run that waits",
    auth: "user",
    body: updateRunBody,
    bodyMaxBytes: longestPromptBody,
    answer: runSchema,
    errors: ["conflict"],
    run: async ({ deps, caller, params, body }) => {
      refuseLong(body.prompt);
      return rewordPending(deps, caller.user.id, await runInProgress(deps, caller, params.id), body.prompt);
    },
  }),
  route({
    method: "GET",
    path: "/v1/runs",
    summary:
      "The user's runs, newest first; a page of very long or very rare runs holds fewer than its limit, or none, and goes on by its cursor",
    auth: "user",
    query: runsQuery,
    answer: pageSchema(runSchema),
    run: async ({ deps, caller, query }) => listRuns(deps.db, caller.user.id, query),
  }),
  route({
    method: "GET",
    path: "/v1/search",
    summary:
      "The user's runs that have all the words of `q` in their prompt or result, newest first; a word also finds longer ones that begin with it",
    auth: "user",
    query: searchQuery,
    answer: pageSchema(runSchema),
    limit: "search",
    run: async ({ deps, caller, query }) => searchRuns(deps.db, caller.user.id, query),
  }),
  route({
    method: "GET",
    path: "/v1/use",
    summary: "What the user's runs have cost by day and agent, and what is left of today's budget",
    auth: "user",
    query: useQuery,
    answer: useSchema,
    run: async ({ deps, caller, query }) => readUse(deps, caller.user, query.days),
  }),
  route({
    method: "GET",
    path: "/v1/runs/{id}",
    summary: "One run",
    auth: "user",
    answer: runSchema,
    run: async ({ deps, caller, params }) => asOfNow(deps, caller, await getRun(deps.db, caller.user.id, params.id)),
  }),
  ...(["cancel", "interrupt"] as const).map((path) =>
    route({
      method: "POST",
      path: `/v1/runs/{id}/${path}`,
      summary: endings[path],
      auth: "user",
      answer: runSchema,
      errors: ["conflict", "host_unavailable"],
      run: async ({ deps, caller, params }) => {
        const run = await runInProgress(deps, caller, params.id);
        if (run.status === "pending") return cancelPending(deps, caller, run.id);
        return changeRun(deps, caller, run, { path, deadlineMs: longDeadlineMs });
      },
    }),
  ),
  route({
    method: "POST",
    path: "/v1/runs/{id}/messages",
    summary:
      "Say a word into the run's turn: its agent reads it at its next step; the run's output shows it once it was taken. The header Idempotency-Key makes a retry the same message",
    auth: "user",
    headers: z.object({ "Idempotency-Key": idempotencyKey.optional() }),
    body: messageBody,
    bodyMaxBytes: 262_144,
    status: 202,
    answer: messageAnswer,
    limit: "runs",
    errors: ["conflict", "host_unavailable"],
    run: async ({ deps, caller, params, headers, body }) => {
      const run = await startedRun(deps, caller, params.id);
      const key = headers["Idempotency-Key"];
      const messageId = key === undefined ? crypto.randomUUID() : await uuidOf(run.id, key);
      const call = { method: "POST", path: `/v1/runs/${run.id}/messages`, body: { ...body, messageId } } as const;
      return callHostJson(deps, await hostOfRun(deps, caller), caller, call, messageAnswer);
    },
  }),
  route({
    method: "POST",
    path: "/v1/runs/{id}/answers",
    summary: "Answer what the run waits for, its `waitingFor.requestId`; a second answer to it is a conflict",
    auth: "user",
    body: answerBody,
    bodyMaxBytes: 524_288,
    answer: runSchema,
    errors: ["conflict", "host_unavailable"],
    run: async ({ deps, caller, params, body }) => {
      const run = await startedRun(deps, caller, params.id);
      return changeRun(deps, caller, run, { path: "answers", body });
    },
  }),
  route({
    method: "GET",
    path: "/v1/runs/{id}/context",
    summary: "What the conversation takes of its model's context, asked of the CLI while its run goes on",
    auth: "user",
    answer: contextUseSchema,
    limit: "runs",
    errors: ["conflict", "host_unavailable"],
    run: async ({ deps, caller, params }) => {
      const run = await startedRun(deps, caller, params.id);
      const call = { method: "GET", path: `/v1/runs/${run.id}/context`, deadlineMs: longDeadlineMs } as const;
      return callHostJson(deps, await hostOfRun(deps, caller), caller, call, contextUseSchema);
    },
  }),
  route({
    method: "GET",
    path: "/v1/runs/{id}/events",
    summary: "The run's output and changes as server-sent events, from the offset in Last-Event-ID or ?after",
    auth: "user",
    query: z.object({ after: offset.optional() }),
    // A client that has seen no event yet may send an empty one.
    headers: z.object({ "Last-Event-ID": z.literal("").or(offset).optional() }),
    media: "text/event-stream",
    errors: ["host_unavailable", "rate_limited"],
    run: async ({ deps, c, authenticator, source, caller, params, query, headers }) => {
      const last = headers["Last-Event-ID"];
      const after = (last === "" ? undefined : last) ?? query.after ?? 0;
      const path = `${params.id}/events?after=${after}`;
      const look = async () => {
        await authenticator.look(c.req.raw, source.address);
        return getStatus(deps.db, caller.user.id, params.id);
      };
      const load = () => getRun(deps.db, caller.user.id, params.id);
      const run = await load();
      const told = (await isOnHost(deps.db, run)) ? await readThrough(deps, c, caller, path) : null;
      if (told) return told;
      if (isEnded(run.status)) return new Response(endedEvents(run), { headers: eventHeaders });
      const openHost = async () => {
        const call = { method: "GET", path: `/v1/runs/${path}` } as const;
        return (await callHost(deps, await hostOfRun(deps, caller), caller, call)).body!;
      };
      if (c.req.method === "HEAD") return new Response(null, { headers: eventHeaders });
      const pace = deps.version ? undefined : metered;
      const stream = streamPending(run, { userId: caller.user.id, look, load, openHost, pace });
      return new Response(passThrough(stream, c.env?.breakOff), { headers: eventHeaders });
    },
  }),
  route({
    method: "GET",
    path: "/v1/runs/{id}/stderr",
    summary: "The run's standard error as text, at most its last 1 MiB",
    auth: "user",
    media: "text/plain",
    errors: ["host_unavailable"],
    run: async ({ deps, c, caller, params }) => {
      const run = await getRun(deps.db, caller.user.id, params.id);
      const text = (await isOnHost(deps.db, run)) ? await readThrough(deps, c, caller, `${params.id}/stderr`) : null;
      return text ?? c.text("");
    },
  }),
];

const eventHeaders = { "content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no" };

function refuseLong(prompt: string): void {
  if (new TextEncoder().encode(prompt).length > promptMaxBytes)
    throw new AppError("payload_too_large", "The prompt is over 1 MiB of UTF-8.");
}

async function runInProgress({ db }: Deps, caller: Caller, runId: string): Promise<Run> {
  const run = await getRun(db, caller.user.id, runId);
  if (isEnded(run.status)) throw new AppError("conflict", "The run has ended already.", { runId });
  return run;
}

/** A run in progress that its host has: what waits at the gateway has no turn yet. */
async function startedRun(deps: Deps, caller: Caller, runId: string): Promise<Run> {
  const run = await runInProgress(deps, caller, runId);
  if (run.status === "pending") throw new AppError("conflict", "The run has not started yet.", { runId });
  return run;
}

/** The run after what the host was asked to do with it. */
async function changeRun(
  deps: Deps,
  caller: Caller,
  run: Run,
  { path, ...rest }: { path: string; body?: object; deadlineMs?: number },
): Promise<Run> {
  const host = await hostOfRun(deps, caller);
  const call = { method: "POST", path: `/v1/runs/${run.id}/${path}`, ...rest } as const;
  const answer = await callHostJson(deps, host, caller, call, runAnswer);
  const isApplied = await applyRunAnswer(deps, host, answer);
  return isApplied ? publicRun({ ...answer.run, prompt: run.prompt }) : getRun(deps.db, caller.user.id, run.id);
}

/** What the host has at `/v1/runs/` + `path`, byte by byte as it comes; null where it does not know the run any more. */
async function readThrough(deps: Deps, c: Context<AppEnv>, caller: Caller, path: string): Promise<Response | null> {
  const host = await hostOfRun(deps, caller);
  const call = { method: "GET", path: `/v1/runs/${path}`, signal: c.req.raw.signal } as const;
  const answer = await callHost(deps, host, caller, call).catch(nullIfUnknown);
  if (!answer) return null;
  const { status, headers, body } = answer;
  const kept = {
    "content-type": headers.get("content-type") ?? "application/octet-stream",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
  };
  if (c.req.method === "HEAD") await body?.cancel();
  return new Response(body && c.req.method !== "HEAD" ? passThrough(body, c.env?.breakOff, silenceMs) : null, {
    status,
    headers: kept,
  });
}

function nullIfUnknown(error: unknown): null {
  if (error instanceof AppError && error.code === "not_found") return null;
  throw error;
}

async function hostOfRun({ db }: Deps, caller: Caller): Promise<HostTarget> {
  const host = await findHostOfUser(db, caller.user.id);
  if (!host) throw new AppError("host_unavailable", "The run has no host yet.", { retryAfter: 5 });
  return host;
}
