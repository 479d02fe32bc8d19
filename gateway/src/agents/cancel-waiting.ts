/** Ending runs that wait at the gateway, as statements for whoever ends what they wait for: an agent, a trigger, a user. */
import { sql, type SQL } from "drizzle-orm";

/** Of a delivery `d`: its run waits, and no host can have it. */
export const isUnsent = sql`(d.due_at is not null and not d.maybe_sent and d.lease_until is null
  and not exists (select 1 from start_calls s where s.user_id = d.user_id and s.run_id = d.run_id))`;

/**
 * Ends the runs that wait of those deliveries `d` that `which` picks; `time` is when. What a host may have is marked, and
 * ended there as soon as it answers, rather than started.
 */
export function cancelWaiting(time: string, which: SQL): SQL[] {
  return [
    cancelledStatement(time, sql`id in (select d.run_id from deliveries d where ${which} and ${isUnsent})`),
    sql`update deliveries as d set due_at = null where ${which} and ${isUnsent}`,
    sql`update deliveries as d set outcome = 'cancelled' where ${which} and d.due_at is not null`,
  ];
}

/** The statement that ends those pending runs that `which` picks as cancelled; it returns their ids. */
export function cancelledStatement(time: string, which: SQL): SQL {
  return sql`
    update runs set status = 'cancelled',
      data = json_set(data, '$.status', 'cancelled', '$.reason', 'cancelled', '$.endedAt', ${time},
        '$.waitingFor', json('null'))
    where status = 'pending' and ${which} returning id`;
}
