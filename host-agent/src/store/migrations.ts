/** The tables of the host's database, and how an older one becomes the present one. What has been released is never edited. */
import type Database from "better-sqlite3";
import { SettingsError } from "@berth/shared/settings";
import type { Sealing } from "./sealing.ts";

/** Whole or not at all by itself, and in no transaction. */
const standsAlone = "VACUUM; PRAGMA wal_checkpoint(TRUNCATE);";
type Step = string | ((db: Database.Database, sealing: Sealing) => void);

const migrations: Step[] = [
  `CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
   CREATE TABLE agents (
     id TEXT PRIMARY KEY, user_id TEXT NOT NULL, uid INTEGER NOT NULL UNIQUE, version INTEGER NOT NULL,
     runtime TEXT NOT NULL, model TEXT, instructions TEXT, env TEXT NOT NULL DEFAULT '{}',
     session_id TEXT NOT NULL, session_used INTEGER NOT NULL DEFAULT 0, deleted INTEGER NOT NULL DEFAULT 0, rev INTEGER NOT NULL
   ) STRICT;
   CREATE INDEX agents_user ON agents (user_id, deleted);
   CREATE INDEX agents_rev ON agents (rev);
   CREATE TABLE runs (
     id TEXT PRIMARY KEY, agent_id TEXT NOT NULL, user_id TEXT NOT NULL, rev INTEGER NOT NULL,
     status TEXT NOT NULL, reason TEXT, trigger_kind TEXT NOT NULL, trigger_id TEXT, prompt TEXT NOT NULL, payload TEXT,
     result TEXT, exit_code INTEGER, input_tokens INTEGER NOT NULL DEFAULT 0, output_tokens INTEGER NOT NULL DEFAULT 0,
     cache_read_tokens INTEGER NOT NULL DEFAULT 0, cache_write_tokens INTEGER NOT NULL DEFAULT 0, cost_usd REAL NOT NULL DEFAULT 0,
     oom_kills INTEGER NOT NULL DEFAULT 0, log_bytes INTEGER NOT NULL DEFAULT 0, stderr_tail TEXT,
     created_at TEXT NOT NULL, started_at TEXT, ended_at TEXT,
     token TEXT NOT NULL, container_id TEXT, exec_id TEXT, intent TEXT, model_status INTEGER
   ) STRICT;
   CREATE INDEX runs_active ON runs (user_id) WHERE ended_at IS NULL;
   CREATE INDEX runs_agent ON runs (agent_id, ended_at);
   CREATE INDEX runs_rev ON runs (rev);
   CREATE INDEX runs_ended ON runs (ended_at);
   CREATE TABLE spend (user_id TEXT NOT NULL, day TEXT NOT NULL, usd REAL NOT NULL, PRIMARY KEY (user_id, day)) STRICT;`,
  // A row of a run is written at each call of the model; what the run was given is long, and written once.
  `CREATE TABLE run_inputs (
     run_id TEXT PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE, prompt TEXT NOT NULL, payload TEXT
   ) STRICT;
   INSERT INTO run_inputs
     SELECT id, prompt, CASE WHEN started_at IS NULL AND ended_at IS NULL THEN payload END FROM runs;
   ALTER TABLE runs DROP COLUMN prompt;
   ALTER TABLE runs DROP COLUMN payload;`,
  // The revision at which a run was told first: whoever holds less than that may not know its prompt.
  `ALTER TABLE runs ADD COLUMN first_rev INTEGER NOT NULL DEFAULT 0;
   UPDATE runs SET first_rev = rev;
   CREATE TRIGGER runs_first_rev AFTER UPDATE OF rev ON runs WHEN new.first_rev = 0
     BEGIN UPDATE runs SET first_rev = new.rev WHERE id = new.id; END;`,
  `CREATE INDEX runs_user_rev ON runs (user_id, rev);`,
  // From here on values that are secret are sealed.
  (db, sealing) => {
    sealColumn(db, sealing, "agents", "id", "env", "WHERE env <> '{}'");
    sealColumn(db, sealing, "runs", "id", "token");
    sealColumn(db, sealing, "run_inputs", "run_id", "payload", "WHERE payload IS NOT NULL");
    db.prepare("INSERT INTO meta VALUES (?, ?)").run("key", sealing.seal("meta/key/value", ""));
  },
  // Pages that are free still hold what was deleted from them in clear.
  standsAlone,
  `CREATE TABLE credentials (
     user_id TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, about TEXT NOT NULL, value TEXT NOT NULL,
     created_at TEXT NOT NULL, last_used_at TEXT, PRIMARY KEY (user_id, kind, name)
   ) STRICT;`,
  // An agent's row has the conversation of the directory that it works in; these are of those that it worked in before.
  `ALTER TABLE agents ADD COLUMN directory TEXT;
   ALTER TABLE agents ADD COLUMN repository TEXT;
   ALTER TABLE agents ADD COLUMN repository_directory TEXT;
   CREATE TABLE conversations (
     agent_id TEXT NOT NULL REFERENCES agents (id) ON DELETE CASCADE, directory TEXT NOT NULL, session_id TEXT NOT NULL,
     session_used INTEGER NOT NULL, PRIMARY KEY (agent_id, directory)
   ) STRICT, WITHOUT ROWID;`,
  `ALTER TABLE runs ADD COLUMN waiting_for TEXT;
   ALTER TABLE agents ADD COLUMN permissions TEXT NOT NULL DEFAULT 'skip';`,
  `ALTER TABLE runs ADD COLUMN attachments TEXT NOT NULL DEFAULT '[]';`,
  `ALTER TABLE runs ADD COLUMN continues TEXT;
   ALTER TABLE agents ADD COLUMN on_interruption TEXT NOT NULL DEFAULT 'stop';`,
  `ALTER TABLE runs ADD COLUMN started_mark TEXT;`,
];
const sealedSince = 5;

/** Whether the database holds sealed values, or is ready to. */
export const isSealed = (db: Database.Database) => versionOf(db) >= sealedSince;

/** Brings the database up to a version, the present one unless told otherwise: each step whole or not at all. */
export function migrate(db: Database.Database, sealing: Sealing, version = migrations.length): void {
  for (let at = versionOf(db); at < version; at++) {
    const step = migrations[at]!;
    const take = () => {
      if (typeof step === "string") db.exec(step);
      else step(db, sealing);
      db.exec(`PRAGMA user_version = ${at + 1}`);
    };
    if (step === standsAlone) take();
    else db.transaction(take)();
  }
  if (version >= sealedSince) checkKey(db, sealing);
}

/** Another key would open nothing: that shows before anything is served. */
function checkKey(db: Database.Database, sealing: Sealing): void {
  try {
    sealing.open("meta/key/value", String(db.prepare("SELECT value FROM meta WHERE key = 'key'").pluck().get()));
  } catch (error) {
    const message =
      "The values in host.db were sealed with another key than the one in host.key beside it: put back the one that belongs to it.";
    throw new SettingsError(message, { cause: error });
  }
}

const versionOf = (db: Database.Database) => Number(db.pragma("user_version", { simple: true }));

function sealColumn(
  db: Database.Database,
  sealing: Sealing,
  table: string,
  key: string,
  column: string,
  which = "",
): void {
  const update = db.prepare(`UPDATE ${table} SET ${column} = ? WHERE ${key} = ?`);
  const rows = db.prepare(`SELECT ${key} AS id, ${column} AS value FROM ${table} ${which}`).all();
  for (const { id, value } of rows as { id: string; value: string }[])
    update.run(sealing.seal(`${table}/${id}/${column}`, value), id);
}
