/** The rows of the host's database as the rest of the host agent knows them, and what the gateway and users may see of each. */
import type { AgentSpec, ReportedAgent, ReportedRun } from "@berth/shared/host-api";
import type { Run, RunReason, RunStatus } from "@berth/shared/resources";

export interface AgentRow extends Omit<AgentSpec, "name"> {
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
export type Intent = Extract<
  RunReason,
  "host_lost" | "cancelled" | "timed_out" | "log_limit" | "budget_reached" | "start_timeout"
>;

/** A run as this host keeps it: the contract's object and what only the host needs. */
export interface RunRow extends ReportedRun {
  payload: string | null;
  /** What the run's processes show to the model proxy. */
  token: string;
  containerId: string | null;
  execId: string | null;
  intent: Intent | null;
  /** HTTP status of the last answer of the model API. */
  modelStatus: number | null;
}

export type NewRun = Pick<RunRow, "id" | "agentId" | "userId" | "trigger" | "prompt" | "payload">;
/** What an update of a run may set. */
export type RunChange = Partial<
  Pick<
    RunRow,
    | "status"
    | "reason"
    | "result"
    | "exitCode"
    | "oomKills"
    | "logBytes"
    | "stderrTail"
    | "startedAt"
    | "endedAt"
    | "containerId"
    | "execId"
    | "intent"
    | "modelStatus"
  >
>;
export type Admission = { run: RunRow; isNew: boolean } | "run_limit" | { busy: string };

type Columns = Record<string, string | number | null>;

/** What the gateway may see of a run. */
export function reported(run: RunRow): ReportedRun {
  const {
    payload: _payload,
    token: _token,
    containerId: _container,
    execId: _exec,
    intent: _intent,
    modelStatus: _status,
    ...told
  } = run;
  return told;
}

/** The contract's run: what a user sees of it. */
export function publicRun(run: RunRow): Run {
  const { userId: _user, rev: _rev, ...told } = reported(run);
  return told;
}

/** What the gateway may see of an agent: the names of its variables, never a value. */
export function reportedAgent(agent: AgentRow): ReportedAgent {
  const { id, userId, rev, deleted } = agent;
  return { id, userId, envKeys: Object.keys(agent.env).toSorted(), rev, ...(deleted === "gone" && { deleted: true }) };
}

/** A row of `runs`; null for none. */
export function runFrom(row: unknown): RunRow | null {
  if (!row) return null;
  const r = row as Columns;
  return {
    id: r["id"] as string,
    agentId: r["agent_id"] as string,
    userId: r["user_id"] as string,
    rev: r["rev"] as number,
    status: r["status"] as RunStatus,
    reason: r["reason"] as RunReason | null,
    trigger: { kind: r["trigger_kind"] as "api", triggerId: r["trigger_id"] as string | null },
    prompt: r["prompt"] as string,
    payload: r["payload"] as string | null,
    result: r["result"] as string | null,
    exitCode: r["exit_code"] as number | null,
    usage: {
      inputTokens: r["input_tokens"] as number,
      outputTokens: r["output_tokens"] as number,
      cacheReadTokens: r["cache_read_tokens"] as number,
      cacheWriteTokens: r["cache_write_tokens"] as number,
      costUsd: r["cost_usd"] as number,
    },
    oomKills: r["oom_kills"] as number,
    logBytes: r["log_bytes"] as number,
    stderrTail: r["stderr_tail"] as string | null,
    createdAt: r["created_at"] as string,
    startedAt: r["started_at"] as string | null,
    endedAt: r["ended_at"] as string | null,
    token: r["token"] as string,
    containerId: r["container_id"] as string | null,
    execId: r["exec_id"] as string | null,
    intent: r["intent"] as Intent | null,
    modelStatus: r["model_status"] as number | null,
  };
}

/** A row of `agents`; null for none. */
export function agentFrom(row: unknown): AgentRow | null {
  if (!row) return null;
  const r = row as Columns;
  return {
    id: r["id"] as string,
    userId: r["user_id"] as string,
    uid: r["uid"] as number,
    version: r["version"] as number,
    runtime: r["runtime"] as AgentSpec["runtime"],
    model: r["model"] as string | null,
    instructions: r["instructions"] as string | null,
    env: JSON.parse(r["env"] as string) as Record<string, string>,
    sessionId: r["session_id"] as string,
    sessionUsed: r["session_used"] === 1,
    deleted: r["deleted"] === 0 ? false : r["deleted"] === 1 ? "removing" : "gone",
    rev: r["rev"] as number,
  };
}

/** A field's column. */
export const toSnake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
