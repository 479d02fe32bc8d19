/** Ending runs that wait at the gateway, as statements for whoever ends what they wait for: an agent, a trigger, a user. */
import { sql, type SQL } from "drizzle-orm";

/** Of a delivery `d`: its run waits, and no host can have it. */
export const isUnsent = sql`(d.due_at is not null and not d.maybe_sent and d.lease_until is null)`;

/** Ends the runs of those deliveries `d` that `which` picks, as far as no host can have them; `time` is when. */
export function cancelUnsent(time: string, which: SQL): SQL[] {
  return [
    cancelledStatement(time, sql`id in (select d.run_id from deliveries d where ${which} and ${isUnsent})`),
    sql`update deliveries as d set due_at = null where ${which} and ${isUnsent}`,
  ];
}

/** The statement that ends those pending runs that `which` picks as cancelled; it returns their ids. */
export function cancelledStatement(time: string, which: SQL): SQL {
  return sql`
    update runs set status = 'cancelled',
      data = json_set(data, '$.status', 'cancelled', '$.reason', 'cancelled', '$.endedAt', ${time})
    where status = 'pending' and ${which} returning id`;
}
