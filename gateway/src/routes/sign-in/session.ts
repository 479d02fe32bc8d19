/** Browser sessions, socket tickets, and who is calling. */
import { AppError, nullIfRefused } from "@berth/shared/errors";
import { type Me, meSchema, settingsFor, updateMeBody } from "@berth/shared/users";
import { z } from "zod";
import { audit } from "../../access/audit.ts";
import type { Deps } from "../../deps.ts";
import { findLiveHosts } from "../../hosts/placement.ts";
import { signTicket, unauthenticated } from "../../keys/jwt.ts";
import type { Limits } from "../../http/limits.ts";
import { isAllowedOrigin } from "../../http/origin.ts";
import { route } from "../../http/route.ts";
import { sessionCookie } from "../../http/cookies.ts";
import { attemptSignIn, openSession, spendSignIn, useSignInCode } from "../../access/sign-in.ts";
import { revokeToken, targetOf } from "../../access/tokens.ts";
import { findUser, updateMe } from "../../access/users.ts";
import { dismissNotice, findNotice, findWorkspace } from "../../hosts/workspaces.ts";
import { personOf, type AuditSource, type Authenticator, type Caller } from "../../http/caller.ts";

const sessionBody = z.union(
  [z.strictObject({ code: z.string().min(1).max(200) }), z.strictObject({ token: z.string().min(1).max(8192) })],
  "must have a code or a token, as text, and nothing else",
);

export const sessionRoutes = [
  route({
    method: "GET",
    path: "/session",
    summary:
      "For the sign-in page: whether an OpenID provider is set up (GET /session/oidc signs in there), and whether this browser is signed in",
    auth: "none",
    answer: z.object({ oidc: z.boolean(), signedIn: z.boolean() }),
    run: async ({ deps, c, authenticator }) => {
      const cookie = sessionCookie.read(deps.settings.BERTH_PUBLIC_URL, c.req.raw);
      const caller = cookie && (await authenticator.fromRequest(c.req.raw).catch(nullIfRefused));
      if (caller) c.set("cookie", caller.renewal);
      return { oidc: deps.settings.BERTH_OIDC_ISSUER !== undefined, signedIn: Boolean(caller) };
    },
  }),
  route({
    method: "POST",
    path: "/session",
    summary: "Sign a browser in: a one-time code or an API token becomes the session cookie",
    auth: "none",
    body: sessionBody,
    limit: "sign_in",
    errors: ["unauthenticated", "forbidden"],
    run: async ({ deps, c, authenticator, limits, source, body }) => {
      refuseForeignOrigin(deps, c.req.raw);
      const cookie = await attemptSignIn(deps, limits, source, "code" in body ? "link" : "token", () =>
        "code" in body ? useLink(deps, source, body.code) : keepToken(deps, authenticator, limits, source, body.token),
      );
      c.set("cookie", cookie);
    },
  }),
  route({
    method: "DELETE",
    path: "/session",
    summary: "Sign a browser out: the session ends and the cookie goes",
    auth: "none",
    errors: ["forbidden"],
    run: async ({ deps, c, authenticator, source }) => {
      refuseForeignOrigin(deps, c.req.raw);
      const { BERTH_PUBLIC_URL } = deps.settings;
      await endSession(deps, authenticator, source.address, sessionCookie.read(BERTH_PUBLIC_URL, c.req.raw));
      c.set("cookie", sessionCookie.set(BERTH_PUBLIC_URL, "", 0));
    },
  }),
  route({
    method: "POST",
    path: "/v1/tickets",
    summary: "A ticket that opens one socket within 30 seconds, sent as the second subprotocol",
    auth: "user",
    status: 201,
    answer: z.object({ ticket: z.string() }),
    burst: "tickets",
    limit: "tickets",
    run: async ({ deps, caller }) => {
      const claims = { sub: caller.user.id, tid: caller.token.id, texp: caller.token.expiresAt };
      return { ticket: await signTicket(deps.keyring, deps.settings.BERTH_PUBLIC_URL, claims, deps.now()) };
    },
  }),
  route({
    method: "GET",
    path: "/v1/me",
    summary: "The caller: user, role, limits, workspace",
    auth: "user",
    answer: meSchema,
    run: async ({ deps, caller }) => describeMe(deps, caller.user),
  }),
  route({
    method: "PATCH",
    path: "/v1/me",
    summary:
      "Set gitName and gitEmail: author and committer where a repository names none; null goes by the user's name",
    auth: "user",
    body: updateMeBody,
    answer: meSchema,
    limit: "changes",
    run: async ({ deps, source, caller, body }) => {
      const { gitName, gitEmail } = await updateMe(deps, source, caller.user, body);
      return describeMe(deps, { ...caller.user, gitName, gitEmail });
    },
  }),
  route({
    method: "DELETE",
    path: "/v1/me/notice",
    summary: "Dismiss the notice of /v1/me",
    auth: "user",
    run: async ({ deps, caller }) => dismissNotice(deps, caller.user.id),
  }),
];

async function describeMe({ settings, db, now }: Deps, caller: Caller["user"]): Promise<Me> {
  const { hostId, limits: own, ...user } = caller;
  const theirs = settingsFor(settings, own);
  const limits = {
    agents: theirs.BERTH_MAX_AGENTS,
    concurrentRuns: theirs.BERTH_MAX_RUNS,
    memoryBytes: theirs.BERTH_MEMORY_BYTES,
    cpus: theirs.BERTH_CPUS,
    diskBytes: theirs.BERTH_DISK_BYTES,
    dailyBudgetUsd: theirs.BERTH_DAILY_BUDGET_USD ?? null,
  };
  const workspace = await findWorkspace(db, settings, caller);
  const { demoModel } = await findLiveHosts(db, now(), hostId);
  return { user, role: user.role, limits, workspace, demoModel, notice: await findNotice(db, user.id) };
}

/** A page elsewhere may neither sign a browser in as somebody else nor sign it out. */
function refuseForeignOrigin({ settings }: Deps, request: Request): void {
  const origin = request.headers.get("origin");
  if (origin !== null && !isAllowedOrigin(settings, request, origin))
    throw new AppError("forbidden", "A browser signs in from the dashboard's own origin alone.");
}

/** The code of a printed link becomes a session. */
async function useLink(deps: Deps, source: AuditSource, code: string): Promise<string> {
  const userId = await useSignInCode(deps, code);
  const user = userId === null ? undefined : await findUser(deps.db, userId);
  if (!user || user.disabled) throw unauthenticated();
  return openSession(deps, source.address, user, "link");
}

/** The API token itself is the cookie, so that revoking it ends the session too. */
async function keepToken(
  deps: Deps,
  authenticator: Authenticator,
  limits: Limits,
  source: AuditSource,
  jwt: string,
): Promise<string> {
  const { user, token } = await authenticator.fromToken(jwt);
  if (token.kind === "provider") throw unauthenticated();
  await spendSignIn(limits, user.id);
  const actor = { kind: "token", id: user.id, name: user.name, tokenId: token.id } as const;
  await audit(deps, {
    ...source,
    actor,
    action: "sign_in.succeeded",
    target: targetOf(token.id),
    detail: { method: "token" },
  });
  return sessionCookie.set(deps.settings.BERTH_PUBLIC_URL, jwt, token.expiresAt - Math.floor(deps.now() / 1000));
}

async function endSession(
  deps: Deps,
  authenticator: Authenticator,
  address: string | null,
  jwt: string | null,
): Promise<void> {
  const caller = jwt === null ? null : await authenticator.fromToken(jwt).catch(nullIfRefused);
  if (caller?.token.kind !== "session") return;
  const actor = personOf(caller.user);
  await revokeToken(deps, { actor, address, action: "sign_out.succeeded" }, caller.user.id, caller.token.id);
}
