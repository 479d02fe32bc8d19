/** Admin: users, their tokens, the audit. */
import { AppError } from "@berth/shared/errors";
import { id } from "@berth/shared/resources";
import { z } from "zod";
import { auditQuery, auditSchema, listAudit } from "../audit.ts";
import { pageQuery, pageSchema } from "../page.ts";
import { route } from "../route.ts";
import { createdTokenSchema, createTokenBody, issueToken } from "../tokens.ts";
import { createUser, createUserBody, findUser, listUsers, updateUser, updateUserBody, userSchema } from "../users.ts";

const params = z.object({ id });

export const adminRoutes = [
  route({
    method: "GET",
    path: "/v1/admin/users",
    summary: "All users, oldest first",
    auth: "admin",
    query: pageQuery,
    status: 200,
    answer: pageSchema(userSchema),
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
    run: async ({ deps, body }) => createUser(deps.db, deps.now(), body.name, body.role),
  }),
  route({
    method: "PATCH",
    path: "/v1/admin/users/{id}",
    summary: "Disable or enable a user, or change the role",
    auth: "admin",
    params,
    body: updateUserBody,
    status: 200,
    answer: userSchema,
    errors: ["not_found", "conflict"],
    run: async ({ deps, params, body }) => updateUser(deps.db, params.id, body),
  }),
  route({
    method: "POST",
    path: "/v1/admin/users/{id}/tokens",
    summary: "Create an API token for a user; the token itself is shown once",
    auth: "admin",
    params,
    body: createTokenBody,
    status: 201,
    answer: createdTokenSchema,
    errors: ["not_found"],
    run: async ({ deps, params, body }) => {
      const user = await findUser(deps.db, params.id);
      if (!user) throw new AppError("not_found", "There is no such user.");
      return issueToken(deps, { userId: user.id, kind: "api", name: body.name, seconds: body.expiresInSeconds });
    },
  }),
  route({
    method: "GET",
    path: "/v1/admin/audit",
    summary: "Who did what, on what, from where: newest first, kept for a year",
    auth: "admin",
    query: auditQuery,
    status: 200,
    answer: pageSchema(auditSchema),
    run: async ({ deps, query }) => listAudit(deps.db, query),
  }),
];
