/**
 * The host's database: the agents it knows (uid, environment, session), the runs it accepted and their revisions.
 * Truth for both; knows nothing of containers or of HTTP. Every change of a row the gateway copies takes a new revision.
 */
import Database from "better-sqlite3";
import type { AgentSpec, ReportedAgent, ReportedRun } from "@berth/shared/host-api";
import type { Run, RunReason, RunStatus, Usage } from "@berth/shared/resources";
import { newId, randomText } from "@berth/shared/ids";

const migrations = [
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
];

/** The first uid an agent gets; each next one is one higher and none is used again. */
export const firstUid = 20_000;

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
export type Intent = Extract<RunReason, "cancelled" | "timed_out" | "log_limit" | "budget_reached" | "start_timeout">;

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

/** A run that is admitted but not promised yet has revision 0: no report tells of it. */
export const unpromised = 0;

export type NewRun = Pick<RunRow, "id" | "agentId" | "userId" | "trigger" | "prompt" | "payload">;
/** What an update of a run may set. */
export type RunChange = Partial<
  Pick<
    RunRow,
    | "status" | "reason" | "result" | "exitCode" | "oomKills" | "logBytes" | "stderrTail"
    | "startedAt" | "endedAt" | "containerId" | "execId" | "intent" | "modelStatus"
  >
>;
export type Admission = { run: RunRow; isNew: boolean } | "run_limit" | { busy: string };

export type Store = ReturnType<typeof openStore>;

/** Opens (and makes or migrates) the database file. `now` is the gateway's time in milliseconds. */
export function openStore(file: string, now: () => number) {
  const db = new Database(file);
  db.pragma("journal_mode = WAL");
  db.pragma("synchronous = FULL");
  for (let at = Number(db.pragma("user_version", { simple: true })); at < migrations.length; at++) {
    db.transaction(() => db.exec(`${migrations[at]}; PRAGMA user_version = ${at + 1}`))();
  }
  const prepared = new Map<string, Database.Statement>();
  const sql = (text: string) => {
    let statement = prepared.get(text);
    if (!statement) prepared.set(text, (statement = db.prepare(text)));
    return statement;
  };
  const getMeta = (key: string) => sql("SELECT value FROM meta WHERE key = ?").pluck().get(key) as string | undefined;
  const setMeta = (key: string, value: string) =>
    void sql("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value").run(key, value);
  const isNew = getMeta("epoch") === undefined;
  if (isNew) setMeta("epoch", newId("hst").replace("hst_", "epoch_"));
  let rev = Number(
    sql("SELECT max((SELECT coalesce(max(rev), 0) FROM runs), (SELECT coalesce(max(rev), 0) FROM agents))").pluck().get(),
  );
  const isoNow = () => new Date(now()).toISOString();

  const nextUid = () => Number(getMeta("next_uid") ?? firstUid);
  function takeUid(): number {
    const uid = nextUid();
    setMeta("next_uid", String(uid + 1));
    return uid;
  }
  const getRun = (id: string) => runFrom(sql("SELECT * FROM runs WHERE id = ?").get(id));
  const getAgent = (id: string) => agentFrom(sql("SELECT * FROM agents WHERE id = ?").get(id));
  const activeRuns = (userId?: string) =>
    (userId === undefined
      ? sql("SELECT * FROM runs WHERE ended_at IS NULL ORDER BY created_at").all()
      : sql("SELECT * FROM runs WHERE ended_at IS NULL AND user_id = ? ORDER BY created_at").all(userId)
    ).map((row) => runFrom(row)!);

  return {
    /** Names this database; a new file has a new one. */
    epoch: getMeta("epoch")!,
    /** Whether the file was made just now, so that uids must be learned from the volumes. */
    isNew,
    getMeta,
    setMeta,
    revision: () => rev,
    getRun,
    getAgent,
    activeRuns,

    /** Runs in progress, of one user or of all. */
    countActive: (userId?: string) =>
      Number(
        userId === undefined
          ? sql("SELECT count(*) FROM runs WHERE ended_at IS NULL").pluck().get()
          : sql("SELECT count(*) FROM runs WHERE ended_at IS NULL AND user_id = ?").pluck().get(userId),
      ),
    agentsOf: (userId: string) =>
      sql("SELECT * FROM agents WHERE user_id = ? AND deleted = 0").all(userId).map((row) => agentFrom(row)!),
    /** Uids from here on are free. */
    reserveUids(atLeast: number) {
      setMeta("next_uid", String(Math.max(atLeast, nextUid())));
    },

    /**
     * Learns an agent or its newer version. Answers the agent; "stale" if a newer version is known, "deleted" if it
     * was deleted, "foreign" if it is another user's. `ownedUid` is the owner of a directory it has already, if any.
     */
    learnAgent: db.transaction((userId: string, spec: AgentSpec, ownedUid: number | null) => {
      const known = getAgent(spec.id);
      if (known?.deleted) return "deleted" as const;
      if (known && known.userId !== userId) return "foreign" as const;
      if (known && known.version > spec.version) return "stale" as const;
      if (known?.version === spec.version) return known;
      if (known) {
        sql("UPDATE agents SET version = ?, runtime = ?, model = ?, instructions = ? WHERE id = ?")
          .run(spec.version, spec.runtime, spec.model, spec.instructions, spec.id);
      } else {
        const isTaken = ownedUid !== null && sql("SELECT 1 FROM agents WHERE uid = ?").get(ownedUid) !== undefined;
        const uid = ownedUid === null || isTaken ? takeUid() : ownedUid;
        sql(
          `INSERT INTO agents (id, user_id, uid, version, runtime, model, instructions, session_id, rev)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        ).run(spec.id, userId, uid, spec.version, spec.runtime, spec.model, spec.instructions, crypto.randomUUID(), ++rev);
      }
      return getAgent(spec.id)!;
    }),
    setEnv(agentId: string, env: Record<string, string>) {
      sql("UPDATE agents SET env = ?, rev = ? WHERE id = ?").run(JSON.stringify(env), ++rev, agentId);
      return getAgent(agentId)!;
    },
    useSession: (agentId: string) => void sql("UPDATE agents SET session_used = 1 WHERE id = ?").run(agentId),
    /** Keeps a tombstone, also of one that is not known, so that a late call cannot bring the agent back; the environment goes. */
    deleteAgent: db.transaction((userId: string, agentId: string) => {
      sql(
        `INSERT INTO agents (id, user_id, uid, version, runtime, session_id, deleted, rev) VALUES (?, ?, ?, 0, 'shell', '', 1, ?)
         ON CONFLICT (id) DO UPDATE SET deleted = max(deleted, 1), env = '{}', rev = excluded.rev`,
      ).run(agentId, userId, getAgent(agentId)?.uid ?? takeUid(), ++rev);
    }),
    /** Nothing of the agent is left on this host but its tombstone. */
    buryAgent: (agentId: string) => void sql("UPDATE agents SET deleted = 2, rev = ? WHERE id = ? AND deleted = 1").run(++rev, agentId),

    /**
     * Admits a run in one transaction: the run of that id if there is one already; else a new one, unless its agent
     * is busy or `limit` runs of the user are in progress. A new run is not reported before its first `updateRun`.
     */
    admit: db.transaction((run: NewRun, limit: number): Admission => {
      const known = getRun(run.id);
      if (known) return { run: known, isNew: false };
      const active = activeRuns(run.userId);
      const busy = active.find((other) => other.agentId === run.agentId);
      if (busy) return { busy: busy.id };
      if (active.length >= limit) return "run_limit";
      sql(
        `INSERT INTO runs (id, agent_id, user_id, rev, status, trigger_kind, trigger_id, prompt, payload, token, created_at)
         VALUES (?, ?, ?, ${unpromised}, 'starting', ?, ?, ?, ?, ?, ?)`,
      ).run(
        run.id, run.agentId, run.userId, run.trigger.kind, run.trigger.triggerId, run.prompt, run.payload,
        `brt_${randomText(40)}`, isoNow(),
      );
      return { run: getRun(run.id)!, isNew: true };
    }).immediate,
    /** Sets fields of a run that has not ended and gives it a new revision; null if it has ended. */
    updateRun(id: string, change: RunChange): RunRow | null {
      const columns: Record<string, unknown> = { ...change, rev: ++rev };
      const names = Object.keys(columns).map((name) => `${toSnake(name)} = ?`);
      return runFrom(
        sql(`UPDATE runs SET ${names.join(", ")} WHERE id = ? AND ended_at IS NULL RETURNING *`).get(...Object.values(columns), id),
      );
    },
    /** Forgets a run that was admitted and never promised nor begun. */
    withdraw: (id: string) => void sql(`DELETE FROM runs WHERE id = ? AND rev = ${unpromised} AND exec_id IS NULL`).run(id),
    /** Sets an intent unless one is set already or the run has ended. */
    intend: (id: string, intent: Intent) =>
      runFrom(
        sql("UPDATE runs SET intent = ? WHERE id = ? AND intent IS NULL AND ended_at IS NULL RETURNING *").get(intent, id),
      ),
    /** Counts one OOM kill for the run in progress of the agent with this uid; null if there is none. */
    countOomKill: (uid: number) =>
      runFrom(
        sql(
          `UPDATE runs SET oom_kills = oom_kills + 1, rev = ? WHERE ended_at IS NULL
           AND agent_id = (SELECT id FROM agents WHERE uid = ?) RETURNING *`,
        ).get(++rev, uid),
      ),
    /** Adds what the model proxy counted to the run and to the user's day (UTC). */
    addUsage: db.transaction((id: string, add: Usage) => {
      const row = sql(
        `UPDATE runs SET input_tokens = input_tokens + ?, output_tokens = output_tokens + ?, cache_read_tokens = cache_read_tokens + ?,
         cache_write_tokens = cache_write_tokens + ?, cost_usd = cost_usd + ?, rev = ? WHERE id = ? AND ended_at IS NULL RETURNING *`,
      ).get(add.inputTokens, add.outputTokens, add.cacheReadTokens, add.cacheWriteTokens, add.costUsd, ++rev, id);
      const run = runFrom(row);
      if (run) {
        sql("INSERT INTO spend VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET usd = usd + excluded.usd")
          .run(run.userId, isoNow().slice(0, 10), add.costUsd);
      }
      return run;
    }),
    spentToday: (userId: string) =>
      (sql("SELECT usd FROM spend WHERE user_id = ? AND day = ?").pluck().get(userId, isoNow().slice(0, 10)) as number) ?? 0,

    /** What changed after `after`, oldest first, up to about `maxBytes` of JSON; `rev` is how far that reaches. */
    changedSince(after: number, maxBytes: number): { runs: ReportedRun[]; agents: ReportedAgent[]; rev: number } {
      const agents = sql("SELECT * FROM agents WHERE rev > ? ORDER BY rev LIMIT 500")
        .all(after).map((row) => reportedAgent(agentFrom(row)!));
      const runs: ReportedRun[] = [];
      let bytes = 0;
      for (const row of sql("SELECT * FROM runs WHERE rev > ? ORDER BY rev LIMIT 200").iterate(after)) {
        const run = reported(runFrom(row)!);
        bytes += JSON.stringify(run).length;
        if (runs.length > 0 && bytes > maxBytes) break;
        runs.push(run);
      }
      const complete = sql("SELECT count(*) FROM runs WHERE rev > ?").pluck().get(after) === runs.length && agents.length < 500;
      const reach = complete ? rev : Math.min(runs.at(-1)?.rev ?? rev, agents.length < 500 ? rev : agents.at(-1)!.rev);
      return { runs: runs.filter((run) => run.rev <= reach), agents: agents.filter((agent) => agent.rev <= reach), rev: reach };
    },
    /** The user's runs that changed after a revision, oldest change first. */
    changedRuns: (userId: string, after: number) =>
      sql("SELECT * FROM runs WHERE rev > ? AND user_id = ? ORDER BY rev").all(after, userId).map((row) => runFrom(row)!),
    /** Ended runs older than `before` (ISO), at most 200, to be removed with their files. */
    expiredRuns: (before: string) =>
      sql("SELECT * FROM runs WHERE ended_at < ? ORDER BY ended_at LIMIT 200").all(before).map((row) => runFrom(row)!),
    removeRun: (id: string) => void sql("DELETE FROM runs WHERE id = ? AND ended_at IS NOT NULL").run(id),
    close: () => void db.close(),
  };
}

type Columns = Record<string, string | number | null>;

/** What the gateway may see of a run. */
export function reported(run: RunRow): ReportedRun {
  const { payload: _payload, token: _token, containerId: _container, execId: _exec, intent: _intent, modelStatus: _status, ...told } = run;
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

function runFrom(row: unknown): RunRow | null {
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

function agentFrom(row: unknown): AgentRow | null {
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

const toSnake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
