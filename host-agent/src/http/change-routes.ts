/** What an agent's repository has changed, for the gateway. Parses, calls one function, answers. */
import type { Hono } from "hono";
import { parseOr400 } from "@berth/shared/errors";
import { changePath } from "@berth/shared/files";
import { id } from "@berth/shared/values";
import { createChanges } from "../inside/changes.ts";
import { type EntryDeps, readDirectory } from "../inside/entry.ts";
import type { ServerEnv } from "./env.ts";

/** Adds the route to the app. */
export function addChangeRoutes(app: Hono<ServerEnv>, deps: EntryDeps): void {
  const changes = createChanges(deps);
  app.get("/v1/agents/:id/changes", async (c) => {
    const userId = c.get("claims").sub;
    const agentId = parseOr400(id, c.req.param("id"), "agent id");
    const agent = { id: agentId, directory: readDirectory(c.req.query("directory")) };
    const path = parseOr400(changePath.optional(), c.req.query("path"), "path");
    if (path === undefined) return c.json(await changes.list(userId, agent));
    return c.body(Uint8Array.from(await changes.diff(userId, agent, path)), 200, { "content-type": "text/x-diff" });
  });
}
