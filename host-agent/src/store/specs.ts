/** What the gateway says of an agent, written down, and the conversation that goes with the directory it works in. */
import type { AgentSpec } from "@berth/shared/host-api";
import type { AgentRow } from "./rows.ts";
import type { Statements } from "./statements.ts";

/** An agent that is new here, under a uid of its own. */
export function insertAgent(db: Statements, userId: string, uid: number, spec: AgentSpec, rev: number): void {
  db.sql(
    `INSERT INTO agents (id, user_id, uid, session_id, rev, ${columns.join(", ")})
     VALUES (?, ?, ?, ?, ?, ${columns.map(() => "?").join(", ")})`,
  ).run(spec.id, userId, uid, crypto.randomUUID(), rev, ...valuesOf(spec));
}

/** Takes a newer description of an agent without a run in progress, or one by which it works where it did. */
export function renewAgent(db: Statements, known: AgentRow, spec: AgentSpec): void {
  if (known.directory !== spec.directory) changeConversation(db, known, spec.directory ?? "");
  const assignments = columns.map((column) => `${column} = ?`).join(", ");
  db.sql(`UPDATE agents SET ${assignments} WHERE id = ?`).run(...valuesOf(spec), spec.id);
}

/** The conversation that the agent's next run goes on with, or begins where the CLI has had no word in it yet. */
export function setSession(db: Statements, agentId: string, sessionId: string, isUsed: boolean): void {
  db.sql("UPDATE agents SET session_id = ?, session_used = ? WHERE id = ?").run(sessionId, +isUsed, agentId);
}

/** Puts the agent's conversation away under the directory that it was in, and goes on with that of the other one. */
function changeConversation(db: Statements, { id, directory, sessionId, sessionUsed }: AgentRow, to: string): void {
  db.sql("INSERT OR REPLACE INTO conversations VALUES (?, ?, ?, ?)").run(id, directory ?? "", sessionId, +sessionUsed);
  const kept = db.rows<{ sessionId: string; isUsed: number }>(
    "SELECT session_id AS sessionId, session_used AS isUsed FROM conversations WHERE agent_id = ? AND directory = ?",
    id,
    to,
  )[0];
  setSession(db, id, kept?.sessionId ?? crypto.randomUUID(), kept?.isUsed === 1);
}

const columns = [
  "version",
  "runtime",
  "model",
  "instructions",
  "permissions",
  "on_interruption",
  "directory",
  "repository",
  "repository_directory",
];
const valuesOf = (spec: AgentSpec) => [
  spec.version,
  spec.runtime,
  spec.model,
  spec.instructions,
  spec.permissions ?? "skip",
  spec.onInterruption ?? "stop",
  spec.directory,
  spec.repository,
  spec.repositoryDirectory,
];
