/**
 * What is stored of one user's words and what came of them is bounded by the day (UTC): messages, deliveries, results. It is kept for
 * `BERTH_RETENTION_DAYS` here, and the messages at the user's host too. Triggers of the database count it.
 */
import { AppError } from "@berth/shared/errors";
import { sql, type SQL } from "drizzle-orm";
import { isoTime } from "../data/database.ts";
import type { Deps } from "../deps.ts";

const dayMs = 24 * 3600_000;

/** Whether these are too many today beside what is stored of the user's. What is still under way is not counted, a run's result for one. */
export function isBeyondDay(
  { settings, now }: Pick<Deps, "settings" | "now">,
  userId: string,
  texts: Uint8Array[],
): SQL {
  const bytes = texts.reduce((sum, { length }) => sum + length, 0);
  const today = isoTime(now()).slice(0, 10);
  return sql`exists (select 1 from users s where s.id = ${userId} and s.stored_on = ${today}
    and s.stored_bytes + ${bytes} > ${settings.BERTH_DAILY_TEXT_BYTES})`;
}

/** Throws `rate_limited`. */
export async function refuseBeyondDay(deps: Deps, userId: string, text: string): Promise<void> {
  const rows = await deps.db.all(sql`select 1 where ${isBeyondDay(deps, userId, [encode(text)])}`);
  if (rows.length > 0) throw dayLimit(deps);
}

export const encode = (text: string) => new TextEncoder().encode(text);

export function dayLimit({ settings, now }: Pick<Deps, "settings" | "now">): AppError {
  const limit = settings.BERTH_DAILY_TEXT_BYTES;
  const retryAfter = Math.ceil((dayMs - (now() % dayMs)) / 1000);
  const detail = `The ${limit} bytes of text that are kept of a user and day (UTC) are full: send less, or this tomorrow.`;
  return new AppError("rate_limited", detail, { limit, retryAfter });
}
