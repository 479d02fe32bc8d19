/** Runs: started and cancelled on the host, listed from the copy, streamed through. */
import { AppError } from "@berth/shared/errors";
import { runAnswer } from "@berth/shared/host-api";
import { createRunBody, idempotencyKey, isEnded, promptMaxBytes, runSchema } from "@berth/shared/resources";
import type { Context } from "hono";
import { z } from "zod";
import type { AppEnv, Deps } from "../deps.ts";
import { callHost, callHostJson, longDeadlineMs } from "../hosts/call.ts";
import { findHostOfUser, type HostTarget } from "../hosts/placement.ts";
import { digits, pageSchema } from "../http/paging.ts";
import { passThrough } from "../http/pass-through.ts";
import { endedEvents, streamPending } from "../agents/pending-events.ts";
import { cancelPending } from "../agents/pending.ts";
import { route } from "../http/route.ts";
import { getRun, isOnHost, listRuns, runsQuery } from "../agents/runs.ts";
import { applyRunAnswer, publicRun, startRun } from "../agents/start-run.ts";
import type { Caller } from "../http/caller.ts";

/** Idle timeout: hosts send a heartbeat on every stream each 10 s. */
const silenceMs = 30_000;
const offset = digits(z.number().int().nonnegative());

export const runRoutes = [
  route({
    method: "POST",
    path: "/v1/agents/{id}/runs",
    summary:
      "Send a message: starts a run, and the workspace if need be; the header Idempotency-Key makes a retry return the first run",
    auth: "user",
    headers: z.object({ "Idempotency-Key": idempotencyKey.optional() }),
    body: createRunBody,
    // A prompt of 1 MiB in a language whose letters a client writes as \uXXXX each: three times as much.
    bodyMaxBytes: 3 * 2 ** 20 + 2 ** 16,
    status: 202,
    answer: runSchema,
    limit: "runs",
    errors: ["conflict", "agent_busy", "run_limit", "host_unavailable", "no_host"],
    run: async ({ deps, caller, params, headers, body }) => {
      const key = headers["Idempotency-Key"] ?? null;
      if (new TextEncoder().encode(body.prompt).length > promptMaxBytes)
        throw new AppError("payload_too_large", "The prompt is over 1 MiB of UTF-8.");
      return startRun(deps, caller, { agentId: params.id, prompt: body.prompt, idempotencyKey: key });
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
    path: "/v1/runs/{id}",
    summary: "One run",
    auth: "user",
    answer: runSchema,
    run: async ({ deps, caller, params }) => getRun(deps.db, caller.user.id, params.id),
  }),
  route({
    method: "POST",
    path: "/v1/runs/{id}/cancel",
    summary: "Cancel a run; answers when no process of it is left",
    auth: "user",
    answer: runSchema,
    errors: ["conflict", "host_unavailable"],
    run: async ({ deps, caller, params }) => {
      const run = await getRun(deps.db, caller.user.id, params.id);
      if (isEnded(run.status)) throw new AppError("conflict", "The run has ended already.", { runId: run.id });
      if (run.status === "pending") return cancelPending(deps, caller, run.id);
      const host = await hostOfRun(deps, caller);
      const call = { method: "POST", path: `/v1/runs/${run.id}/cancel`, deadlineMs: longDeadlineMs } as const;
      const answer = await callHostJson(deps, host, caller, call, runAnswer);
      const isApplied = await applyRunAnswer(deps, host, answer);
      return isApplied ? publicRun({ ...answer.run, prompt: run.prompt }) : getRun(deps.db, caller.user.id, run.id);
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
    errors: ["host_unavailable"],
    run: async ({ deps, c, authenticator, source, caller, params, query, headers }) => {
      const last = headers["Last-Event-ID"];
      const after = (last === "" ? undefined : last) ?? query.after ?? 0;
      const path = `${params.id}/events?after=${after}`;
      const load = async () => {
        await authenticator.fromRequest(c.req.raw, source.address);
        return getRun(deps.db, caller.user.id, params.id);
      };
      const run = await getRun(deps.db, caller.user.id, params.id);
      const told = (await isOnHost(deps.db, run)) ? await readThrough(deps, c, caller, path) : null;
      if (told) return told;
      if (isEnded(run.status)) return new Response(endedEvents(run), { headers: eventHeaders });
      const openHost = async () => {
        const call = { method: "GET", path: `/v1/runs/${path}` } as const;
        return (await callHost(deps, await hostOfRun(deps, caller), caller, call)).body!;
      };
      const body =
        c.req.method === "HEAD" ? null : passThrough(streamPending(run, { load, openHost }), c.env?.breakOff);
      return new Response(body, { headers: eventHeaders });
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
