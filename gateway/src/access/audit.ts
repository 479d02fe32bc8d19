/** The audit: who did what, on what, from where, and with what outcome. Appended only; never holds a secret. */
import { newId } from "@berth/shared/ids";
import { auditAction, auditOutcome, type AuditEntry } from "@berth/shared/audit";
import { time } from "@berth/shared/resources";
import { and, desc, eq, gte, lt, sql, type SQL } from "drizzle-orm";
import { z } from "zod";
import type { AuditSource } from "../http/caller.ts";
import { isoTime, type Database } from "../data/database.ts";
import type { Deps } from "../deps.ts";
import { afterCursor, pageQuery, toPage, type Page } from "../http/paging.ts";
import { audit as table } from "../data/schema.ts";

/** What to write down; `outcome` is `succeeded` and the rest empty where it is not said. */
export interface NewAuditEntry extends AuditSource {
  action: AuditEntry["action"];
  target?: { id: string; name?: string | null };
  outcome?: AuditEntry["outcome"];
  /** Facts beside the target. Never a token, code, secret, prompt or value of a variable. */
  detail?: AuditEntry["detail"];
}

/** Appends one entry by itself. */
export async function audit({ atomic, now }: Pick<Deps, "atomic" | "now">, entry: NewAuditEntry): Promise<void> {
  await atomic([auditStatement(now(), entry)]);
}

/** The statement that appends an entry, for an atomic batch. */
export function auditStatement(now: number, entry: NewAuditEntry): SQL {
  return insert(now, entry, sql`true`);
}

/** The same, to stand right behind a change in its batch: appends only when that change touched a row. */
export function auditChange(now: number, entry: NewAuditEntry): SQL {
  return insert(now, entry, sql`changes() > 0`);
}

const instant = time.transform((text) => new Date(text).toISOString());
export const auditQuery = pageQuery.extend({
  /** Id or name of a user or host. */
  actor: z.string().max(200).optional(),
  action: auditAction.optional(),
  /** Id of what was acted on. */
  target: z.string().max(200).optional(),
  outcome: auditOutcome.optional(),
  /** From this time on, and before that one. */
  since: instant.optional(),
  until: instant.optional(),
});

/** The entries, newest first. */
export async function listAudit(db: Database, query: z.infer<typeof auditQuery>): Promise<Page<AuditEntry>> {
  const filters = [
    query.actor === undefined ? undefined : isBy(query.actor),
    query.action && eq(table.action, query.action),
    query.target === undefined ? undefined : eq(table.targetId, query.target),
    query.outcome && eq(table.outcome, query.outcome),
    query.since && gte(table.createdAt, query.since),
    query.until && lt(table.createdAt, query.until),
    afterCursor(query, table.createdAt, table.id, "newest first"),
  ];
  const rows = await db
    .select()
    .from(table)
    .where(and(...filters.filter((filter) => filter !== undefined && filter !== "")))
    .orderBy(desc(table.createdAt), desc(table.id))
    .limit(query.limit + 1);
  return toPage(rows, query.limit, present);
}

/** Each half by an index of its own; an `or` would read the whole table in its order. */
function isBy(actor: string): SQL {
  return sql`${table.id} in (select id from audit where actor_id = ${actor} union select id from audit where actor_name = ${actor})`;
}

function present(row: typeof table.$inferSelect): AuditEntry {
  return {
    id: row.id,
    at: row.createdAt,
    actor: { kind: row.actorKind, id: row.actorId, name: row.actorName, tokenId: row.tokenId },
    action: row.action as AuditEntry["action"],
    target: row.targetId === null ? null : { id: row.targetId, name: row.targetName },
    address: row.address,
    outcome: row.outcome,
    detail: row.detail,
  };
}

function insert(now: number, entry: NewAuditEntry, condition: SQL): SQL {
  const { actor: by, target } = entry;
  return sql`
    insert into audit (id, created_at, actor_kind, actor_id, actor_name, token_id, action, target_id, target_name,
      address, outcome, detail)
    select ${newId("aud")}, ${isoTime(now)}, ${by.kind}, ${by.id}, ${by.name}, ${by.tokenId}, ${entry.action},
      ${target?.id ?? null}, ${target?.name ?? null}, ${entry.address}, ${entry.outcome ?? "succeeded"},
      ${JSON.stringify(entry.detail ?? {})}
    where ${condition}`;
}
