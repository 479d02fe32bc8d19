/** API tokens and browser sessions: a row for each, so that each can be revoked; the JWT itself is shown once and kept nowhere. */
import { AppError } from "@berth/shared/errors";
import { newId } from "@berth/shared/ids";
import { id, plainText, time } from "@berth/shared/resources";
import { and, asc, eq, gt, isNull } from "drizzle-orm";
import { z } from "zod";
import { isoTime, type Database } from "./database.ts";
import type { Deps } from "./deps.ts";
import { signToken } from "./jwt.ts";
import { afterCursor, toPage, type Page, type PageQuery } from "./page.ts";
import { tokens } from "./schema.ts";

export const tokenSchema = z.object({
  id,
  name: z.string(),
  createdAt: time,
  expiresAt: time,
  lastUsedAt: time.nullable(),
});
export type Token = z.infer<typeof tokenSchema>;
/** A new token with its JWT, which no later answer shows. */
export const createdTokenSchema = tokenSchema.extend({ token: z.string() });

const day = 24 * 3600;
export const createTokenBody = z.strictObject({
  name: plainText.pipe(z.string().trim().min(1).max(64)),
  expiresInSeconds: z
    .int()
    .min(60)
    .max(366 * day)
    .default(30 * day),
});

const shown = {
  id: tokens.id,
  name: tokens.name,
  createdAt: tokens.createdAt,
  expiresAt: tokens.expiresAt,
  lastUsedAt: tokens.lastUsedAt,
};

/** What issuing a token needs of the app; the command line has it too. */
export type Issuer = Pick<Deps, "db" | "keyring" | "settings" | "now">;

export interface NewToken {
  userId: string;
  kind: "api" | "session";
  name: string;
  seconds: number;
}

/** Stores a token and signs its JWT. */
export async function issueToken(issuer: Issuer, wanted: NewToken): Promise<z.infer<typeof createdTokenSchema>> {
  const now = issuer.now();
  const expiresAt = Math.floor(now / 1000) + wanted.seconds;
  const row = {
    id: newId("tok"),
    name: wanted.name,
    createdAt: isoTime(now),
    expiresAt: isoTime(expiresAt * 1000),
    lastUsedAt: null,
  };
  await issuer.db.insert(tokens).values({ ...row, userId: wanted.userId, kind: wanted.kind });
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

/** Revokes one token of the user, at once and for ever. Throws `not_found`. */
export async function revokeToken(db: Database, now: number, userId: string, tokenId: string): Promise<void> {
  const [revoked] = await db
    .update(tokens)
    .set({ revokedAt: isoTime(now) })
    .where(and(eq(tokens.id, tokenId), eq(tokens.userId, userId), isNull(tokens.revokedAt)))
    .returning({ id: tokens.id });
  if (!revoked) throw new AppError("not_found", "There is no such token.");
}
