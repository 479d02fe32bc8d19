/**
 * The host's database: the agents it knows (uid, environment, session), the runs it accepted and their revisions.
 * Truth for both; knows nothing of containers or of HTTP. Every change of a row the gateway copies takes a new revision.
 */
import type { AgentSpec } from "@berth/shared/host-api";
import type { Usage } from "@berth/shared/resources";
import { newId } from "@berth/shared/ids";
import {
  type Admission,
  agentById,
  agentFrom,
  agentsOfUser,
  type AgentRow,
  type FlatAgent,
  type FlatRun,
  type Intent,
  type Learned,
  type NewRun,
  places,
  type RunChange,
  runById,
  runColumns,
  runFrom,
  type RunInput,
  type RunRow,
  toSnake,
} from "./rows.ts";
import { type Changes, changedSince, promptOf } from "./changes.ts";
import { migrate } from "./migrations.ts";
import type { OpenDatabase } from "./open.ts";
import * as removal from "./removal.ts";
import { insertRun } from "./new-run.ts";
import type { Sealing } from "./sealing.ts";
import { insertAgent, renewAgent, setSession } from "./specs.ts";
import { type Room, whatIsMissing } from "./room.ts";
import { isoTime, Statements } from "./statements.ts";
import { firstUid } from "./uids.ts";

/** A run that is admitted but not promised yet has revision 0: no report tells of it. */
const unpromised = 0;
/** Revisions of one process; the next one begins above, whatever this one told and did not store. */
const revisionsAStart = 1e9;

/** The runs in progress by an index of those alone: left to itself SQLite may read all that a user ever ran. */
const fromActive = (userId: string | undefined) =>
  `FROM runs INDEXED BY runs_active WHERE ended_at IS NULL ${userId === undefined ? "" : "AND user_id = ?"}`;

/** Over an open database, which it migrates and closes. `now` is the gateway's time in milliseconds. */
export class Store {
  /**
   * The newest revision that this file had when it was opened: none that an earlier process told is above it, unless the
   * file is an older copy. This process's own begin above what any process of this file can have given.
   */
  readonly earlierRevision: number;
  readonly #db: Statements;
  readonly #sealing: Sealing;
  readonly #now: () => number;
  #rev: number;
  #epoch: string;

  constructor({ db, sealing, log }: OpenDatabase, now: () => number) {
    this.#db = new Statements({ db, log });
    this.#sealing = sealing;
    this.#now = now;
    migrate(db, sealing);
    this.#epoch = this.getMeta("epoch") ?? this.renewEpoch();
    const starts = Number(this.getMeta("starts") ?? 0);
    this.setMeta("starts", String(starts + 1));
    const newest = this.#db
      .sql("SELECT max(rev) FROM (SELECT max(rev) AS rev FROM runs UNION SELECT max(rev) FROM agents)")
      .pluck()
      .get();
    this.earlierRevision = Math.max(Number(newest ?? 0), removal.removedRevision(this.#db), starts * revisionsAStart);
    this.#rev = (starts + 1) * revisionsAStart;
  }

  /** Names this database and its one history: a new file has a new one, and so has one that was restored from a copy. */
  get epoch(): string {
    return this.#epoch;
  }

  /** Begins a history: for whoever holds something of the one before, all is to be told anew, and uids are looked for anew. */
  renewEpoch(): string {
    this.setMeta("epoch", newId("hst").replace("hst_", "epoch_"));
    this.#db.sql("DELETE FROM meta WHERE key = 'uids_reserved'").run();
    return (this.#epoch = this.getMeta("epoch")!);
  }

  /** The newest revision given: each is stored in a row, so that a database knows how far it has told. */
  revision(): number {
    return this.#rev;
  }

  getMeta(key: string): string | undefined {
    return this.#db.sql("SELECT value FROM meta WHERE key = ?").pluck().get(key) as string | undefined;
  }

  setMeta(key: string, value: string): void {
    this.#db.sql("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value").run(key, value);
  }

  getRun(id: string): RunRow | null {
    return runFrom(this.#db.rows<FlatRun>(runById, id)[0]);
  }

  /** What the run was given; null where there is no such run. */
  inputOf(runId: string): RunInput | null {
    const [input] = this.#db.rows<RunInput>("SELECT prompt, payload FROM run_inputs WHERE run_id = ?", runId);
    if (!input || input.payload === null) return input ?? null;
    return { ...input, payload: this.#sealing.open(places.payload(runId), input.payload) };
  }

  /** As `inputOf`, the prompt alone; empty where there is no such run. */
  promptOf(runId: string): string {
    return promptOf(this.#db, runId);
  }

  /** What the run's processes show to the model proxy. */
  tokenOf(runId: string): string {
    const sealed = this.#db.sql("SELECT token FROM runs WHERE id = ?").pluck().get(runId) as string;
    return this.#sealing.open(places.token(runId), sealed);
  }

  getAgent(id: string): AgentRow | null {
    return this.#agent(this.#db.rows<FlatAgent>(agentById, id)[0]);
  }

  /** Runs in progress, of one user or of all, oldest first. */
  activeRuns(userId?: string): RunRow[] {
    const rows = this.#db.rows<FlatRun>(
      `SELECT ${runColumns} ${fromActive(userId)} ORDER BY created_at`,
      ...(userId === undefined ? [] : [userId]),
    );
    return rows.map((row) => runFrom(row)!);
  }

  /** The agent's run in progress. */
  activeRunOf({ id, userId }: Pick<AgentRow, "id" | "userId">): RunRow | undefined {
    return this.activeRuns(userId).find(({ agentId }) => agentId === id);
  }

  /** How many runs are in progress, of one user or of all. */
  countActive(userId?: string): number {
    const count = this.#db.sql(`SELECT count(*) ${fromActive(userId)}`).pluck();
    return Number(count.get(...(userId === undefined ? [] : [userId])));
  }

  agentsOf(userId: string): AgentRow[] {
    return this.#db.rows<FlatAgent>(agentsOfUser, userId).map((row) => this.#agent(row)!);
  }

  /** Has the next report tell of the user's agents again. */
  tellAgents(userId: string): void {
    const tell = this.#db.sql("UPDATE agents SET rev = ? WHERE id = ?");
    this.#db.atomic(() => this.agentsOf(userId).forEach(({ id }) => tell.run(++this.#rev, id)));
  }

  /** Uids from here on are free. */
  reserveUids(atLeast: number): void {
    this.setMeta("next_uid", String(Math.max(atLeast, this.nextUid())));
  }

  /**
   * Learns an agent or its newer version. Answers the agent; "stale" if a newer version is known, "deleted" if it
   * was deleted, "foreign" if it is another user's, the run in progress where it would work elsewhere than that does.
   * `ownedUid` is the owner of a directory it has already, if any.
   */
  learnAgent(userId: string, spec: AgentSpec, ownedUid: number | null): Learned {
    return this.#db.atomic(() => {
      const known = this.getAgent(spec.id);
      if (known?.deleted) return "deleted";
      if (known && known.userId !== userId) return "foreign";
      if (known && known.version > spec.version) return "stale";
      if (known?.version === spec.version) return known;
      if (known) {
        const busy = known.directory === spec.directory ? undefined : this.activeRunOf(known);
        if (busy) return { busy: busy.id };
        renewAgent(this.#db, known, spec);
      } else {
        const isFree = ownedUid !== null && !this.#db.sql("SELECT 1 FROM agents WHERE uid = ?").get(ownedUid);
        insertAgent(this.#db, userId, isFree ? ownedUid : this.#takeUid(), spec, ++this.#rev);
      }
      return this.getAgent(spec.id)!;
    });
  }

  setEnv(agentId: string, env: Record<string, string>): AgentRow {
    const text = JSON.stringify(env);
    const kept = text === "{}" ? text : this.#sealing.seal(places.env(agentId), text);
    this.#db.sql("UPDATE agents SET env = ?, rev = ? WHERE id = ?").run(kept, ++this.#rev, agentId);
    return this.getAgent(agentId)!;
  }

  /** The conversation that the agent's next run goes on with, or begins where the CLI has had no word in it yet. */
  setSession(agentId: string, sessionId: string, isUsed: boolean): void {
    setSession(this.#db, agentId, sessionId, isUsed);
  }

  /** Keeps a tombstone, also of one that is not known, so that a late call cannot bring the agent back; the environment goes. */
  deleteAgent(userId: string, agentId: string): void {
    this.#db.atomic(() => {
      const known = this.getAgent(agentId);
      if (!known?.deleted) removal.noteDeleted(this.#db, userId, agentId, known?.uid ?? this.#takeUid(), ++this.#rev);
    });
  }

  /** Nothing of the agent is left on this host but its tombstone. */
  buryAgent(agentId: string): void {
    if (this.getAgent(agentId)?.deleted !== "removing") return;
    this.#db.sql("UPDATE agents SET deleted = 2, rev = ? WHERE id = ?").run(++this.#rev, agentId);
  }

  /**
   * Admits a run in one transaction: the run of that id if there is one already; else a new one, unless its agent
   * is busy or there is no room for it. A new run that is not promised yet is not reported before its first `updateRun`.
   */
  admit(run: NewRun, room: Room, isPromised = false): Admission {
    return this.#db.atomicUnsynced(() => {
      const known = this.getRun(run.id);
      if (known) return { run: known, isNew: false };
      const active = this.activeRuns(run.userId);
      const busy = active.find((other) => other.agentId === run.agentId);
      if (busy) return { busy: busy.id };
      const missing = whatIsMissing(active, room);
      if (missing) return missing;
      insertRun(this.#db, this.#sealing, run, isPromised ? ++this.#rev : unpromised, this.#now());
      return { run: this.getRun(run.id)!, isNew: true };
    });
  }

  /**
   * Ends a run and admits the one that goes on with its turn, if any, in its place: both or neither. Answers the run as it
   * ended; null if it had ended before.
   */
  endRun(id: string, end: RunChange, continuation: NewRun | null): RunRow | null {
    return this.#db.atomicUnsynced(() => {
      const ended = this.updateRun(id, end);
      if (ended && continuation && !this.getRun(continuation.id))
        insertRun(this.#db, this.#sealing, continuation, ++this.#rev, this.#now());
      return ended;
    });
  }

  /**
   * Sets fields of a run that has not ended and gives it a new revision; null if it has ended. Once it has begun or ended
   * nobody makes its files again, so its payload goes.
   */
  updateRun(id: string, change: RunChange): RunRow | null {
    const waitingFor = change.waitingFor && { waitingFor: JSON.stringify(change.waitingFor) };
    const token = change.token && { token: this.#sealing.seal(places.token(id), change.token) };
    const columns: Record<string, unknown> = { ...change, ...waitingFor, ...token };
    const assignments = Object.keys(columns).map((name) => `, ${toSnake(name)} = ?`);
    return this.#db.atomicUnsynced(() => {
      const run = this.#revise(
        `${assignments.join("")} WHERE id = ? AND ended_at IS NULL`,
        ...Object.values(columns),
        id,
      );
      if (run && (change.startedAt || change.endedAt))
        this.#db.sql("UPDATE run_inputs SET payload = NULL WHERE run_id = ? AND payload IS NOT NULL").run(id);
      return run;
    });
  }

  /** Forgets a run that was admitted and never promised nor begun. */
  withdraw(id: string): void {
    this.#db.sql(`DELETE FROM runs WHERE id = ? AND rev = ${unpromised} AND exec_id IS NULL`).run(id);
  }

  /** Sets an intent; null if one is set already (a turn that is only stopped may still be cancelled) or the run has ended. */
  intend(id: string, intent: Intent): RunRow | null {
    const statement = `UPDATE runs SET intent = ? WHERE id = ? AND (intent IS NULL OR intent = 'interrupted') AND ended_at IS NULL RETURNING ${runColumns}`;
    return runFrom(this.#db.rows<FlatRun>(statement, intent, id)[0]);
  }

  /**
   * Counts one OOM kill for the run in progress of the agent with this uid in the container whose cgroup this is, and notes how far the
   * kernel's log was read: both or neither. Null if there is no such run.
   */
  countOomKill(uid: number, cgroup: string, readUpTo: string): RunRow | null {
    const which = "agent_id = (SELECT id FROM agents WHERE uid = ?) AND instr(?, container_id) > 0";
    return this.#db.atomic(() => {
      this.setMeta("kmsg", readUpTo);
      return this.#revise(`, oom_kills = oom_kills + 1 WHERE ended_at IS NULL AND ${which}`, uid, cgroup);
    });
  }

  /** Adds what the model proxy counted to the run, which may have ended meanwhile, and to the user's day (UTC); null without such a run. */
  addUsage(id: string, add: Usage): RunRow | null {
    return this.#db.atomic(() => {
      const run = this.#revise(
        `, input_tokens = input_tokens + ?, output_tokens = output_tokens + ?, cache_read_tokens = cache_read_tokens + ?,
         cache_write_tokens = cache_write_tokens + ?, cost_usd = cost_usd + ? WHERE id = ?`,
        add.inputTokens,
        add.outputTokens,
        add.cacheReadTokens,
        add.cacheWriteTokens,
        add.costUsd,
        id,
      );
      if (run)
        this.#db
          .sql("INSERT INTO spend VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET usd = usd + excluded.usd")
          .run(run.userId, isoTime(this.#now()).slice(0, 10), add.costUsd);
      return run;
    });
  }

  /** Days before this one's are over, and nobody asks for them. */
  forgetSpend(day: Date): void {
    this.#db.sql("DELETE FROM spend WHERE day < ?").run(day.toISOString().slice(0, 10));
  }

  /** USD of the user's day (UTC) so far. */
  spentToday(userId: string): number {
    const day = isoTime(this.#now()).slice(0, 10);
    return (
      this.#db.rows<{ usd: number }>("SELECT usd FROM spend WHERE user_id = ? AND day = ?", userId, day)[0]?.usd ?? 0
    );
  }

  /**
   * What changed after `after`, oldest first, up to about `maxBytes` of JSON; `rev` is how far that reaches. Runs that were
   * told first after `after` come with their prompts; of the others whoever holds `after` has it.
   */
  changedSince(after: number, maxBytes: number): Changes {
    return changedSince(this.#db, this.#sealing, after, maxBytes, this.#rev);
  }

  /** A cursor over the user's runs: each call answers those that changed since the one before, oldest change first. */
  watchRuns(userId: string): () => RunRow[] {
    let after = this.#rev;
    return () => {
      const rows = this.#db.rows<FlatRun>(
        `SELECT ${runColumns} FROM runs WHERE user_id = ? AND rev > ? ORDER BY rev`,
        userId,
        after,
      );
      // Also past what others changed: what was looked through once is not looked through again.
      after = this.#rev;
      return rows.map((row) => runFrom(row)!);
    };
  }

  /** Ended runs older than `before` (ISO), at most 200, to be removed with their files; none of these users. */
  expiredRuns(before: string, exceptUserIds: string[]): { id: string; userId: string }[] {
    return removal.expiredRuns(this.#db, before, exceptUserIds);
  }

  runsOf(agentId: string): string[] {
    return this.#db.sql("SELECT id FROM runs WHERE agent_id = ?").pluck().all(agentId) as string[];
  }

  removeRun(id: string): void {
    removal.removeRun(this.#db, id);
  }

  /** Forgets those tombstones up to a revision whose agents have no runs left here. Their uids stay taken. */
  forgetAgents(upTo: number): void {
    removal.forgetAgents(this.#db, upTo);
  }

  /** Whether anything of the user is here: an agent, its tombstone, a run or a credential. */
  hasUser = (userId: string): boolean => removal.hasUser(this.#db, userId);
  /** Forgets a slice of that; whether more is left. What a run in progress needs stays. */
  forgetUser = (userId: string): boolean => removal.forgetUser(this.#db, userId);
  /** Resolves once all changes before are on disk: whoever promises, starts or tells anything by those of a run waits for it. */
  synced = (): Promise<void> => this.#db.synced();

  close(): void {
    this.#db.close();
  }

  /** The uid that the next new agent gets. */
  nextUid(): number {
    return Number(this.getMeta("next_uid") ?? firstUid);
  }

  /** Changes a run, by further assignments and a condition, and gives it a new revision; null, and none is given, where none is meant. */
  #revise(change: string, ...values: unknown[]): RunRow | null {
    const statement = `UPDATE runs SET rev = ?${change} RETURNING ${runColumns}`;
    const [row] = this.#db.rows<FlatRun>(statement, ++this.#rev, ...values);
    if (!row) this.#rev -= 1;
    return runFrom(row);
  }

  #agent(row: FlatAgent | undefined): AgentRow | null {
    return agentFrom(row, this.#sealing);
  }

  #takeUid(): number {
    const uid = this.nextUid();
    this.setMeta("next_uid", String(uid + 1));
    return uid;
  }
}
