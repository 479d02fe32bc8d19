/** What the gateway says of an agent, written down, and the conversation that goes with the directory it works in. */
import type { AgentSpec } from "@berth/shared/host-api";
import type { AgentRow } from "./rows.ts";
import type { Statements } from "./statements.ts";

/** An agent that is new here, under a uid of its own. */
export function insertAgent(db: Statements, userId: string, uid: number, spec: AgentSpec, rev: number): void {
  const own = { id: spec.id, user_id: userId, uid, session_id: crypto.randomUUID(), rev };
  db.insert("agents", { ...own, ...columnsOf(spec) });
}

/** Takes a newer description of an agent without a run in progress, or one by which it works where it did. */
export function renewAgent(db: Statements, known: AgentRow, spec: AgentSpec): void {
  if (known.directory !== spec.directory) changeConversation(db, known, spec.directory ?? "");
  const columns = columnsOf(spec);
  const assignments = Object.keys(columns).map((column) => `${column} = ?`);
  db.sql(`UPDATE agents SET ${assignments.join(", ")} WHERE id = ?`).run(...Object.values(columns), spec.id);
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

const columnsOf = (spec: AgentSpec) => ({
  version: spec.version,
  runtime: spec.runtime,
  model: spec.model,
  instructions: spec.instructions,
  permissions: spec.permissions ?? "skip",
  on_interruption: spec.onInterruption ?? "stop",
  directory: spec.directory,
  repository: spec.repository,
  repository_directory: spec.repositoryDirectory,
});
