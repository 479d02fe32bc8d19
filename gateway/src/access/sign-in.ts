/** Signing a browser in: the session that is opened, attempts that fail, and the one-time codes of links. */
import { AppError } from "@berth/shared/errors";
import { randomText, sha256Hex } from "@berth/shared/ids";
import type { User } from "@berth/shared/users";
import { and, eq, gt, isNull, sql } from "drizzle-orm";
import { networkOf } from "@berth/shared/bounds/network";
import { audit, auditChange } from "./audit.ts";
import { isoTime } from "../data/database.ts";
import type { Deps } from "../deps.ts";
import type { Limits } from "../http/limits.ts";
import { signInCodes, users } from "../data/schema.ts";
import { sessionCookie, sessionSeconds } from "../http/cookies.ts";
import { issueToken } from "./tokens.ts";
import { findUser } from "./users.ts";
import { ticketSeconds } from "../keys/jwt.ts";
import { personOf, type AuditSource } from "../http/caller.ts";

type Method = "link" | "token" | "oidc";

/** Opens a session of the user; the `set-cookie` line of it. */
export async function openSession(deps: Deps, address: string | null, user: User, method: Method): Promise<string> {
  const wanted = { userId: user.id, kind: "session", name: "browser", seconds: sessionSeconds } as const;
  const entry = { actor: personOf(user), address, action: "sign_in.succeeded", detail: { method } } as const;
  const { token } = await issueToken(deps, entry, wanted);
  await deps.db
    .update(users)
    .set({ lastSignInAt: isoTime(deps.now()) })
    .where(eq(users.id, user.id))
    .returning({ id: users.id });
  return sessionCookie.set(deps.settings.BERTH_PUBLIC_URL, token, sessionSeconds);
}

/** Runs an attempt to sign in. One that fails is counted against its network, which pauses after too many, and written down, unless strangers on many networks bring too many. */
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
    if (await limits.mayWriteDown())
      await audit(deps, { ...source, action: "sign_in.failed", outcome: "refused", detail: { method } });
    throw error;
  }
}

/** Counts a sign-in of this user, for each is written down: beside their other changes, so that those keep nobody out. Throws `rate_limited`. */
export const spendSignIn = (limits: Limits, userId: string): Promise<void> =>
  limits.spendKey("changes", `in ${userId}`);

/** How long a link is good that its reader made at the gateway's machine, and one that an admin sends to somebody. */
export const linkMs = { printed: 10 * 60_000, sent: 60 * 60_000 };

/** A one-time link that signs this user in, written down. Throws `not_found`, and `conflict` for a user who is disabled. */
export async function createSignInLink(
  { db, atomic, now, settings }: Pick<Deps, "db" | "atomic" | "now" | "settings">,
  source: AuditSource,
  userId: string,
  goodForMs: number,
): Promise<{ url: string; expiresAt: string }> {
  const user = await findUser(db, userId);
  if (!user) throw new AppError("not_found", "There is no such user.");
  const code = randomText(32);
  const expiresAt = isoTime(now() + goodForMs);
  const target = { id: user.id, name: user.name };
  const [made] = await atomic([
    sql`insert into sign_in_codes (hash, user_id, expires_at)
      select ${await sha256Hex(code)}, id, ${expiresAt} from users where id = ${userId} and not disabled returning user_id`,
    auditChange(now(), { ...source, action: "sign_in_link.created", target, detail: { expiresAt } }),
  ]);
  if (made?.length !== 1) throw new AppError("conflict", "This user is disabled; enable it first.");
  // In the fragment: no proxy's log has it, and what looks at a link before its reader does sends no fragment.
  return { url: `${settings.BERTH_PUBLIC_URL}/#code=${code}`, expiresAt };
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

/**
 * Uses a socket ticket up; false when it was used before. Two that come at once are told apart by the primary key. It waits for no disk:
 * when a machine is back after a power cut, a ticket of before is mostly over. Each takes two away that are over: they come faster
 * than the retention goes.
 */
export async function useTicket({ atomic, now }: Deps, ticketId: string): Promise<boolean> {
  const expiresAt = isoTime(now() + ticketSeconds * 1000);
  const [used] = await atomic(
    [
      sql`insert into used_tickets (id, expires_at) values (${ticketId}, ${expiresAt}) on conflict do nothing returning id`,
      sql`delete from used_tickets where id in (select id from used_tickets where expires_at < ${isoTime(now())} limit 2)`,
    ],
    "copy",
  );
  return used!.length > 0;
}
