/** Lists in pages: keyset over (createdAt, id) behind an opaque cursor. */
import { AppError } from "@berth/shared/errors";
import { sql, type AnyColumn, type SQL } from "drizzle-orm";
import { base64url } from "jose";
import { z } from "zod";
import type { Database } from "../data/database.ts";

/** A number in a query or a header: digits alone, where JavaScript would also read `1e1`, `0x1` and nothing at all. */
export const digits = <T extends z.ZodType>(number: T) =>
  z.preprocess((text) => (typeof text === "string" && /^\d{1,15}$/.test(text) ? Number(text) : text), number);

export const pageQuery = z.object({
  limit: digits(z.number().int().min(1).max(200).default(50)),
  cursor: z.string().max(500).optional(),
});
export type PageQuery = z.infer<typeof pageQuery>;

export interface Page<T> {
  items: T[];
  nextCursor: string | null;
}

/** The schema of a list's answer. */
export function pageSchema<T extends z.ZodType>(item: T) {
  return z.object({ items: z.array(item), nextCursor: z.string().nullable() });
}

/** The condition for what comes after the cursor; undefined on the first page. Throws `invalid_request` for a cursor that is not ours. */
export function afterCursor(
  query: PageQuery,
  createdAt: AnyColumn,
  rowId: AnyColumn,
  direction: "oldest first" | "newest first",
): SQL | undefined {
  if (query.cursor === undefined) return undefined;
  const at = decodeCursor(query.cursor);
  return direction === "newest first"
    ? sql`(${createdAt}, ${rowId}) < (${at.createdAt}, ${at.id})`
    : sql`(${createdAt}, ${rowId}) > (${at.createdAt}, ${at.id})`;
}

/** Where a page begins that is read oldest first by a prepared query: behind the cursor, or before all that there is. */
export function startOf({ cursor }: PageQuery): Place {
  return cursor === undefined ? { createdAt: "", id: "" } : decodeCursor(cursor);
}

interface Place {
  id: string;
  createdAt: string;
}

/** What a page is of: `from … where …`, which an index answers in the order of (created_at, id), and what must hold of those rows. */
interface Looked<Row> {
  sources: SQL[];
  filter: SQL[];
  /** Read for what is picked alone, which is called `seen`. */
  columns: SQL<Row>;
}

/**
 * The rows of a page, newest first, and one more if there is one. Of rows that few fit among very many a page ends early,
 * even empty, and `endsAt` is the cursor from which the next goes on: so many entries of an index take some milliseconds.
 */
export async function lookThrough<Row extends object>(
  db: Database,
  { sources, filter, columns }: Looked<Row>,
  query: PageQuery,
  mostLookedThrough = 10_000,
): Promise<{ rows: (Row & Place)[]; endsAt: string | null }> {
  const most = filter.length === 0 ? query.limit + 1 : mostLookedThrough;
  const newest = sql`order by created_at desc, id desc limit ${most}`;
  const seen = (shown: SQL) => {
    const each = sources.map((source) => sql`select * from (select ${shown} ${source} ${newest})`);
    return sql`(select * from (${sql.join(each, sql` union `)}) ${newest}) seen`;
  };
  const fits = sql.join([sql`true`, ...filter], sql` and `);
  const rows = await db.all<Row & Place>(sql`
    select id, created_at as "createdAt", ${columns} from ${seen(sql`id, created_at, ${fits} as fits`)}
    where fits limit ${query.limit + 1}`);
  if (filter.length === 0 || rows.length > query.limit) return { rows, endsAt: null };
  const [last] = await db.all<Place>(sql`
    select id, created_at as "createdAt" from ${seen(sql`id, created_at`)} limit 1 offset ${most - 1}`);
  return { rows, endsAt: last ? encodeCursor(last) : null };
}

/** Makes a page of rows that were read with a limit one higher than asked for. */
export function toPage<R extends { id: string; createdAt: string }, T>(
  rows: R[],
  limit: number,
  present: (row: R) => T,
): Page<T> {
  const shown = rows.slice(0, limit);
  const last = rows.length > limit ? shown.at(-1) : undefined;
  return { items: shown.map(present), nextCursor: last ? encodeCursor(last) : null };
}

const encodeCursor = ({ createdAt, id }: Place) => base64url.encode(JSON.stringify([createdAt, id]));

function decodeCursor(cursor: string): Place {
  try {
    const parts: unknown = JSON.parse(new TextDecoder().decode(base64url.decode(cursor)));
    const [createdAt, rowId] = z.tuple([z.string(), z.string()]).parse(parts);
    return { createdAt, id: rowId };
  } catch {
    const message = "must be a cursor of an earlier answer";
    throw new AppError("invalid_request", `The query does not fit: cursor: ${message}.`, {
      errors: [{ path: "cursor", message }],
    });
  }
}
