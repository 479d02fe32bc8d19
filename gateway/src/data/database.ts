/** What the core knows of its database: Drizzle over SQLite, sync or async, and one way to apply several statements together. */
import { AppError } from "@berth/shared/errors";
import { Column, is, type SQL } from "drizzle-orm";
import type { SelectResultFields } from "drizzle-orm/query-builders/select.types";
import type { BaseSQLiteDatabase } from "drizzle-orm/sqlite-core";
import type * as schema from "./schema.ts";

/** better-sqlite3 and D1 behind one type. Results of `run()` differ between them: use RETURNING. At most 100 bound values a statement. */
export type Database = BaseSQLiteDatabase<"sync" | "async", unknown, typeof schema>;

/**
 * Applies all statements or none, in order, and answers the rows that each returned. There are no interactive transactions: D1 has none.
 * `copy`: whoever owns what is stored does it again where a power cut takes it, so that nothing waits for the disk.
 */
export type Atomic = (statements: SQL[], of?: "copy") => Promise<Record<string, unknown>[][]>;

/** A query of hot paths, built and prepared once for each database: building one costs ten times what running it does. */
export function prepareOnce<Query extends object>(build: (db: Database) => Query): (db: Database) => Query {
  const prepared = new WeakMap<Database, Query>();
  return (db) => {
    const known = prepared.get(db);
    if (known) return known;
    const query = build(db);
    prepared.set(db, query);
    return query;
  };
}

/**
 * What `values()` of a prepared query answers, as objects that its flat selection names: the same that Drizzle makes, at a
 * fifth of what asking each column of each row for its kind takes.
 */
export function rowsOf<Selection extends Record<string, Column | SQL>>(selection: Selection) {
  const columns = Object.entries(selection).map(([name, field]) => ({ name, field: is(field, Column) ? field : null }));
  const toRow = (values: unknown[]) => {
    const row: Record<string, unknown> = {};
    for (let at = 0; at < columns.length; at++) {
      const { name, field } = columns[at]!;
      const value = values[at];
      row[name] = field && value !== null ? field.mapFromDriverValue(value) : value;
    }
    return row as SelectResultFields<Selection>;
  };
  return (rows: unknown[][]) => rows.map(toRow);
}

/** These columns of a table, as a selection. */
export function columnsOf<Table extends object, Name extends keyof Table>(
  table: Table,
  ...names: Name[]
): Pick<Table, Name> {
  return Object.fromEntries(names.map((name) => [name, table[name]])) as Pick<Table, Name>;
}

/** Whether the database refused the statement because a unique value is taken already. */
export const isUniqueViolation = (error: unknown) => says(error, /UNIQUE constraint failed|SQLITE_CONSTRAINT_UNIQUE/);

/** What a person is told where nothing can be written; null of any other failure. What is there can be read all the while. */
export function tellUnwritable(error: unknown): AppError | null {
  if (!says(error, /SQLITE_(FULL|READONLY)|disk is full|readonly database/)) return null;
  const detail =
    "Nothing can be saved now: the disk of the gateway is full, or may not be written to. What was saved is there; whoever runs this Berth must make room.";
  return new AppError("internal", detail, { retryAfter: 30 }, { cause: error });
}

function says(error: unknown, what: RegExp): boolean {
  for (let at = error; at instanceof Error; at = at.cause)
    if (what.test(`${at.message} ${"code" in at ? String(at.code) : ""}`)) return true;
  return false;
}

/** A time as the tables have it: ISO 8601 UTC with milliseconds. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
