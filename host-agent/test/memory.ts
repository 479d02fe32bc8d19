/** For tests: a store's database in memory, and one key for all of them. */
import Database from "better-sqlite3";
import type { OpenDatabase } from "../src/store/open.ts";
import { createSealing } from "../src/store/sealing.ts";

export const inMemory = (db: Database.Database = new Database(":memory:")): OpenDatabase => ({
  db,
  sealing: createSealing(Buffer.alloc(32, 7)),
});
