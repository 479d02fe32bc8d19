/** The audit: who did what, on what, from where, and with what outcome. Appended only; never holds a secret. */
import { newId } from "@berth/shared/ids";
import { auditAction, auditOutcome, type AuditEntry } from "@berth/shared/audit";
import { time } from "@berth/shared/values";
import { desc, inArray, sql, type SQL } from "drizzle-orm";
import { z } from "zod";
import type { AuditSource } from "../http/caller.ts";
import { isoTime, type Database } from "../data/database.ts";
import type { Deps } from "../deps.ts";
import { afterCursor, lookThrough, pageQuery, toPage, type Page } from "../http/paging.ts";
import { audit as table } from "../data/schema.ts";

/** What to write down; `outcome` is `succeeded` and the rest empty where it is not said. */
export interface NewAuditEntry extends AuditSource {
  action: AuditEntry["action"];
  /** Its name may be read by the statement itself. */
  target?: { id: string; name?: string | SQL | null };
  outcome?: AuditEntry["outcome"];
  /** Facts beside the target. Never a token, code, secret, prompt or value of a variable. */
  detail?: AuditEntry["detail"];
}

/** Appends one entry by itself. */
export async function audit({ atomic, now }: Pick<Deps, "atomic" | "now">, entry: NewAuditEntry): Promise<void> {
  await atomic([auditStatement(now(), entry)]);
}

/** The fields that a change makes other than they were, for `detail.changed`; its body may name more. */
export function tellChanges<Fields extends object>(before: Fields, change: Partial<Fields>): string {
  const names = Object.keys(change) as (keyof Fields & string)[];
  return names.filter((name) => change[name] !== undefined && change[name] !== before[name]).join(", ");
}

/** As `auditStatement`, to stand right behind a change in its batch: appends only when that change touched a row. */
export const auditChange = (now: number, entry: NewAuditEntry): SQL => auditStatement(now, entry, sql`changes() > 0`);

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

/** The entries, newest first. One filter finds them by its index; the others pick among those. */
export async function listAudit(db: Database, query: z.infer<typeof auditQuery>): Promise<Page<AuditEntry>> {
  const { actor, action, target, outcome, since, until } = query;
  const after = afterCursor(query, table.createdAt, table.id, "newest first");
  const range = sql.join(
    [
      sql`true`,
      ...(since ? [sql`created_at >= ${since}`] : []),
      ...(until ? [sql`created_at < ${until}`] : []),
      ...(after ? [after] : []),
    ],
    sql` and `,
  );
  // An actor is an id or a name: each by an index of its own, for an `or` would read the whole table in its order.
  const ways = [
    ...(target === undefined ? [] : [[sql`target_id = ${target}`]]),
    ...(actor === undefined ? [] : [[sql`actor_id = ${actor}`, sql`actor_name = ${actor}`]]),
    ...(action ? [[sql`action = ${action}`]] : []),
  ];
  const [found = [sql`true`], ...rest] = ways;
  const sources = found.map((by) => sql`from audit where ${by} and ${range}`);
  const filter = [
    ...rest.map((either) => sql`(${sql.join(either, sql` or `)})`),
    ...(outcome ? [sql`outcome = ${outcome}`] : []),
  ];
  const { rows, endsAt } = await lookThrough(db, { sources, filter, columns: sql<object>`null` }, query);
  const page = toPage(rows, query.limit, (row) => row.id);
  const ids = sql`(select value from json_each(${JSON.stringify(page.items)}))`;
  const entries = await db
    .select()
    .from(table)
    .where(inArray(table.id, ids))
    .orderBy(desc(table.createdAt), desc(table.id));
  return { items: entries.map(present), nextCursor: page.nextCursor ?? endsAt };
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

/** The statement that appends an entry, for an atomic batch. */
export function auditStatement(now: number, entry: NewAuditEntry, condition = sql`true`): SQL {
  const { actor: by, target } = entry;
  return sql`
    insert into audit (id, created_at, actor_kind, actor_id, actor_name, token_id, action, target_id, target_name,
      address, outcome, detail)
    select ${newId("aud")}, ${isoTime(now)}, ${by.kind}, ${by.id}, ${by.name}, ${by.tokenId}, ${entry.action},
      ${target?.id ?? null}, ${target?.name ?? null}, ${entry.address}, ${entry.outcome ?? "succeeded"},
      ${JSON.stringify(entry.detail ?? {})}
    where ${condition}`;
}
