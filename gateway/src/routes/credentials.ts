/** What agents use and never see: it lies on the user's host alone, and passes through here. */
import {
  gitCredentialBody,
  gitCredentialsAnswer,
  gitCredentialSchema,
  pullRequestBody,
  pullRequestSchema,
  secretBody,
  secretsAnswer,
  secretSchema,
} from "@berth/shared/credentials/credentials";
import { AppError } from "@berth/shared/errors";
import type { z } from "zod";
import { audit } from "../access/audit.ts";
import { getAgent } from "../agents/agents.ts";
import type { Deps } from "../deps.ts";
import { actOnHost, callHostJson, longDeadlineMs } from "../hosts/call.ts";
import { findHostOfUser, placeUser } from "../hosts/placement.ts";
import type { AuditSource, Caller } from "../http/caller.ts";
import { pageSchema } from "../http/paging.ts";
import { route } from "../http/route.ts";

/** Fifty repositories, or twenty paths, and a long value. */
const bodyMaxBytes = 65_536;

export const credentialRoutes = [
  route({
    method: "GET",
    path: "/v1/git-credentials",
    summary: "The user's credentials for git, all of them, without their tokens",
    auth: "user",
    answer: pageSchema(gitCredentialSchema),
    errors: ["host_unavailable"],
    run: async ({ deps, caller }) => list(deps, caller, "/v1/git-credentials", gitCredentialsAnswer),
  }),
  route({
    method: "PUT",
    path: "/v1/git-credentials/{host}",
    summary: "Keep a credential for git at a host and its forge's API: sealed on the user's host, never in a container",
    auth: "user",
    body: gitCredentialBody,
    bodyMaxBytes,
    answer: gitCredentialSchema,
    limit: "changes",
    errors: ["host_unavailable", "no_host", "conflict"],
    run: async ({ deps, source, caller, params, body }) => {
      const host = await placeUser(deps, caller.user.id);
      const call = { method: "PUT", path: `/v1/git-credentials/${params.host}`, body } as const;
      const kept = await callHostJson(deps, host, caller, call, gitCredentialSchema);
      await note(deps, source, "git_credential.set", params.host);
      return kept;
    },
  }),
  route({
    method: "DELETE",
    path: "/v1/git-credentials/{host}",
    summary: "Forget a credential for git: what is under way with it ends at once",
    auth: "user",
    errors: ["host_unavailable"],
    run: async ({ deps, source, caller, params }) => {
      await remove(deps, caller, `/v1/git-credentials/${params.host}`);
      await note(deps, source, "git_credential.deleted", params.host);
    },
  }),
  route({
    method: "GET",
    path: "/v1/secrets",
    summary: "The user's secrets, all of them, without their values",
    auth: "user",
    answer: pageSchema(secretSchema),
    errors: ["host_unavailable"],
    run: async ({ deps, caller }) => list(deps, caller, "/v1/secrets", secretsAnswer),
  }),
  route({
    method: "PUT",
    path: "/v1/secrets/{name}",
    summary:
      "Keep a secret for an https API: agents call NAME.secret.berth.internal by plain http and never see the value",
    auth: "user",
    body: secretBody,
    bodyMaxBytes,
    answer: secretSchema,
    limit: "changes",
    errors: ["host_unavailable", "no_host", "conflict"],
    run: async ({ deps, source, caller, params, body }) => {
      const host = await placeUser(deps, caller.user.id);
      const call = { method: "PUT", path: `/v1/secrets/${params.name}`, body } as const;
      const kept = await callHostJson(deps, host, caller, call, secretSchema);
      await note(deps, source, "secret.set", params.name);
      return kept;
    },
  }),
  route({
    method: "DELETE",
    path: "/v1/secrets/{name}",
    summary: "Forget a secret: what is under way with it ends at once",
    auth: "user",
    errors: ["host_unavailable"],
    run: async ({ deps, source, caller, params }) => {
      await remove(deps, caller, `/v1/secrets/${params.name}`);
      await note(deps, source, "secret.deleted", params.name);
    },
  }),
  route({
    method: "POST",
    path: "/v1/agents/{id}/pull-requests",
    summary:
      "Open a pull request from the branch that the agent's repository is on, with the user's credential for git",
    auth: "user",
    body: pullRequestBody,
    bodyMaxBytes: 262_144,
    status: 201,
    answer: pullRequestSchema,
    limit: "changes",
    errors: ["host_unavailable", "no_host", "conflict"],
    run: async ({ deps, source, caller, params, body }) => {
      const agent = await getAgent(deps.db, caller.user.id, params.id);
      const host = await placeUser(deps, caller.user.id);
      const where = new URLSearchParams({ directory: agent.directory ?? "" }).toString();
      const call = { method: "POST", path: `/v1/agents/${agent.id}/pull-requests?${where}`, body } as const;
      const timed = { ...call, deadlineMs: longDeadlineMs };
      const opened = await callHostJson(deps, host, caller, timed, pullRequestSchema);
      const target = { id: agent.id, name: agent.name };
      const detail = { number: opened.number };
      await audit(deps, { ...source, action: "pull_request.opened", target, detail });
      return opened;
    },
  }),
];

/** All that the user's host keeps of a kind; none where there is no host. */
async function list<Kept>(deps: Deps, caller: Caller, path: string, schema: z.ZodType<{ items: Kept[] }>) {
  const host = await findHostOfUser(deps.db, caller.user.id);
  const answer = host && (await callHostJson(deps, host, caller, { method: "GET", path }, schema));
  return { items: answer?.items ?? [], nextCursor: null };
}

/** Without a host there is nothing to remove. */
async function remove(deps: Deps, caller: Caller, path: string): Promise<void> {
  const host = await findHostOfUser(deps.db, caller.user.id);
  if (!host) throw new AppError("not_found", "There is no such thing of yours.");
  await actOnHost(deps, host, caller, { method: "DELETE", path });
}

type Action = "git_credential.set" | "git_credential.deleted" | "secret.set" | "secret.deleted";
const note = (deps: Deps, source: AuditSource, action: Action, name: string) =>
  audit(deps, { ...source, action, target: { id: name } });
