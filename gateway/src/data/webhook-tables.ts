/** The tables of what comes in and starts runs, beside those of schema.ts. */
import type { TriggerScheme } from "@berth/shared/webhooks";
import { sql } from "drizzle-orm";
import { index, integer, primaryKey, sqliteTable, text, uniqueIndex } from "drizzle-orm/sqlite-core";

/** Webhooks in. Secrets are sealed (sealing.ts); the previous one is good until its time. */
export const triggers = sqliteTable(
  "triggers",
  {
    id: text().primaryKey(),
    userId: text("user_id").notNull(),
    agentId: text("agent_id").notNull(),
    name: text().notNull(),
    scheme: text().$type<TriggerScheme>().notNull(),
    template: text().notNull(),
    secret: text().notNull(),
    previousSecret: text("previous_secret"),
    previousUntil: text("previous_until"),
    createdAt: text("created_at").notNull(),
    updatedAt: text("updated_at").notNull(),
  },
  (table) => [
    index("triggers_agent").on(table.agentId, table.createdAt, table.id),
    // By the key that sealed it, whose name comes first.
    index("triggers_sealed").on(table.secret),
    index("triggers_sealed_before").on(table.previousSecret),
  ],
);

/**
 * What came in. A row whose `dueAt` is set is a run that the gateway still has to start: not before that time, not while
 * somebody has the lease, and in the order of `seq` for each agent.
 */
export const deliveries = sqliteTable(
  "deliveries",
  {
    seq: integer().primaryKey({ autoIncrement: true }),
    id: text().notNull().unique(),
    triggerId: text("trigger_id").notNull(),
    userId: text("user_id").notNull(),
    agentId: text("agent_id").notNull(),
    /** The sender's own id of it. */
    externalId: text("external_id"),
    /** The delivery that this one repeats. */
    replayOf: text("replay_of"),
    receivedAt: text("received_at").notNull(),
    contentType: text("content_type"),
    /** The headers that a template may see. */
    headers: text({ mode: "json" }).$type<Record<string, string>>().notNull(),
    /** The body's bytes in base64url. */
    payload: text().notNull(),
    bytes: integer().notNull(),
    /** Null where no run came of it; `detail` says why. */
    runId: text("run_id").unique(),
    /** `cancelled`: its run is to be ended where it is, not started. */
    outcome: text().$type<"skipped" | "rejected" | "cancelled">(),
    detail: text(),
    dueAt: text("due_at"),
    leaseUntil: text("lease_until"),
    attempts: integer().notNull().default(0),
    /** Whether the host may have the run: it was asked, and did not say no. */
    maybeSent: integer("maybe_sent", { mode: "boolean" }).notNull().default(false),
  },
  (table) => [
    uniqueIndex("deliveries_external").on(table.triggerId, table.externalId),
    // Covering: what stands behind a payload in its row is read by walking all pages of the payload.
    index("deliveries_listed").on(
      table.triggerId,
      table.receivedAt,
      table.id,
      table.externalId,
      table.replayOf,
      table.contentType,
      table.bytes,
      table.runId,
      table.outcome,
      table.detail,
    ),
    index("deliveries_received")
      .on(table.receivedAt)
      .where(sql`due_at is null`),
    index("deliveries_leased")
      .on(table.leaseUntil)
      .where(sql`lease_until is not null`),
    index("deliveries_waiting")
      .on(table.userId, table.agentId, table.seq, table.dueAt, table.leaseUntil)
      .where(sql`due_at is not null`),
  ],
);

/** Calls that ask a host for a run, until it answers (agents/start-calls.ts); `asked` is the hash of the message. */
export const startCalls = sqliteTable(
  "start_calls",
  {
    userId: text("user_id").notNull(),
    runId: text("run_id").notNull(),
    callId: text("call_id").notNull(),
    hostId: text("host_id").notNull(),
    asked: text().notNull(),
    askedAt: text("asked_at").notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.userId, table.runId, table.callId] }),
    index("start_calls_asked").on(table.askedAt),
  ],
);

/** Chores of this name have behind it the id of a trigger that was deleted: its deliveries go. */
export const deliveriesOf = "deliveries of ";
