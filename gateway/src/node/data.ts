/** The data directory on Node: signing key, database, migrations. The command line opens it too, while a gateway runs on it. */
import { makeDataDir, makeDirectory } from "@berth/shared/node/directory";
import { takeLock } from "@berth/shared/node/lock";
import { withFixedPlan } from "@berth/shared/node/fixed-plan";
import { syncDirectory } from "@berth/shared/node/durable-file";
import type { Settings } from "@berth/shared/settings";
import Sqlite from "better-sqlite3";
import { drizzle } from "drizzle-orm/better-sqlite3";
import { migrate } from "drizzle-orm/better-sqlite3/migrator";
import type { SQL } from "drizzle-orm";
import { SQLiteSyncDialect } from "drizzle-orm/sqlite-core";
import type { JWK } from "jose";
import { randomUUID } from "node:crypto";
import { chmodSync, existsSync, linkSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Atomic, Database } from "../data/database.ts";
import { createSigningJwk, importKeyring, type Keyring } from "../keys/keyring.ts";
import * as schema from "../data/schema.ts";

export interface Data {
  db: Database;
  atomic: Atomic;
  keyring: Keyring;
  close(): void;
}

const keptStatements = 200;

/** Opens everything in the data directory, and makes what is missing. */
export async function openData(settings: Settings): Promise<Data> {
  const dir = makeDataDir("BERTH_DATA_DIR", settings.BERTH_DATA_DIR, 0o700);
  chmodSync(dir, 0o700);
  makeDirectory(join(dir, "keys"), 0o700);
  const path = signingKeysPath(settings);
  if (!existsSync(path)) await makeSigningKey(path);
  const keyring = await importKeyring(readSigningKeys(path));
  return { keyring, ...openDatabase(join(dir, "gateway.sqlite")) };
}

/** Opens the database file and brings it up to date. */
export function openDatabase(path: string): Omit<Data, "keyring"> {
  const file = new Sqlite(path, { timeout: 5000 });
  chmodSync(path, 0o600);
  file.pragma("journal_mode = WAL");
  // FULL: what was answered survives a power cut too; a commit costs 0.2 ms more than with NORMAL.
  file.pragma("synchronous = FULL");
  file.pragma("foreign_keys = ON");
  const prepare = file.prepare.bind(file);
  file.prepare = (text: string) => prepare(withFixedPlan(text));
  const db = drizzle(file, { schema });
  applyMigrations(path, () => migrate(db, { migrationsFolder: migrationsDir() }));
  const run = createRunner(file);
  const apply = (statements: SQL[]) => file.transaction(() => statements.map(run)).immediate();
  const atomic: Atomic = async (statements, of) => {
    if (of !== "copy") return apply(statements);
    file.pragma("synchronous = NORMAL");
    try {
      return apply(statements);
    } finally {
      file.pragma("synchronous = FULL");
    }
  };
  return { db, atomic, close: () => file.close() };
}

/** Runs statements, and keeps them prepared by their text: there are some dozens. */
function createRunner(file: Sqlite.Database): (statement: SQL) => Record<string, unknown>[] {
  const dialect = new SQLiteSyncDialect();
  const known = new Map<string, Sqlite.Statement<unknown[], Record<string, unknown>>>();
  return (statement) => {
    const { sql, params } = dialect.sqlToQuery(statement);
    const prepared = known.get(sql) ?? file.prepare<unknown[], Record<string, unknown>>(sql);
    if (known.size < keptStatements) known.set(sql, prepared);
    if (prepared.reader) return prepared.all(...params);
    prepared.run(...params);
    return [];
  };
}

/** One process at a time: two that start together would apply the same migration twice. */
function applyMigrations(path: string, apply: () => void): void {
  const lock = takeLock(`${path}.migrating`, 10_000);
  if (!lock) throw new Error("another process has been migrating the database for 10 seconds");
  try {
    apply();
  } finally {
    lock.close();
  }
}

/** `migrations/` of the repository, seen from the bundle in `build/` or from this file. */
function migrationsDir(): string {
  const places = ["../migrations", "../../../migrations"].map((path) => fileURLToPath(new URL(path, import.meta.url)));
  const found = places.find((place) => existsSync(join(place, "meta", "_journal.json")));
  if (!found) throw new Error("the folder migrations/ is missing");
  return found;
}

/** The private keys of the gateway on this data directory: the first signs, all verify and open sealed secrets. */
export const signingKeysPath = ({ BERTH_DATA_DIR }: Settings) => join(BERTH_DATA_DIR, "keys", "signing.jwk");

/** One private JWK, or a set of them. Throws where the file holds neither. */
export function readSigningKeys(path: string): JWK[] {
  const file = JSON.parse(readFileSync(path, "utf8")) as JWK | { keys: JWK[] };
  return "keys" in file ? file.keys : [file];
}

/** The key is linked into place whole and on disk, so that of two first starts one wins and both read the same. */
async function makeSigningKey(path: string): Promise<void> {
  const made = `${path}.${randomUUID()}`;
  writeFileSync(made, JSON.stringify(await createSigningJwk()), { mode: 0o600, flag: "wx", flush: true });
  try {
    linkSync(made, path);
    syncDirectory(dirname(path));
  } catch (error) {
    if (!existsSync(path)) throw error;
  } finally {
    rmSync(made);
  }
}
