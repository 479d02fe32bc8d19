/** Opening the host's database file, and the key beside it. The store takes any open database: one in memory serves as well. */
import { chmodSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { dirname, join } from "node:path";
import Database from "better-sqlite3";
import { isSealed } from "./migrations.ts";
import { createSealing, openKey, type Sealing } from "./sealing.ts";

export interface OpenDatabase {
  db: Database.Database;
  sealing: Sealing;
  /** Of a database in memory there is none. */
  log?: WriteAheadLog;
}
/** What SQLite appends to; before it goes into the database SQLite syncs both. */
export interface WriteAheadLog {
  /** Resolves once what was written to it before is on disk. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** The database in this file and the key in `host.key` beside it, made if need be; what was committed survives a power cut. */
export function openDatabase(file: string): OpenDatabase {
  const db = new Database(file);
  // Prompts and results are in it; the files beside it take its mode.
  chmodSync(file, 0o600);
  db.pragma("journal_mode = WAL");
  db.pragma("synchronous = FULL");
  const sealing = createSealing(openKey(join(dirname(file), "host.key"), isSealed(db)));
  return { db, sealing, log: writeAheadLog(`${file}-wal`) };
}

/** The file is there once anything was written, for as long as the database is open. */
function writeAheadLog(path: string): WriteAheadLog {
  let file: FileHandle | undefined;
  return {
    async sync() {
      file ??= await open(path, "r");
      await file.datasync();
    },
    close: async () => file?.close(),
  };
}
