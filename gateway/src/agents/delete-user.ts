/** Deleting a user for good: at once here, on their host with the next answer to its reports, what is long by ticks. */
import { AppError } from "@berth/shared/errors";
import { sql, type SQL } from "drizzle-orm";
import { auditChange, auditStatement } from "../access/audit.ts";
import { findUser } from "../access/users.ts";
import { isoTime, type Database } from "../data/database.ts";
import { isUnended } from "../data/schema.ts";
import { deliveriesOf } from "../data/webhook-tables.ts";
import type { Deps } from "../deps.ts";
import type { AuditSource } from "../http/caller.ts";

/**
 * Deletes a user with all that is theirs, by one batch: what they cost stays in the sums, who they were in the audit. Whose
 * host is away is deleted there once it is back. Repeating it is fine. `confirm` must be the user's name. Who signed in at
 * a provider is refused from then on, unless they `mayReturn`, which can be said later too. Throws `not_found`, and `conflict`
 * without the name or for the last active admin.
 */
export async function deleteUser(
  deps: Pick<Deps, "db" | "atomic" | "now" | "log">,
  source: AuditSource,
  userId: string,
  { confirm, mayReturn }: { confirm: string | null; mayReturn: boolean },
) {
  const { db, atomic, now } = deps;
  const user = await findUser(db, userId);
  if (!user && (await wasDeleted(db, userId))) return mayReturn ? letIn(deps, source, userId) : undefined;
  if (!user) throw new AppError("not_found", "There is no such user.");
  if (confirm !== user.name)
    throw new AppError(
      "conflict",
      "Deleting a user ends all they run and deletes their agents, files and conversations for good: to do so, repeat the call with ?confirm= and the user's name.",
    );
  const time = isoTime(now());
  const entry = { ...source, action: "user.deleted", target: { id: userId, name: user.name } } as const;
  const isAnother = sql`exists (select 1 from users o where o.id <> ${userId} and o.role = 'admin' and not o.disabled)`;
  const [deleted] = await atomic([
    sql`insert into deleted_users (id, name, host_id, deleted_at, gone_at)
      select id, name, host_id, ${time}, case when host_id is null then ${time} end from users
      where id = ${userId} and (role <> 'admin' or disabled or ${isAnother}) returning id`,
    auditChange(now(), entry),
    ...(mayReturn ? [] : [refuse(userId)]),
    ...deleteAllOf(userId),
  ]);
  if (deleted?.length === 1) return deps.log.warn("user.deleted", { userId });
  if (await wasDeleted(db, userId)) return;
  await atomic([auditStatement(now(), { ...entry, outcome: "refused" })]);
  throw new AppError("conflict", "The last active admin cannot be deleted.");
}

const refuse = (userId: string) => sql`
  insert into refused_identities (issuer, subject, user_id) select issuer, subject, user_id from identities
  where user_id = ${userId} and exists (select 1 from deleted_users where id = ${userId}) on conflict do nothing`;

async function letIn(
  { atomic, now }: Pick<Deps, "atomic" | "now">,
  source: AuditSource,
  userId: string,
): Promise<void> {
  const name = sql`(select name from deleted_users where id = ${userId})`;
  await atomic([
    sql`delete from refused_identities where user_id = ${userId}`,
    auditChange(now(), { ...source, action: "user.may_return", target: { id: userId, name } }),
  ]);
}

/** Notes that a host has nothing left of these deleted users of its own. */
export async function noteUsersGone(
  { db, atomic, now }: Deps,
  host: { id: string; name: string },
  ids: string[],
): Promise<void> {
  const given = sql`(select value from json_each(${JSON.stringify(ids)}))`;
  const left = await db.all<{ id: string; name: string }>(sql`
    select id, name from deleted_users where id in ${given} and (host_id = ${host.id} or host_id is null) and gone_at is null`);
  const source = { actor: { kind: "host", id: host.id, name: host.name, tokenId: null }, address: null } as const;
  for (const target of left)
    await atomic([
      sql`update deleted_users set gone_at = ${isoTime(now())}, host_id = ${host.id}
        where id = ${target.id} and gone_at is null`,
      auditChange(now(), { ...source, action: "user.files_deleted", target }),
    ]);
}

async function wasDeleted(db: Database, userId: string): Promise<boolean> {
  return (await db.all(sql`select 1 from deleted_users where id = ${userId}`)).length > 0;
}

/**
 * What refers to others before those. Of the runs those in progress, for nobody shall ask hosts about them; the others, of
 * which there may be many, and what their triggers took go by ticks.
 */
function deleteAllOf(userId: string): SQL[] {
  const isDeleted = sql`exists (select 1 from deleted_users where id = ${userId})`;
  const itsAgents = sql`(select id from agents where user_id = ${userId})`;
  const ofUser = {
    tokens: sql`user_id = ${userId}`,
    sign_in_codes: sql`user_id = ${userId}`,
    identities: sql`user_id = ${userId}`,
    workspaces: sql`user_id = ${userId}`,
    deliveries: sql`user_id = ${userId} and due_at is not null`,
    start_calls: sql`user_id = ${userId}`,
    runs: sql`user_id = ${userId} and ${isUnended}`,
    triggers: sql`agent_id in ${itsAgents}`,
    agents: sql`user_id = ${userId}`,
    users: sql`id = ${userId}`,
  };
  return [
    sql`insert into chores (name, due_at)
      select ${deliveriesOf} || id, '' from triggers where agent_id in ${itsAgents} and ${isDeleted}
      on conflict do nothing`,
    ...Object.entries(ofUser).map(
      ([table, which]) => sql`delete from ${sql.raw(table)} where ${which} and ${isDeleted}`,
    ),
    // The rest of the hour's chores need not wait for the hour.
    sql`update chores set due_at = '' where name = 'retention' and ${isDeleted}`,
  ];
}
