/**
 * Search: the user's runs by words of their prompt and result. The full-text index `run_words` is kept by triggers of the
 * database (migrations/0015_search.sql, docs/adr/0027); its rows stand in the order of time, each with its owner as a word of its own, so that
 * a search reads of the index what is the caller's and ends with its page.
 */
import { sql } from "drizzle-orm";
import { z } from "zod";
import type { Run } from "@berth/shared/resources";
import type { Database } from "../data/database.ts";
import { pageQuery, startOf, type Page } from "../http/paging.ts";
import { pageOfRuns } from "./runs.ts";

/** How many words of a query count. */
const mostWords = 6;

export const searchQuery = pageQuery.extend({ q: z.string().max(200) });

/** The runs that have all the words, newest first. A word also finds longer ones that begin with it, as Korean ones with their particles do. */
export async function searchRuns(db: Database, userId: string, query: z.infer<typeof searchQuery>): Promise<Page<Run>> {
  const words = termsOf(query.q);
  if (words === null) return { items: [], nextCursor: null };
  const match = `owner : "${hexOf(userId)}" AND {prompt result} : (${words})`;
  const { id, createdAt } = startOf(query);
  const after = sql`and w.rowid < coalesce((select words_id from runs where id = ${id}),
    (strftime('%s', ${createdAt}) || substr(${createdAt}, 21, 3)) * 1000000)`;
  const rows = await db.all<{ id: string; createdAt: string; bytes: number }>(sql`
    select r.id, r.created_at as "createdAt", octet_length(r.data) + octet_length(r.prompt) as bytes
    from run_words w cross join runs r on r.words_id = w.rowid
    where run_words match ${match} ${query.cursor === undefined ? sql`` : after} and r.user_id = ${userId}
    order by w.rowid desc limit ${query.limit + 1}`);
  return pageOfRuns(db, rows, query.limit);
}

/** The words as a query of FTS5: each quoted, so that whatever is typed is text and never syntax. Null without any. */
function termsOf(text: string): string | null {
  const words = text.normalize("NFC").match(/[\p{L}\p{N}][\p{L}\p{N}\p{M}]*/gu) ?? [];
  const terms = words.slice(0, mostWords).map((word) => `"${word}"*`);
  return terms.length === 0 ? null : terms.join(" AND ");
}

/** As the triggers write it, for the index tells neither case nor signs apart. */
function hexOf(text: string): string {
  return Array.from(new TextEncoder().encode(text), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
