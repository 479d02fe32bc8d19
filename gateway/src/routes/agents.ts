/** Agents: the gateway's own rows; the host hears of environments and deletions. */
import { AppError, nullIfRefused } from "@berth/shared/errors";
import { agentAnswer } from "@berth/shared/host-api";
import {
  type Agent,
  agentSchema,
  createAgentBody,
  envBody,
  envChangeBody,
  modelChoiceSchema,
  updateAgentBody,
} from "@berth/shared/resources";
import { z } from "zod";
import {
  applyAgentAnswer,
  createAgent,
  deleteAgent,
  getAgent,
  getAgentSpec,
  listAgents,
  noteAgentDropped,
  updateAgent,
} from "../agents/agents.ts";
import { auditStatement } from "../access/audit.ts";
import type { Deps } from "../deps.ts";
import { actOnHost, callHostJson } from "../hosts/call.ts";
import { findAnyHost, findHostOfUser, placeUser } from "../hosts/placement.ts";
import { pageQuery, pageSchema } from "../http/paging.ts";
import { route } from "../http/route.ts";
import type { AuditSource, Caller } from "../http/caller.ts";

/** Instructions, or 128 KiB of variables, escaped. */
const longTextBytes = 524_288;
/** A host gives its model API 4 s. */
const modelsDeadlineMs = 6000;
const modelsAnswer = z.object({ items: z.array(modelChoiceSchema).max(500) });
type Environment = { summary: string; body: z.ZodType<Record<string, string | null>> };
const environments: Record<"PUT" | "PATCH", Environment> = {
  PUT: { summary: "Replace the environment; values stay on the host and are never returned", body: envBody },
  PATCH: {
    summary: "Set the variables that are named, or remove them by null; the rest of the environment stays",
    body: envChangeBody,
  },
};

export const agentRoutes = [
  route({
    method: "GET",
    path: "/v1/agents",
    summary: "The user's agents, oldest first",
    auth: "user",
    query: pageQuery,
    answer: pageSchema(agentSchema),
    run: async ({ deps, caller, query }) => listAgents(deps, caller.user.id, query),
  }),
  route({
    method: "POST",
    path: "/v1/agents",
    summary:
      "Create an agent; answers without waiting for a container. Its repository is cloned into `directory` by the first run",
    auth: "user",
    body: createAgentBody,
    bodyMaxBytes: longTextBytes,
    status: 201,
    answer: agentSchema,
    limit: "changes",
    errors: ["agent_limit", "conflict"],
    run: async ({ deps, source, caller, body }) => createAgent(deps, source, caller.user, body),
  }),
  route({
    method: "GET",
    path: "/v1/models",
    summary: "The models that the model API offers, for an agent's `model`; none where it says nothing of them",
    auth: "user",
    answer: pageSchema(modelChoiceSchema),
    run: async ({ deps, caller }) => {
      const host = await findAnyHost(deps, caller.user.id);
      const call = { method: "GET", path: "/v1/models", deadlineMs: modelsDeadlineMs } as const;
      const asked = host && callHostJson(deps, host, caller, call, modelsAnswer).catch(nullIfRefused);
      return { items: (await asked)?.items ?? [], nextCursor: null };
    },
  }),
  route({
    method: "GET",
    path: "/v1/agents/{id}",
    summary: "One agent",
    auth: "user",
    answer: agentSchema,
    run: async ({ deps, caller, params }) => getAgent(deps.db, caller.user.id, params.id),
  }),
  route({
    method: "PATCH",
    path: "/v1/agents/{id}",
    summary: "Change name, model, instructions or directory; runs that start later see it",
    auth: "user",
    body: updateAgentBody,
    bodyMaxBytes: longTextBytes,
    answer: agentSchema,
    limit: "changes",
    errors: ["conflict", "agent_busy"],
    run: async ({ deps, source, caller, params, body }) => updateAgent(deps, source, caller.user.id, params.id, body),
  }),
  route({
    method: "DELETE",
    path: "/v1/agents/{id}",
    summary: "Delete an agent: its run is cancelled and its directory removed",
    auth: "user",
    run: async ({ deps, source, caller, params }) => {
      await deleteAgent(deps, source, caller.user.id, params.id);
      await tellDeletion(deps, caller, params.id);
    },
  }),
  ...(["PUT", "PATCH"] as const).map((method) =>
    route({
      method,
      path: "/v1/agents/{id}/env",
      ...environments[method],
      auth: "user",
      bodyMaxBytes: longTextBytes,
      answer: agentSchema,
      limit: "changes",
      errors: ["host_unavailable", "no_host"],
      run: async ({ deps, source, caller, params, body }) =>
        setEnvironment(deps, source, caller, params.id, { method, env: body }),
    }),
  ),
  route({
    method: "POST",
    path: "/v1/agents/{id}/reset",
    summary: "Begin a new conversation; files stay",
    auth: "user",
    answer: agentSchema,
    limit: "changes",
    errors: ["agent_busy", "host_unavailable"],
    run: async ({ deps, source, caller, params }) => {
      const agent = await getAgent(deps.db, caller.user.id, params.id);
      const host = await findHostOfUser(deps.db, caller.user.id);
      // A directory that was changed since its last message is one of a conversation that the host has not gone to yet.
      const body = await getAgentSpec(deps.db, caller.user.id, params.id);
      if (host) await actOnHost(deps, host, caller, { method: "POST", path: `/v1/agents/${agent.id}/reset`, body });
      const target = { id: agent.id, name: agent.name };
      await deps.atomic([auditStatement(deps.now(), { ...source, action: "agent.reset", target })]);
      return agent;
    },
  }),
  route({
    method: "POST",
    path: "/v1/agents/{id}/ahead",
    summary:
      "Say that its conversation is open somewhere: where memory is to spare its next message finds its CLI started",
    auth: "user",
    errors: ["host_unavailable", "agent_busy"],
    run: async ({ deps, caller, params }) => {
      const body = await getAgentSpec(deps.db, caller.user.id, params.id);
      const host = await findHostOfUser(deps.db, caller.user.id);
      if (host) await actOnHost(deps, host, caller, { method: "POST", path: `/v1/agents/${body.id}/ahead`, body });
    },
  }),
];

/** Values pass to the host, and nothing of them stays here. */
async function setEnvironment(
  deps: Deps,
  source: AuditSource,
  caller: Caller,
  agentId: string,
  { method, env }: { method: "PUT" | "PATCH"; env: Record<string, string | null> },
): Promise<Agent> {
  const { db } = deps;
  const agent = await getAgentSpec(db, caller.user.id, agentId);
  const host = await placeUser(deps, caller.user.id);
  const call = { method, path: `/v1/agents/${agentId}/env`, body: { agent, env } };
  const answer = await callHostJson(deps, host, caller, call, agentAnswer);
  const target = { id: agent.id, name: agent.name };
  const detail = { variables: Object.keys(env).length };
  await deps.atomic([
    applyAgentAnswer(caller.user.id, answer),
    auditStatement(deps.now(), { ...source, action: "agent.environment_set", target, detail }),
  ]);
  return getAgent(db, caller.user.id, agentId);
}

/** The deletion holds already: a host that is away hears of it in the answer to its next report. */
async function tellDeletion(deps: Deps, caller: Caller, agentId: string): Promise<void> {
  const host = await findHostOfUser(deps.db, caller.user.id);
  if (!host) return;
  try {
    await actOnHost(deps, host, caller, { method: "DELETE", path: `/v1/agents/${agentId}` });
    await noteAgentDropped(deps, agentId);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    deps.log.warn("agent.deletion_untold", { agentId, hostId: host.id, code: error.code });
  }
}
