/** Which host was asked for a run under an `Idempotency-Key`, and has not answered: what begins there must not begin elsewhere. */
import { sql, type SQL } from "drizzle-orm";
import type { Deps } from "../deps.ts";

/**
 * Notes, durably, that this host of the user's is being asked at that time. Answers the host that has been: another one if that
 * was removed before it answered, and null where the user was taken from this one meanwhile.
 */
export async function noteStartCall(
  { atomic }: Deps,
  { runId, userId, hostId, askedAt }: { runId: string; userId: string; hostId: string; askedAt: string },
): Promise<string | null> {
  const [, asked] = await atomic([
    sql`
      insert into start_calls (run_id, host_id, asked_at)
      select ${runId}, u.host_id, ${askedAt} from users u where u.id = ${userId} and u.host_id = ${hostId}
      on conflict (run_id) do update set host_id = excluded.host_id, asked_at = excluded.asked_at
      where not ${isRemoved(sql`start_calls.host_id`)}`,
    sql`select s.host_id as "hostId" from start_calls s
      where s.run_id = ${runId} and (s.host_id = ${hostId} or ${isRemoved(sql`s.host_id`)})`,
  ]);
  return (asked![0] as { hostId: string } | undefined)?.hostId ?? null;
}

/** Whether this host was removed. */
export const isRemoved = (hostId: SQL) =>
  sql`exists (select 1 from hosts h where h.id = ${hostId} and h.removed_at is not null)`;

/** The host has answered, and the run is in the copy. */
export const answeredStatement = (runId: string) =>
  sql`delete from start_calls where run_id = ${runId} and exists (select 1 from runs where id = ${runId})`;

/** The host has refused: it does not have the run, unless somebody has asked again since. */
export const refusedStatement = (runId: string, askedAt: string) =>
  sql`delete from start_calls where run_id = ${runId} and asked_at = ${askedAt}`;
