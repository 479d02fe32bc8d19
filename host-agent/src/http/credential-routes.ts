/** What users keep for their agents, and what a host does with it for them, for the gateway. Parses, calls one function, answers. */
import type { Hono } from "hono";
import { createPlaces } from "@berth/shared/bounds/places";
import { AppError, parseOr400 } from "@berth/shared/errors";
import {
  gitCredentialBody,
  hostAuthority,
  pullRequestBody,
  secretBody,
  secretName,
} from "@berth/shared/credentials/credentials";
import { id } from "@berth/shared/values";
import { type EntryDeps, readDirectory } from "../inside/entry.ts";
import { pullRequestOf } from "../inside/pull-requests.ts";
import type { ForgeDeps } from "../origins/forges.ts";
import type { Keep } from "../origins/keep.ts";
import type { ServerEnv } from "./env.ts";
import { readJson } from "./body.ts";

/** Adds the routes to the app. */
export function addCredentialRoutes(app: Hono<ServerEnv>, deps: EntryDeps & { keep: Keep; forge: ForgeDeps }): void {
  const { keep } = deps;
  app.get("/v1/git-credentials", (c) => c.json({ items: keep.gitCredentials(c.get("claims").sub) }));
  app.put("/v1/git-credentials/:host", async (c) => {
    const host = parseOr400(hostAuthority, c.req.param("host"), "host");
    const body = parseOr400(gitCredentialBody, await readJson(c), "body");
    return c.json(await keep.putGitCredential(c.get("claims").sub, host, body));
  });
  app.delete("/v1/git-credentials/:host", async (c) => {
    await keep.remove(c.get("claims").sub, "git", parseOr400(hostAuthority, c.req.param("host"), "host"));
    return c.body(null, 204);
  });
  app.get("/v1/secrets", (c) => c.json({ items: keep.secrets(c.get("claims").sub) }));
  app.put("/v1/secrets/:name", async (c) => {
    const name = parseOr400(secretName, c.req.param("name"), "name");
    const body = parseOr400(secretBody, await readJson(c), "body");
    return c.json(await keep.putSecret(c.get("claims").sub, name, body));
  });
  app.delete("/v1/secrets/:name", async (c) => {
    await keep.remove(c.get("claims").sub, "secret", parseOr400(secretName, c.req.param("name"), "name"));
    return c.body(null, 204);
  });
  // Each has a program of its own in the workspace.
  const opening = createPlaces(Infinity, 1);
  app.post("/v1/agents/:id/pull-requests", async (c) => {
    const userId = c.get("claims").sub;
    const agent = {
      id: parseOr400(id, c.req.param("id"), "agent id"),
      directory: readDirectory(c.req.query("directory")),
    };
    const body = parseOr400(pullRequestBody, await readJson(c), "body");
    const give = opening.take(userId);
    if (!give)
      throw new AppError("rate_limited", "A pull request of yours is just being opened: try again.", { retryAfter: 2 });
    return c.json(await pullRequestOf(deps, userId, agent, body).finally(give), 201);
  });
}
