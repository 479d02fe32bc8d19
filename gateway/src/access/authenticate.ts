/** Who is calling: bearer token, session cookie or socket ticket, held against the database on every call. */
import { AppError } from "@berth/shared/errors";
import { and, eq, isNull, sql } from "drizzle-orm";
import { columnsOf, isoTime, prepareOnce, rowsOf } from "../data/database.ts";
import type { Deps } from "../deps.ts";
import { createTokenVerifier, signToken, unauthenticated, verifyTicket, type TokenClaims } from "../keys/jwt.ts";
import { isOwnOrigin } from "../http/origin.ts";
import { ensureIdentity } from "./identities.ts";
import { createProviderVerifier } from "./provider/token.ts";
import type { Provider } from "./provider/discovery.ts";
import { remember } from "../data/remember.ts";
import { tokens, users } from "../data/schema.ts";
import type { Authenticator, Caller } from "../http/caller.ts";
import { sessionCookie, sessionSeconds } from "../http/cookies.ts";
import { useTicket } from "./sign-in.ts";
import { noteUse } from "./token-uses.ts";
import { findUserRow, userColumns, type UserRow } from "./users.ts";

export function createAuthenticator(deps: Deps, provider: Provider | null): Authenticator {
  const issuer = deps.settings.BERTH_PUBLIC_URL;
  const verifyToken = createTokenVerifier(deps.keyring, issuer);
  const verifyForeign = provider && createProviderVerifier(provider);

  const fromClaims = async ({ userId, tokenId, expiresAt }: TokenClaims): Promise<Caller> => {
    const row = await findCaller(deps, tokenId, userId);
    if (!row || row.disabled || row.revokedAt !== null) throw unauthenticated();
    noteUse(deps, tokenId, row.lastUsedAt);
    return { user: toUser(row), token: { id: tokenId, kind: row.kind, expiresAt }, renewal: null };
  };
  const fromProvider = async (user: UserRow | undefined, expiresAt: number): Promise<Caller> => {
    if (!user || user.disabled) throw unauthenticated();
    return { user: toUser(user), token: { id: null, kind: "provider", expiresAt }, renewal: null };
  };
  const fromToken = async (jwt: string, address: string | null = null) => {
    if (!verifyForeign || !verifyForeign.isClaimed(jwt)) return fromClaims(await verifyToken(jwt, deps.now()));
    const { profile, expiresAt } = await verifyForeign.verify(jwt, deps.now());
    return fromProvider(await ensureIdentity(deps, address, profile), expiresAt);
  };

  const look: Authenticator["look"] = async (request, address) => {
    const header = request.headers.get("authorization");
    if (header !== null) return fromToken(/^Bearer +([\w.-]+)$/i.exec(header)?.[1] ?? "", address);
    const caller = await fromToken(sessionCookie.read(issuer, request) ?? "", address);
    if (!isSafe(request) && !isOwnOrigin(deps.settings, request))
      throw new AppError("forbidden", "A call with the session cookie must come from the dashboard's own origin.");
    return caller;
  };

  return {
    fromToken,
    look,
    async fromTicket(ticket) {
      const { ticketId, userId, tokenId, expiresAt } = await verifyTicket(deps.keyring, issuer, ticket, deps.now());
      if (!(await useTicket(deps, ticketId))) throw unauthenticated();
      if (tokenId !== null) return fromClaims({ userId, tokenId, expiresAt });
      return fromProvider(await findUserRow(deps.db, userId), expiresAt);
    },
    async fromRequest(request, address) {
      const caller = await look(request, address);
      if (request.headers.has("authorization")) return caller;
      return { ...caller, renewal: await renewSession(deps, caller) };
    },
  };
}

const toUser = ({ id, name, role, hostId, createdAt, gitName, gitEmail, limits }: UserRow): Caller["user"] => ({
  id,
  name,
  role,
  hostId,
  createdAt,
  gitName,
  gitEmail,
  limits,
});
const isSafe = (request: Request) => request.method === "GET" || request.method === "HEAD";

const callerColumns = { ...userColumns, ...columnsOf(tokens, "kind", "revokedAt", "lastUsedAt") };
const toCallerRows = rowsOf(callerColumns);
/** The user, and whether the credential still stands. */
const selectCaller = prepareOnce((db) =>
  db
    .select(callerColumns)
    .from(tokens)
    .innerJoin(users, eq(users.id, tokens.userId))
    .where(and(eq(tokens.id, sql.placeholder("tokenId")), eq(users.id, sql.placeholder("userId"))))
    .prepare(),
);
const findCaller = remember(async (db, tokenId: string, userId: string) => {
  const [row] = toCallerRows(await selectCaller(db).values({ tokenId, userId }));
  return row ?? null;
});

/** A session that is more than half gone lives its whole time again: same token id, so that one revocation ends all of it. */
async function renewSession({ db, settings, keyring, now }: Deps, { token, user }: Caller): Promise<string | null> {
  const seconds = Math.floor(now() / 1000);
  if (token.kind !== "session" || token.expiresAt - seconds > sessionSeconds / 2) return null;
  const expiresAt = seconds + sessionSeconds;
  const [renewed] = await db
    .update(tokens)
    .set({ expiresAt: isoTime(expiresAt * 1000) })
    .where(and(eq(tokens.id, token.id), isNull(tokens.revokedAt)))
    .returning({ id: tokens.id });
  if (!renewed) return null;
  const issuer = settings.BERTH_PUBLIC_URL;
  const jwt = await signToken(keyring, issuer, { userId: user.id, tokenId: token.id, expiresAt }, now());
  return sessionCookie.set(issuer, jwt, sessionSeconds);
}
