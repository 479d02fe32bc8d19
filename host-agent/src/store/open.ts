/** Opening the host's database file. The store takes any open database: one in memory serves as well. */
import { chmodSync } from "node:fs";
import Database from "better-sqlite3";

/** The database in this file, made if need be; what was committed survives a power cut. */
export function openDatabase(file: string): Database.Database {
  const db = new Database(file);
  // Values of environments are in it; the files beside it take its mode.
  chmodSync(file, 0o600);
  db.pragma("journal_mode = WAL");
  db.pragma("synchronous = FULL");
  return db;
}
