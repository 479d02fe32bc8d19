/** Signing a browser in: the session that is opened, attempts that fail, and the one-time codes of printed links. */
import { AppError } from "@berth/shared/errors";
import { randomText, sha256Hex } from "@berth/shared/ids";
import type { User } from "@berth/shared/users";
import { and, eq, gt, isNull } from "drizzle-orm";
import { networkOf } from "@berth/shared/bounds/network";
import { audit } from "./audit.ts";
import { isoTime } from "../data/database.ts";
import type { Deps } from "../deps.ts";
import type { Limits } from "../http/limits.ts";
import { signInCodes, usedTickets } from "../data/schema.ts";
import { sessionCookie, sessionSeconds } from "../http/cookies.ts";
import { issueToken } from "./tokens.ts";
import { ticketSeconds } from "../keys/jwt.ts";
import { personOf, type AuditSource } from "../http/caller.ts";

type Method = "link" | "token" | "oidc";

const codeMs = 10 * 60_000;

/** Opens a session of the user; the `set-cookie` line of it. */
export async function openSession(deps: Deps, address: string | null, user: User, method: Method): Promise<string> {
  const wanted = { userId: user.id, kind: "session", name: "browser", seconds: sessionSeconds } as const;
  const entry = { actor: personOf(user), address, action: "sign_in.succeeded", detail: { method } } as const;
  return sessionCookie(deps.settings.BERTH_PUBLIC_URL, (await issueToken(deps, entry, wanted)).token, sessionSeconds);
}

/** Runs an attempt to sign in. One that fails is written down and counted against its network, which pauses after too many. */
export async function attemptSignIn<T>(
  deps: Deps,
  limits: Limits,
  source: AuditSource,
  method: Method,
  attempt: () => Promise<T>,
): Promise<T> {
  const network = networkOf(source.address ?? "unknown");
  await limits.refusePaused("sign_in", network);
  try {
    return await attempt();
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== "unauthenticated") throw error;
    await limits.noteFailure("sign_in", network);
    await audit(deps, { ...source, action: "sign_in.failed", outcome: "refused", detail: { method } });
    throw error;
  }
}

/** Makes a code for the user. */
export async function createSignInCode({ db, now }: Pick<Deps, "db" | "now">, userId: string): Promise<string> {
  const code = randomText(32);
  await db.insert(signInCodes).values({ hash: await sha256Hex(code), userId, expiresAt: isoTime(now() + codeMs) });
  return code;
}

/** Uses a code up: its user's id, or null when it is unknown, old or used. */
export async function useSignInCode({ db, now }: Deps, code: string): Promise<string | null> {
  const isUsable = and(isNull(signInCodes.usedAt), gt(signInCodes.expiresAt, isoTime(now())));
  const [used] = await db
    .update(signInCodes)
    .set({ usedAt: isoTime(now()) })
    .where(and(eq(signInCodes.hash, await sha256Hex(code)), isUsable))
    .returning({ userId: signInCodes.userId });
  return used?.userId ?? null;
}

/** Uses a socket ticket up; false when it was used before. Two that come at once are told apart by the primary key. */
export async function useTicket({ db, now }: Deps, ticketId: string): Promise<boolean> {
  const entry = { id: ticketId, expiresAt: isoTime(now() + ticketSeconds * 1000) };
  const [used] = await db.insert(usedTickets).values(entry).onConflictDoNothing().returning({ id: usedTickets.id });
  return used !== undefined;
}
