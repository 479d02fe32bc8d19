/** What time brings about: pending runs start, what is old goes. The Node timer and the Worker's cron call the same `tick`. */
import { sql } from "drizzle-orm";
import { startPending, usersWithPending } from "./agents/pending.ts";
import { isoTime } from "./data/database.ts";
import type { Deps } from "./deps.ts";

const usersAtOnce = 8;
const retentionMs = 3_600_000;
const dayMs = 24 * 3_600_000;
/** A day over the year in which the database itself refuses to delete. */
const auditDays = 367;

/** Does what is due. Any number of ticks may run at once: each piece of work is claimed by one statement. */
export async function tick(deps: Deps): Promise<void> {
  const waiting = await usersWithPending(deps.db, deps.now());
  const workers = Array.from({ length: Math.min(usersAtOnce, waiting.length) }, async () => {
    for (let userId = waiting.shift(); userId !== undefined; userId = waiting.shift()) await startPending(deps, userId);
  });
  const done = await Promise.allSettled([...workers, runRetention(deps)]);
  const failed = done.find((one) => one.status === "rejected");
  if (failed) throw failed.reason;
}

async function runRetention(deps: Deps): Promise<void> {
  if (await claimChore(deps, "retention", retentionMs)) await deleteOld(deps);
}

/** Deletes what is older than the retention. Credentials stay a day after their end, so that hosts hear of revocations. */
export async function deleteOld({ atomic, settings, now }: Deps): Promise<void> {
  const retained = isoTime(now() - settings.BERTH_RETENTION_DAYS * dayMs);
  const yesterday = isoTime(now() - dayMs);
  await atomic([
    sql`delete from runs where created_at < ${retained} and status in ('completed', 'failed', 'cancelled')`,
    sql`delete from deliveries where received_at < ${retained} and due_at is null
      and not exists (select 1 from runs where runs.id = deliveries.run_id)`,
    sql`delete from triggers where agent_id in (select id from agents where deleted_at < ${retained})`,
    sql`delete from agents where dropped_at < ${retained}
      and not exists (select 1 from runs where runs.agent_id = agents.id)`,
    sql`delete from tokens where expires_at < ${yesterday}`,
    sql`delete from sign_in_codes where expires_at < ${yesterday}`,
    sql`delete from join_tokens where expires_at < ${yesterday}`,
    sql`delete from audit where created_at < ${isoTime(now() - auditDays * dayMs)}`,
  ]);
}

/** Whether this chore is due and nobody else has taken it for this time; it is due again after `everyMs`. */
async function claimChore({ db, now }: Deps, name: string, everyMs: number): Promise<boolean> {
  const time = isoTime(now());
  const claimed = await db.all(sql`
    insert into chores (name, due_at) values (${name}, ${isoTime(now() + everyMs)})
    on conflict (name) do update set due_at = excluded.due_at where chores.due_at <= ${time} returning name`);
  return claimed.length > 0;
}
