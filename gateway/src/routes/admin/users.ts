/** Admin: users, their tokens, the audit. */
import { auditSchema } from "@berth/shared/audit";
import { AppError } from "@berth/shared/errors";
import {
  createdTokenSchema,
  createTokenBody,
  createUserBody,
  allUseSchema,
  listedUserSchema,
  signInLinkSchema,
  updateUserBody,
  userSchema,
} from "@berth/shared/users";
import { z } from "zod";
import { tellHostOf } from "../../hosts/workspaces.ts";
import { auditQuery, listAudit } from "../../access/audit.ts";
import { deleteUser } from "../../agents/delete-user.ts";
import { cancelRunsOf, endWorkspace } from "../../agents/end-runs-of-user.ts";
import { findHostOfUser } from "../../hosts/placement.ts";
import { runAfterAnswer } from "../../http/background.ts";
import { pageQuery, pageSchema } from "../../http/paging.ts";
import { route } from "../../http/route.ts";
import { createSignInLink, linkMs } from "../../access/sign-in.ts";
import { issueToken } from "../../access/tokens.ts";
import { readAllUse, useQuery } from "../../agents/use.ts";
import { createUser, findUser, listUsers, setLimits, signOut, updateUser } from "../../access/users.ts";

export const adminRoutes = [
  route({
    method: "GET",
    path: "/v1/admin/users",
    summary: "All users, oldest first, with their last sign-in, host and number of agents",
    auth: "admin",
    query: pageQuery,
    answer: pageSchema(listedUserSchema),
    run: async ({ deps, query }) => listUsers(deps.db, query),
  }),
  route({
    method: "POST",
    path: "/v1/admin/users",
    summary: "Add a user",
    auth: "admin",
    body: createUserBody,
    status: 201,
    answer: userSchema,
    errors: ["conflict"],
    run: async ({ deps, source, body }) => createUser(deps, source, body.name, body.role),
  }),
  route({
    method: "PATCH",
    path: "/v1/admin/users/{id}",
    summary:
      "Disable or enable a user, at once everywhere, or change the role; cancelRuns ends what they have running too; limits are the user's own, null is the setting",
    auth: "admin",
    body: updateUserBody,
    answer: userSchema,
    errors: ["conflict"],
    run: async ({ deps, source, params, body }) => {
      if (body.limits) await setLimits(deps, source, params.id, body.limits);
      const user = await updateUser(deps, source, params.id, body);
      if (body.cancelRuns) await cancelRunsOf(deps, user.id);
      else if (body.limits) await tellHostOf(deps, user.id, { method: "GET", path: "/v1/workspace" });
      return user;
    },
  }),
  route({
    method: "DELETE",
    path: "/v1/admin/users/{id}",
    summary:
      "Delete a user for good, ?confirm being their name: signed out at once, runs ended, agents, triggers, conversations and files deleted, on a host that is away once it is back; what they cost stays in the sums, what they did in the audit; ?mayReturn=1, also of one who is deleted already, lets them sign in at the provider as a new user",
    auth: "admin",
    query: z.object({ confirm: z.string().max(100).optional(), mayReturn: z.enum(["1"]).optional() }),
    errors: ["conflict"],
    run: async ({ deps, c, source, params, query: { confirm = null, mayReturn } }) => {
      // Nobody finds it afterwards.
      const host = await findHostOfUser(deps.db, params.id);
      await deleteUser(deps, source, params.id, { confirm, mayReturn: mayReturn !== undefined });
      if (host) runAfterAnswer(c, deps, "end workspace", () => endWorkspace(deps, host, params.id));
    },
  }),
  route({
    method: "POST",
    path: "/v1/admin/users/{id}/tokens",
    summary: "Create an API token for a user; the token itself is shown once",
    auth: "admin",
    body: createTokenBody,
    status: 201,
    answer: createdTokenSchema,
    limit: "tokens",
    errors: ["conflict"],
    run: async ({ deps, source, params, body }) => {
      const user = await findUser(deps.db, params.id);
      if (!user) throw new AppError("not_found", "There is no such user.");
      const wanted = { userId: user.id, kind: "api", name: body.name, seconds: body.expiresInSeconds } as const;
      return issueToken(deps, { ...source, action: "token.created", detail: { user: user.name } }, wanted);
    },
  }),
  route({
    method: "POST",
    path: "/v1/admin/users/{id}/links",
    summary: "A link that signs this user in once, within an hour: to be sent to them alone",
    auth: "admin",
    status: 201,
    answer: signInLinkSchema,
    limit: "tokens",
    errors: ["conflict"],
    run: async ({ deps, source, params }) => createSignInLink(deps, source, params.id, linkMs.sent),
  }),
  route({
    method: "DELETE",
    path: "/v1/admin/users/{id}/sessions",
    summary: "Sign a user out of every browser, and end their unused sign-in links; API tokens go on",
    auth: "admin",
    run: async ({ deps, source, params }) => signOut(deps, source, params.id),
  }),
  route({
    method: "GET",
    path: "/v1/admin/use",
    summary: "What everybody's runs have cost, by day and user",
    auth: "admin",
    query: useQuery,
    answer: allUseSchema,
    run: async ({ deps, query }) => readAllUse(deps, query.days),
  }),
  route({
    method: "GET",
    path: "/v1/admin/audit",
    summary:
      "Who did what, on what, from where: newest first, kept for a year; of what is rare a page holds fewer than its limit, or none, and goes on by its cursor",
    auth: "admin",
    query: auditQuery,
    answer: pageSchema(auditSchema),
    run: async ({ deps, query }) => listAudit(deps.db, query),
  }),
];
