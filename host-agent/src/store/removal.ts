/** What goes from the host's database with time, and how far it had told: no start may take the file for an older copy. */
import type { Statements } from "./statements.ts";

export function expiredRuns(db: Statements, before: string, exceptUserIds: string[]): { id: string; userId: string }[] {
  return db.rows(
    `SELECT id, user_id AS userId FROM runs
     WHERE ended_at < ? AND user_id NOT IN (SELECT value FROM json_each(?)) ORDER BY ended_at LIMIT 200`,
    before,
    JSON.stringify(exceptUserIds),
  );
}

export function removeRun(db: Statements, id: string): void {
  remove(db, "DELETE FROM runs WHERE id = ? AND ended_at IS NOT NULL RETURNING rev", id);
}

/** Makes an agent a tombstone that is being removed, or one of an agent that was not known. */
export function noteDeleted(db: Statements, userId: string, agentId: string, uid: number, rev: number): void {
  db.sql(
    `INSERT INTO agents (id, user_id, uid, version, runtime, session_id, deleted, rev) VALUES (?, ?, ?, 0, 'shell', '', 1, ?)
     ON CONFLICT (id) DO UPDATE SET deleted = 1, env = '{}', rev = excluded.rev`,
  ).run(agentId, userId, uid, rev);
}

export function forgetAgents(db: Statements, upTo: number): void {
  const isUnused = "NOT EXISTS (SELECT 1 FROM runs WHERE agent_id = agents.id)";
  remove(db, `DELETE FROM agents WHERE deleted = 2 AND rev <= ? AND ${isUnused} RETURNING rev`, upTo);
}

/** Whether anything of the user is here: an agent, its tombstone, a run or a credential. */
export function hasUser(db: Statements, userId: string): boolean {
  const isIn = (table: string) => `EXISTS (SELECT 1 FROM ${table} WHERE user_id = ?)`;
  const found = db.sql(`SELECT ${["agents", "runs", "credentials"].map(isIn).join(" OR ")}`).pluck();
  return found.get(userId, userId, userId) === 1;
}

/**
 * Forgets a slice of what is here of the user, the runs that have ended first; whether more is left. An agent that has a run
 * in progress stays with it.
 */
export function forgetUser(db: Statements, userId: string): boolean {
  const ended = "SELECT rowid FROM runs WHERE user_id = ? AND ended_at IS NOT NULL LIMIT 200";
  if (remove(db, `DELETE FROM runs WHERE rowid IN (${ended}) RETURNING rev`, userId) > 0) return true;
  db.atomic(() => {
    remove(
      db,
      "DELETE FROM agents WHERE user_id = ? AND NOT EXISTS (SELECT 1 FROM runs WHERE agent_id = agents.id) RETURNING rev",
      userId,
    );
    for (const table of ["credentials", "spend"]) db.sql(`DELETE FROM ${table} WHERE user_id = ?`).run(userId);
    for (const kind of ["git", "limits"]) db.sql("DELETE FROM meta WHERE key = ?").run(`${kind}:${userId}`);
  });
  return false;
}

/** The newest revision of all that was removed; 0 where nothing was. */
export function removedRevision(db: Statements): number {
  return Number(db.sql("SELECT value FROM meta WHERE key = 'removed_rev'").pluck().get() ?? 0);
}

/** Answers how many rows went. */
function remove(db: Statements, deletion: string, value: string | number): number {
  return db.atomic(() => {
    const revs = db.rows<{ rev: number }>(deletion, value).map(({ rev }) => rev);
    if (revs.length === 0) return 0;
    const newest = Math.max(removedRevision(db), ...revs);
    db.sql("INSERT OR REPLACE INTO meta (key, value) VALUES ('removed_rev', ?)").run(String(newest));
    return revs.length;
  });
}
