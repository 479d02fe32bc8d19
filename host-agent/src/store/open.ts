/** Opening the host's database file, and the key beside it. The store takes any open database: one in memory serves as well. */
import { chmodSync } from "node:fs";
import { dirname, join } from "node:path";
import Database from "better-sqlite3";
import { isSealed } from "./migrations.ts";
import { createSealing, openKey, type Sealing } from "./sealing.ts";

export interface OpenDatabase {
  db: Database.Database;
  sealing: Sealing;
}

/** The database in this file and the key in `host.key` beside it, made if need be; what was committed survives a power cut. */
export function openDatabase(file: string): OpenDatabase {
  const db = new Database(file);
  // Prompts and results are in it; the files beside it take its mode.
  chmodSync(file, 0o600);
  db.pragma("journal_mode = WAL");
  db.pragma("synchronous = FULL");
  return { db, sealing: createSealing(openKey(join(dirname(file), "host.key"), isSealed(db))) };
}
