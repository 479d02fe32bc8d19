/**
 * The gateway's tables. Users, tokens, agents, placement are facts of the gateway; workspaces, runs and an agent's
 * variable names are copies of what hosts report, so they carry (epoch, rev) and no foreign keys. Times are ISO 8601 UTC
 * with milliseconds, so that text order is time order.
 */
import type { HostLoad, JoinBody } from "@berth/shared/host-api";
import type { OnInterruption, Permissions, Run, Workspace } from "@berth/shared/resources";
import type { RuntimeName } from "@berth/shared/kinds/runtimes";
import type { OwnLimits } from "@berth/shared/users";
import type { RunStatus } from "@berth/shared/values";
import { sql } from "drizzle-orm";
import type { JWK } from "jose";
import { index, integer, primaryKey, real, sqliteTable, text, uniqueIndex } from "drizzle-orm/sqlite-core";

export const users = sqliteTable(
  "users",
  {
    id: text().primaryKey(),
    name: text().notNull().unique(),
    role: text().$type<"user" | "admin">().notNull(),
    disabled: integer({ mode: "boolean" }).notNull().default(false),
    /** While disabled: the host ends their runs and stops their workspace. */
    cancelRuns: integer("cancel_runs", { mode: "boolean" }).notNull().default(false),
    /** Placement: the one host that has the user's workspace. */
    hostId: text("host_id"),
    placedAt: text("placed_at"),
    /** From when on a look at the user's runs that wait is worth it; null while none waits. */
    pendingDueAt: text("pending_due_at"),
    /** What the user must be told until it is dismissed: one sentence. */
    notice: text(),
    /** Who the user is to git; null is by the user's name. */
    gitName: text("git_name"),
    gitEmail: text("git_email"),
    /** What is of their own in place of the settings. */
    limits: text({ mode: "json" }).$type<OwnLimits>().notNull().default({}),
    lastSignInAt: text("last_sign_in_at"),
    createdAt: text("created_at").notNull(),
    /** How much of their runs and deliveries of that day (UTC) is stored: counted by triggers of the database. */
    storedOn: text("stored_on"),
    storedBytes: integer("stored_bytes").notNull().default(0),
  },
  (table) => [
    index("users_host").on(table.hostId, table.placedAt, table.id),
    index("users_pending")
      .on(table.hostId, table.pendingDueAt)
      .where(sql`pending_due_at is not null`),
    index("users_disabled")
      .on(table.hostId)
      .where(sql`disabled`),
    index("users_created").on(table.createdAt, table.id),
    index("users_admins")
      .on(table.id)
      .where(sql`role = 'admin' and not disabled`),
  ],
);

/** Whom an admin deleted: an older copy of a host may come back with them at any time, and is told then. */
export const deletedUsers = sqliteTable(
  "deleted_users",
  {
    id: text().primaryKey(),
    name: text().notNull(),
    /** Who has their files; null where nobody has. */
    hostId: text("host_id"),
    deletedAt: text("deleted_at").notNull(),
    /** When that host said that nothing is left. */
    goneAt: text("gone_at"),
  },
  (table) => [
    index("deleted_users_left")
      .on(table.hostId)
      .where(sql`gone_at is null`),
  ],
);

export const tokens = sqliteTable(
  "tokens",
  {
    id: text().primaryKey(),
    userId: text("user_id")
      .notNull()
      .references(() => users.id),
    kind: text().$type<"api" | "session">().notNull(),
    name: text().notNull(),
    createdAt: text("created_at").notNull(),
    expiresAt: text("expires_at").notNull(),
    lastUsedAt: text("last_used_at"),
    revokedAt: text("revoked_at"),
  },
  (table) => [
    index("tokens_user").on(table.userId, table.createdAt),
    index("tokens_revoked")
      .on(table.userId, table.revokedAt)
      .where(sql`revoked_at is not null`),
    index("tokens_expires").on(table.expiresAt),
  ],
);

/** One-time sign-in codes, by SHA-256. */
export const signInCodes = sqliteTable(
  "sign_in_codes",
  {
    hash: text().primaryKey(),
    userId: text("user_id")
      .notNull()
      .references(() => users.id),
    expiresAt: text("expires_at").notNull(),
    usedAt: text("used_at"),
  },
  (table) => [index("sign_in_codes_user").on(table.userId), index("sign_in_codes_expires").on(table.expiresAt)],
);

/** Socket tickets that were used, until they would have expired. */
export const usedTickets = sqliteTable(
  "used_tickets",
  { id: text().primaryKey(), expiresAt: text("expires_at").notNull() },
  (table) => [index("used_tickets_expires").on(table.expiresAt)],
);

/** One-time join tokens, by SHA-256; `hostId` and `publicKey` are of the host that used it. */
export const joinTokens = sqliteTable(
  "join_tokens",
  {
    hash: text().primaryKey(),
    createdAt: text("created_at").notNull(),
    expiresAt: text("expires_at").notNull(),
    usedAt: text("used_at"),
    hostId: text("host_id"),
    publicKey: text("public_key"),
  },
  (table) => [index("join_tokens_expires").on(table.expiresAt)],
);

export const hosts = sqliteTable(
  "hosts",
  {
    id: text().primaryKey(),
    name: text().notNull(),
    url: text().notNull(),
    publicKey: text("public_key", { mode: "json" }).$type<JoinBody["publicKey"]>().notNull(),
    createdAt: text("created_at").notNull(),
    draining: integer({ mode: "boolean" }).notNull().default(false),
    removedAt: text("removed_at"),
    lastReportAt: text("last_report_at"),
    /** Until when no run that waits is offered: it took a call and answered none. */
    pausedUntil: text("paused_until"),
    version: text(),
    protocol: integer(),
    /** Why its last report was refused: one sentence; null once one was applied. */
    refusal: text(),
    /** Why the gateway's calls do not get to it: one sentence; null once one did. */
    unreached: text(),
    /** What of its reports was set aside: one sentence. */
    misfit: text(),
    /** The host's database that the copy is of, the revision up to which it is complete, and the last report's number. */
    epoch: text(),
    rev: integer().notNull().default(0),
    seq: integer().notNull().default(0),
    load: text({ mode: "json" }).$type<HostLoad>(),
    /** How many users are placed here: counted by triggers of the database. */
    users: integer().notNull().default(0),
  },
  (table) => [
    index("hosts_users")
      .on(table.users, table.id)
      .where(sql`removed_at is null`),
  ],
);

/** What each host reported first in a minute, for two hours. */
export const hostMinutes = sqliteTable(
  "host_minutes",
  {
    hostId: text("host_id").notNull(),
    at: text().notNull(),
    workspaces: integer().notNull(),
    activeRuns: integer("active_runs").notNull(),
    memoryUsedBytes: integer("memory_used_bytes").notNull(),
    diskAvailableBytes: integer("disk_available_bytes").notNull(),
    /** The longest of all that it told in that minute. */
    answerMs: real("answer_ms"),
  },
  (table) => [primaryKey({ columns: [table.hostId, table.at] }), index("host_minutes_at").on(table.at)],
);

export const workspaces = sqliteTable(
  "workspaces",
  {
    userId: text("user_id").primaryKey(),
    hostId: text("host_id").notNull(),
    data: text({ mode: "json" }).$type<Workspace>().notNull(),
  },
  (table) => [index("workspaces_host").on(table.hostId)],
);

export const agents = sqliteTable(
  "agents",
  {
    id: text().primaryKey(),
    userId: text("user_id")
      .notNull()
      .references(() => users.id),
    name: text().notNull(),
    runtime: text().$type<RuntimeName>().notNull(),
    model: text(),
    instructions: text(),
    directory: text(),
    repository: text(),
    /** Where the repository is cloned, wherever the agent works later. */
    repositoryDirectory: text("repository_directory"),
    /** What it asks its user before it does it. */
    permissions: text().$type<Permissions>().notNull().default("skip"),
    /** Whether a turn that is lost with its container is taken up again. */
    onInterruption: text("on_interruption").$type<OnInterruption>().notNull().default("stop"),
    version: integer().notNull(),
    createdAt: text("created_at").notNull(),
    updatedAt: text("updated_at").notNull(),
    /** A tombstone: hidden, its name is free again; kept until the host has dropped the agent and its runs are gone, then its id alone. */
    deletedAt: text("deleted_at"),
    droppedAt: text("dropped_at"),
    /** The copy of the variables' names, with the host's epoch and revision of it. */
    envKeys: text("env_keys", { mode: "json" }).$type<string[]>().notNull(),
    envEpoch: text("env_epoch"),
    envRev: integer("env_rev"),
  },
  (table) => [
    uniqueIndex("agents_name")
      .on(table.userId, table.name)
      .where(sql`deleted_at is null`),
    index("agents_user").on(table.userId, table.createdAt, table.id),
    index("agents_deleted")
      .on(table.deletedAt)
      .where(sql`deleted_at is not null`),
    index("agents_dropped")
      .on(table.droppedAt)
      .where(sql`dropped_at is not null`),
    index("agents_undropped")
      .on(table.userId)
      .where(sql`deleted_at is not null and dropped_at is null`),
  ],
);

/**
 * Ids of agents whose rows are gone, noted by a trigger of the database and kept for ever: a host that comes back with their files
 * hears by them that it may remove these. One that is in neither table may be newer than this copy of the database.
 */
export const deletedAgents = sqliteTable("deleted_agents", { id: text().primaryKey() });

/** A run but for its prompt; what an earlier version did not know is absent. */
export type StoredRun = Omit<Run, "prompt" | Since> & Partial<Pick<Run, Since>>;
type Since = "attachments" | "continues";

/** Of a run: text for text as its indices have it. */
export const triggerKind = sql`(data ->> '$.trigger.kind')`;

/** Runs that have not ended, in the very words of two partial indexes: SQLite uses one for a condition that has its own as a term. */
export const isUnended = sql`status in ('pending', 'starting', 'running')`;
/** Those of them that a host has taken. */
export const isInProgress = sql`${isUnended} and status <> 'pending'`;

export const runs = sqliteTable(
  "runs",
  {
    id: text().primaryKey(),
    userId: text("user_id").notNull(),
    agentId: text("agent_id").notNull(),
    /** Null while a run is pending at the gateway; then the host whose revision this is. */
    hostId: text("host_id"),
    epoch: text(),
    rev: integer(),
    status: text().$type<RunStatus>().notNull(),
    triggerId: text("trigger_id"),
    createdAt: text("created_at").notNull(),
    /** The contract's run object but for the prompt: escaped in JSON, a long one would be more than a row of D1 holds. */
    data: text({ mode: "json" }).$type<StoredRun>().notNull(),
    prompt: text().notNull().default(""),
    /** Its row in the full-text index `run_words`, counted by time; both are kept by triggers of the database. */
    wordsId: integer("words_id"),
    /** The message that the run's Idempotency-Key stands for, as its hash; null where that is the run's own. */
    asked: text(),
  },
  (table) => [
    index("runs_words").on(table.wordsId),
    // With what lists filter by, so that those that do not fit are passed over in the index alone.
    index("runs_user").on(table.userId, table.createdAt, table.id, table.status, table.triggerId, triggerKind),
    index("runs_agent").on(
      table.agentId,
      table.createdAt,
      table.id,
      table.userId,
      table.status,
      table.triggerId,
      triggerKind,
    ),
    index("runs_ended")
      .on(table.createdAt)
      .where(sql`status in ('completed', 'failed', 'cancelled')`),
    index("runs_unended").on(table.userId, table.agentId).where(isUnended),
    index("runs_unended_of_host").on(table.hostId, table.epoch).where(isUnended),
  ],
);

/** What runs have cost, by the day (UTC) on which they were sent: kept by triggers of the database, and longer than the runs. */
export const dailyUse = sqliteTable(
  "daily_use",
  {
    userId: text("user_id").notNull(),
    day: text().notNull(),
    agentId: text("agent_id").notNull(),
    runs: integer().notNull(),
    tokens: integer().notNull(),
    costUsd: real("cost_usd").notNull(),
  },
  (table) => [primaryKey({ columns: [table.userId, table.day, table.agentId] }), index("daily_use_day").on(table.day)],
);

/** Appended only: triggers of the database refuse changes, and deletions within a year. */
export const audit = sqliteTable(
  "audit",
  {
    id: text().primaryKey(),
    createdAt: text("created_at").notNull(),
    actorKind: text("actor_kind").$type<"user" | "token" | "host" | "system">().notNull(),
    actorId: text("actor_id"),
    actorName: text("actor_name"),
    tokenId: text("token_id"),
    action: text().notNull(),
    targetId: text("target_id"),
    targetName: text("target_name"),
    address: text(),
    outcome: text().$type<"succeeded" | "refused">().notNull(),
    detail: text({ mode: "json" }).$type<Record<string, string | number | boolean | null>>().notNull(),
  },
  (table) => [
    index("audit_created").on(table.createdAt, table.id),
    index("audit_actor").on(table.actorId, table.createdAt, table.id),
    index("audit_actor_name").on(table.actorName, table.createdAt, table.id),
    index("audit_action").on(table.action, table.createdAt, table.id),
    index("audit_target").on(table.targetId, table.createdAt, table.id),
  ],
);

/** Whom an OpenID provider vouches for: one user each, found by issuer and subject alone. */
export const identities = sqliteTable(
  "identities",
  {
    issuer: text().notNull(),
    subject: text().notNull(),
    userId: text("user_id")
      .notNull()
      .references(() => users.id),
    createdAt: text("created_at").notNull(),
  },
  (table) => [primaryKey({ columns: [table.issuer, table.subject] }), index("identities_user").on(table.userId)],
);

/** Of deleted users: whom the provider vouches for in vain, until an admin lets them in. */
export const refusedIdentities = sqliteTable(
  "refused_identities",
  {
    issuer: text().notNull(),
    subject: text().notNull(),
    /** The deleted user. */
    userId: text("user_id").notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.issuer, table.subject] }),
    index("refused_identities_user").on(table.userId),
  ],
);

/** The provider's description and keys as they were read last, so that a start while it is away still knows them. */
export const providers = sqliteTable("providers", {
  issuer: text().primaryKey(),
  metadata: text({ mode: "json" }).$type<Record<string, unknown>>().notNull(),
  jwks: text({ mode: "json" }).$type<{ keys: JWK[] }>().notNull(),
  readAt: text("read_at").notNull(),
});

/** What is done now and then, by whoever comes first after `dueAt`, as if it were `reached`. */
export const chores = sqliteTable("chores", {
  name: text().primaryKey(),
  dueAt: text("due_at").notNull(),
  reached: text(),
});
