/** D1 as the core's database: Drizzle over it, and a batch for statements that belong together. */
import { drizzle } from "drizzle-orm/d1";
import { SQLiteAsyncDialect } from "drizzle-orm/sqlite-core";
import type { Atomic, Database } from "../data/database.ts";
import * as schema from "../data/schema.ts";

/** What we use of a D1 binding. */
export interface D1 {
  prepare(sql: string): D1Statement;
  batch(statements: D1Statement[]): Promise<D1Result[]>;
}
export interface D1Statement {
  bind(...values: unknown[]): D1Statement;
}
export interface D1Result {
  results?: Record<string, unknown>[];
}

/** The core's database and its way to apply several statements at once: one round trip, one transaction. */
export function openD1(d1: D1): { db: Database; atomic: Atomic } {
  const db = drizzle(d1 as never, { schema }) as unknown as Database;
  const dialect = new SQLiteAsyncDialect();
  const atomic: Atomic = async (statements) => {
    const queries = statements.map((one) => dialect.sqlToQuery(one));
    const results = await d1.batch(queries.map(({ sql, params }) => d1.prepare(sql).bind(...params)));
    return results.map(({ results: rows = [] }) => rows);
  };
  return { db, atomic };
}
