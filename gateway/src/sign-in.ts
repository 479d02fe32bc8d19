/** One-time sign-in codes: what a printed link carries. Stored by hash, good for 10 minutes, used by one conditional update. */
import { randomText, sha256Hex } from "@berth/shared/ids";
import { and, eq, gt, isNull } from "drizzle-orm";
import { isoTime, type Database } from "./database.ts";
import { signInCodes } from "./schema.ts";

const codeMs = 10 * 60_000;

/** Makes a code for the user. */
export async function createSignInCode(db: Database, now: number, userId: string): Promise<string> {
  const code = randomText(32);
  await db.insert(signInCodes).values({ hash: await sha256Hex(code), userId, expiresAt: isoTime(now + codeMs) });
  return code;
}

/** Uses a code up: its user's id, or null when it is unknown, old or used. */
export async function useSignInCode(db: Database, now: number, code: string): Promise<string | null> {
  const isUsable = and(isNull(signInCodes.usedAt), gt(signInCodes.expiresAt, isoTime(now)));
  const [used] = await db
    .update(signInCodes)
    .set({ usedAt: isoTime(now) })
    .where(and(eq(signInCodes.hash, await sha256Hex(code)), isUsable))
    .returning({ userId: signInCodes.userId });
  return used?.userId ?? null;
}
