/** Admin: the hosts. */
import { id } from "@berth/shared/values";
import { healthSchema, hostSchema, joinTokenSchema } from "@berth/shared/hosts";
import { z } from "zod";
import { listHosts, removeHost, setDraining } from "../../fleet/admin.ts";
import { readHealth } from "../../fleet/health.ts";
import { createJoinToken, joinCommand } from "../../fleet/join.ts";
import { pageQuery, pageSchema } from "../../http/paging.ts";
import { route } from "../../http/route.ts";

export const adminHostRoutes = [
  route({
    method: "GET",
    path: "/v1/admin/hosts",
    summary: "All hosts with their load and why one takes no new users, oldest first",
    auth: "admin",
    query: pageQuery,
    answer: pageSchema(hostSchema),
    run: async ({ deps, query }) => listHosts(deps.db, deps.settings, deps.now(), query),
  }),
  route({
    method: "POST",
    path: "/v1/admin/hosts/join-tokens",
    summary: "A token with which one host joins within an hour, and the command for the new machine",
    auth: "admin",
    status: 201,
    answer: joinTokenSchema,
    run: async ({ deps, source }) => {
      const made = await createJoinToken(deps, source);
      return { ...made, command: joinCommand(deps.settings, made.token) };
    },
  }),
  route({
    method: "GET",
    path: "/v1/admin/health",
    summary:
      "The last hour by minutes, as hosts reported it: of one host, or of all together; a minute without a report is left out",
    auth: "admin",
    query: z.object({ hostId: id.optional() }),
    answer: healthSchema,
    run: async ({ deps, query }) => readHealth(deps.db, deps.now(), query.hostId ?? null),
  }),
  ...(["drain", "resume"] as const).map((what) =>
    route({
      method: "POST",
      path: `/v1/admin/hosts/{id}/${what}`,
      summary: what === "drain" ? "No new users for this host; those it has go on" : "The host takes new users again",
      auth: "admin",
      answer: hostSchema,
      run: async ({ deps, source, params }) => setDraining(deps, source, params.id, what === "drain"),
    }),
  ),
  route({
    method: "DELETE",
    path: "/v1/admin/hosts/{id}",
    summary:
      "Remove a host for good: its runs end as host_lost, its users start anew elsewhere with an empty workspace; where there are any, ?confirm must be the host's name",
    auth: "admin",
    query: z.object({ confirm: z.string().max(100).optional() }),
    errors: ["conflict"],
    run: async ({ deps, source, params, query }) => {
      await removeHost(deps, source, params.id, query.confirm ?? null);
      deps.log.warn("host.removed", { hostId: params.id });
    },
  }),
];
