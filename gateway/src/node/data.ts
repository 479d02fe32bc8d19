/** The data directory on Node: signing key, database, migrations. The command line opens it too, while a gateway runs on it. */
import { makeDataDir, makeDirectory } from "@berth/shared/node/directory";
import { takeLock } from "@berth/shared/node/lock";
import { withFixedPlan } from "@berth/shared/node/fixed-plan";
import { syncDirectory } from "@berth/shared/node/durable-file";
import type { Settings } from "@berth/shared/settings";
import Sqlite from "better-sqlite3";
import { drizzle } from "drizzle-orm/better-sqlite3";
import { migrate } from "drizzle-orm/better-sqlite3/migrator";
import { SQL, StringChunk, type SQLChunk } from "drizzle-orm";
import { SQLiteSyncDialect } from "drizzle-orm/sqlite-core";
import type { JWK } from "jose";
import { randomUUID } from "node:crypto";
import { chmodSync, existsSync, linkSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Atomic, Database } from "../data/database.ts";
import { createSigningJwk, importKeyring, type Keyring } from "../keys/keyring.ts";
import * as schema from "../data/schema.ts";
import { createNodeSigner } from "./digests.ts";
import { keepMergesApart } from "./merge-words.ts";

export interface Data {
  db: Database;
  atomic: Atomic;
  version: () => string;
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
  const keyring = await importKeyring(readSigningKeys(path), createNodeSigner);
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
  const prepare = file.prepare.bind(file) as Prepare;
  const prepareFixed: Prepare = (text) => prepare(withFixedPlan(text));
  file.prepare = prepareFixed as typeof file.prepare;
  const db = drizzle(file, { schema });
  applyMigrations(path, () => migrate(db, { migrationsFolder: migrationsDir() }));
  keepMergesApart(file);
  // Drizzle has its statements answer arrays: we share none with it.
  file.prepare = keepPrepared(prepareFixed) as typeof file.prepare;
  const { atomic, flush } = createAtomic(file, createBinder(keepPrepared(prepareFixed)));
  const close = () => {
    flush();
    file.close();
  };
  return { db, atomic, version: createVersion(file), close };
}

/**
 * Changes by this connection are counted by SQLite, rows that cascades and triggers change among them; `data_version` is another
 * after each commit by any other connection. What a rollback takes back counts too.
 */
function createVersion(file: Sqlite.Database): () => string {
  const [ours, others] = ["select total_changes()", "pragma data_version"].map((text) => file.prepare(text).pluck());
  return () => `${String(ours!.get())} ${String(others!.get())}`;
}

type Row = Record<string, unknown>;
type Prepare = (text: string) => Sqlite.Statement<unknown[], Row>;

/** Keeps statements prepared by their text: there are some dozens. */
function keepPrepared(prepare: Prepare): Prepare {
  const known = new Map<string, ReturnType<Prepare>>();
  return (text) => {
    const prepared = known.get(text) ?? prepare(text);
    if (known.size < keptStatements) known.set(text, prepared);
    return prepared;
  };
}

/** A statement that is prepared and has its values. */
type Bound = () => Row[];

function createBinder(prepare: Prepare): (statement: SQL) => Bound {
  const dialect = new SQLiteSyncDialect();
  return (statement) => {
    const { sql, params } = toQuery(statement) ?? dialect.sqlToQuery(statement);
    const prepared = prepare(sql);
    return prepared.reader ? () => prepared.all(...params) : () => (prepared.run(...params), []);
  };
}

/** What Drizzle makes of a statement, in a third of its time; null where it is of more than text, values and such statements. */
function toQuery(statement: SQL): { sql: string; params: unknown[] } | null {
  let sql = "";
  const params: unknown[] = [];
  const add = (chunk: SQLChunk): boolean => {
    if (chunk instanceof SQL) return chunk.queryChunks.every(add);
    if (chunk instanceof StringChunk) sql += chunk.value.join("");
    else if (typeof chunk === "object" && chunk !== null) return false;
    else if (chunk !== undefined) {
      sql += "?";
      params.push(chunk);
    }
    return true;
  };
  return add(statement) ? { sql, params } : null;
}

interface Batch {
  statements: Bound[];
  isCopy: boolean;
  resolve(rows: Row[][]): void;
  reject(error: unknown): void;
}
/** Everybody waits for a transaction. */
const batchesAtOnce = 16;

/**
 * Group commit: batches that come in one turn of the event loop are one transaction, with one flush to disk. Where one fails
 * nothing of the group holds, and each is applied by itself.
 */
function createAtomic(file: Sqlite.Database, bind: (statement: SQL) => Bound): { atomic: Atomic; flush(): void } {
  const waiting: Batch[] = [];
  const applyAll = file.transaction((group: Batch[]) => group.map(({ statements }) => statements.map((run) => run())));
  const apply = (group: Batch[]): void => {
    if (group.length === 0) return;
    const isCopy = group.every((batch) => batch.isCopy);
    if (isCopy) file.pragma("synchronous = NORMAL");
    try {
      const answers = applyAll.immediate(group);
      group.forEach(({ resolve }, at) => resolve(answers[at]!));
    } catch (error) {
      if (group.length === 1) group[0]!.reject(error);
      else group.forEach((batch) => apply([batch]));
    } finally {
      if (isCopy) file.pragma("synchronous = FULL");
    }
  };
  const applyNext = (): void => {
    apply(waiting.splice(0, batchesAtOnce));
    if (waiting.length > 0) setImmediate(applyNext);
  };
  const atomic: Atomic = (statements, of) =>
    new Promise((resolve, reject) => {
      const bound = statements.map(bind);
      if (waiting.push({ statements: bound, isCopy: of === "copy", resolve, reject }) === 1) setImmediate(applyNext);
    });
  return { atomic, flush: () => apply(waiting.splice(0)) };
}

/** One process at a time: two that start together would apply the same migration twice. */
function applyMigrations(path: string, apply: () => void): void {
  // Beside the file itself: the path may be a link to that of another data directory.
  const lock = takeLock(`${existsSync(path) ? realpathSync(path) : path}.migrating`, 10_000);
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
