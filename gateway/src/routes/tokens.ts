/** The user's own API tokens. */
import { createdTokenSchema, createTokenBody, tokenSchema } from "@berth/shared/users";
import { pageQuery, pageSchema } from "../http/paging.ts";
import { route } from "../http/route.ts";
import { issueToken, listTokens, revokeToken } from "../access/tokens.ts";

export const tokenRoutes = [
  route({
    method: "GET",
    path: "/v1/tokens",
    summary: "The user's API tokens that can still be used",
    auth: "user",
    query: pageQuery,
    answer: pageSchema(tokenSchema),
    run: async ({ deps, caller, query }) => listTokens(deps.db, deps.now(), caller.user.id, query),
  }),
  route({
    method: "POST",
    path: "/v1/tokens",
    summary: "Create an API token; the token itself is shown once",
    auth: "user",
    body: createTokenBody,
    status: 201,
    answer: createdTokenSchema,
    limit: ["tokens", "changes"],
    run: async ({ deps, source, caller, body }) => {
      const wanted = { userId: caller.user.id, kind: "api", name: body.name, seconds: body.expiresInSeconds } as const;
      return issueToken(deps, { ...source, action: "token.created" }, wanted);
    },
  }),
  route({
    method: "DELETE",
    path: "/v1/tokens/{id}",
    summary: "Revoke a token at once",
    auth: "user",
    run: async ({ deps, source, caller, params }) =>
      revokeToken(deps, { ...source, action: "token.revoked" }, caller.user.id, params.id),
  }),
];
