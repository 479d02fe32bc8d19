/** The rows of the host's database as the rest of the host agent knows them, and what the gateway and users may see of each. */
import type { AgentSpec, ReportedAgent, ReportedRun } from "@berth/shared/host-api";
import type { OnInterruption, Permissions, Run, RunReason, Usage } from "@berth/shared/resources";
import type { Sealing } from "./sealing.ts";

export interface AgentRow extends Omit<AgentSpec, "name" | "permissions" | "onInterruption"> {
  permissions: Permissions;
  onInterruption: OnInterruption;
  userId: string;
  uid: number;
  env: Record<string, string>;
  sessionId: string;
  /** Whether the session exists at the CLI, so that the next run resumes it. */
  sessionUsed: boolean;
  /** A tombstone: it is being removed, or its directory is gone already. */
  deleted: false | "removing" | "gone";
  rev: number;
}

/** Why a run shall end before it ends by itself; stored before it is acted on. */
export type Intent =
  | Extract<RunReason, "host_lost" | "cancelled" | "timed_out" | "log_limit" | "budget_reached" | "start_timeout">
  | "interrupted";

/** A run as this host keeps it, but for what it was given: the contract's object and what only the host needs. */
export interface RunRow extends Omit<ReportedRun, "prompt" | "waitingFor" | "attachments" | "continues"> {
  waitingFor: Run["waitingFor"];
  attachments: Run["attachments"];
  continues: Run["continues"];
  containerId: string | null;
  execId: string | null;
  /** When it began, by the machine's clock since its boot (`markNow`). */
  startedMark: string | null;
  intent: Intent | null;
  /** HTTP status of the last answer of the model API. */
  modelStatus: number | null;
}

/** What a run was given: long, so that it is kept and read apart. */
export interface RunInput {
  prompt: string;
  /** Bytes in base64url; null without any, and once the run has begun: its file has them. */
  payload: string | null;
}

export type NewRun = Pick<RunRow, "id" | "agentId" | "userId" | "trigger"> &
  RunInput &
  Partial<Pick<RunRow, "attachments" | "continues">>;
/** What an update of a run may set. */
export type RunChange = Partial<
  Omit<RunRow, "id" | "agentId" | "userId" | "rev" | "trigger" | "attachments" | "continues" | "usage" | "createdAt">
> & {
  /** In place of its own: that of the process which becomes the run. */
  token?: string;
};
export type Learned = AgentRow | "deleted" | "foreign" | "stale" | { busy: string };
export type Admission = { run: RunRow; isNew: boolean } | "run_limit" | "memory" | { busy: string };

/** What the gateway may see of a run, but for its prompt. */
export function reported(run: RunRow): ReportedRun {
  const {
    containerId: _container,
    execId: _exec,
    startedMark: _mark,
    intent: _intent,
    modelStatus: _status,
    ...told
  } = run;
  return told;
}

/** The contract's run: what a user sees of it. */
export function publicRun(run: RunRow, prompt: string): Run {
  const { userId: _user, rev: _rev, ...told } = reported(run);
  return { ...told, waitingFor: run.waitingFor, attachments: run.attachments, continues: run.continues, prompt };
}

/** What of a run is told to whoever watches it as soon as it is another. */
export const stageOf = ({ status, waitingFor }: RunRow) => `${status} ${waitingFor?.requestId ?? ""}`;

/** What the gateway may see of an agent: the names of its variables, never a value. */
export function reportedAgent(agent: AgentRow): ReportedAgent {
  const { id, userId, rev, deleted } = agent;
  return { id, userId, envKeys: Object.keys(agent.env).toSorted(), rev, ...(deleted === "gone" && { deleted: true }) };
}

/** The columns of `runs` by the names of their fields. */
export const runColumns = `id, agent_id AS agentId, user_id AS userId, rev, status, reason,
  trigger_kind AS triggerKind, trigger_id AS triggerId, result, exit_code AS exitCode, input_tokens AS inputTokens,
  output_tokens AS outputTokens, cache_read_tokens AS cacheReadTokens, cache_write_tokens AS cacheWriteTokens,
  cost_usd AS costUsd, waiting_for AS waitingFor, attachments, continues, oom_kills AS oomKills, log_bytes AS logBytes, stderr_tail AS stderrTail,
  created_at AS createdAt, started_at AS startedAt, started_mark AS startedMark, ended_at AS endedAt, container_id AS containerId, exec_id AS execId, intent,
  model_status AS modelStatus`;

/** Asked for all the time, and written out once: a text that is made anew is looked up by all of its letters. */
export const runById = `SELECT ${runColumns} FROM runs WHERE id = ?`;

/** A row of `runs` as `runColumns` name it. */
export type FlatRun = Omit<RunRow, "trigger" | "usage" | "waitingFor" | "attachments"> &
  Usage & {
    waitingFor: string | null;
    attachments: string;
    triggerKind: RunRow["trigger"]["kind"];
    triggerId: string | null;
  };

/** The run of a row; null for none. */
export function runFrom(row: FlatRun | undefined): RunRow | null {
  if (!row) return null;
  const { triggerKind, triggerId, inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, costUsd, ...run } = row;
  const waitingFor = row.waitingFor === null ? null : (JSON.parse(row.waitingFor) as RunRow["waitingFor"]);
  const attachments = JSON.parse(row.attachments) as string[];
  const usage = { inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, costUsd };
  return { ...run, waitingFor, attachments, trigger: { kind: triggerKind, triggerId }, usage };
}

/** The columns of `agents` by the names of their fields. */
export const agentColumns = `id, user_id AS userId, uid, version, runtime, model, instructions, permissions, on_interruption AS onInterruption, directory,
  repository, repository_directory AS repositoryDirectory, env, session_id AS sessionId, session_used AS sessionUsed, deleted, rev`;

export const agentById = `SELECT ${agentColumns} FROM agents WHERE id = ?`;
export const agentsOfUser = `SELECT ${agentColumns} FROM agents WHERE user_id = ? AND deleted = 0`;

/** A row of `agents` as `agentColumns` name it. */
export type FlatAgent = Omit<AgentRow, "env" | "sessionUsed" | "deleted"> & {
  env: string;
  sessionUsed: 0 | 1;
  deleted: 0 | 1 | 2;
};

/** Where each sealed value stands; an empty environment, `{}`, is not sealed. */
export const places = {
  env: (agentId: string) => `agents/${agentId}/env`,
  token: (runId: string) => `runs/${runId}/token`,
  payload: (runId: string) => `run_inputs/${runId}/payload`,
};

/** The agent of a row; null for none. */
export function agentFrom(row: FlatAgent | undefined, sealing: Sealing): AgentRow | null {
  if (!row) return null;
  const deleted = ([false, "removing", "gone"] as const)[row.deleted];
  return {
    ...row,
    env: row.env === "{}" ? {} : (JSON.parse(sealing.open(places.env(row.id), row.env)) as Record<string, string>),
    sessionUsed: row.sessionUsed === 1,
    deleted,
  };
}

/** A field's column. */
export const toSnake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
