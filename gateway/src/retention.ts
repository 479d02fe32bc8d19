/** What is deleted with time: ended runs, credentials that nobody can use, tombstones that nobody needs. */
import { sql } from "drizzle-orm";
import { isoTime } from "./data/database.ts";
import type { Deps } from "./deps.ts";

const dayMs = 24 * 3_600_000;
/** A day over the year in which the database itself refuses to delete. */
const auditDays = 367;

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
