/** API tokens and browser sessions: a row for each, so that each can be revoked; the JWT itself is shown once and kept nowhere. */
import { AppError } from "@berth/shared/errors";
import { newId } from "@berth/shared/ids";
import type { CreatedToken, Token } from "@berth/shared/users";
import { and, asc, eq, gt, isNull, sql } from "drizzle-orm";
import { auditChange, type NewAuditEntry } from "./audit.ts";
import { columnsOf, isoTime, type Database } from "../data/database.ts";
import type { Deps } from "../deps.ts";
import { signToken } from "../keys/jwt.ts";
import { afterCursor, toPage, type Page, type PageQuery } from "../http/paging.ts";
import { tokens } from "../data/schema.ts";
import type { AuditSource } from "../http/caller.ts";

const shown = columnsOf(tokens, "id", "name", "createdAt", "expiresAt", "lastUsedAt");

/** What issuing a token needs of the app; the command line has it too. */
type Issuer = Pick<Deps, "atomic" | "keyring" | "settings" | "now">;

interface NewToken {
  userId: string;
  kind: "api" | "session";
  name: string;
  seconds: number;
}

/** Stores a token and signs its JWT; `entry` says how it came about. Throws `conflict` when the user is disabled. */
export async function issueToken(
  issuer: Issuer,
  entry: AuditSource & Pick<NewAuditEntry, "action" | "detail">,
  wanted: NewToken,
): Promise<CreatedToken> {
  const now = issuer.now();
  const expiresAt = Math.floor(now / 1000) + wanted.seconds;
  const row = {
    id: newId("tok"),
    name: wanted.name,
    createdAt: isoTime(now),
    expiresAt: isoTime(expiresAt * 1000),
    lastUsedAt: null,
  };
  const target = { id: row.id, name: row.name };
  const detail = { userId: wanted.userId, expiresAt: row.expiresAt, ...entry.detail };
  const [stored] = await issuer.atomic([
    sql`insert into tokens (id, user_id, kind, name, created_at, expires_at)
      select ${row.id}, id, ${wanted.kind}, ${row.name}, ${row.createdAt}, ${row.expiresAt}
      from users where id = ${wanted.userId} and not disabled returning id`,
    auditChange(now, { ...entry, target, detail }),
  ]);
  if (stored?.length !== 1) throw new AppError("conflict", "This user is disabled.");
  const claims = { userId: wanted.userId, tokenId: row.id, expiresAt };
  return { ...row, token: await signToken(issuer.keyring, issuer.settings.BERTH_PUBLIC_URL, claims, now) };
}

/** The user's API tokens that can still be used. */
export async function listTokens(db: Database, now: number, userId: string, query: PageQuery): Promise<Page<Token>> {
  const usable = and(eq(tokens.kind, "api"), isNull(tokens.revokedAt), gt(tokens.expiresAt, isoTime(now)));
  const rows = await db
    .select(shown)
    .from(tokens)
    .where(and(eq(tokens.userId, userId), usable, afterCursor(query, tokens.createdAt, tokens.id, "oldest first")))
    .orderBy(asc(tokens.createdAt), asc(tokens.id))
    .limit(query.limit + 1);
  return toPage(rows, query.limit, (row) => row);
}

/** The token as the audit names it. */
export const targetOf = (id: string) => ({ id, name: sql`(select name from tokens where id = ${id})` });

/** Revokes one token of the user, at once and for ever. Throws `not_found`. */
export async function revokeToken(
  { atomic, now }: Pick<Deps, "atomic" | "now">,
  entry: AuditSource & Pick<NewAuditEntry, "action">,
  userId: string,
  tokenId: string,
): Promise<void> {
  const [revoked] = await atomic([
    sql`update tokens set revoked_at = ${isoTime(now())}
      where id = ${tokenId} and user_id = ${userId} and revoked_at is null returning name`,
    auditChange(now(), { ...entry, target: targetOf(tokenId), detail: { userId } }),
  ]);
  if (revoked?.length !== 1) throw new AppError("not_found", "There is no such token.");
}
