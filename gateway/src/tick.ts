/** What time brings about: pending runs start, what is old goes. The Node timer and the Worker's cron call the same `tick`. */
import { sql } from "drizzle-orm";
import { isoTime } from "./data/database.ts";
import type { Deps } from "./deps.ts";
import { startPending, usersWithPending } from "./agents/pending.ts";
import { deleteOld } from "./retention.ts";

const usersAtOnce = 8;
const retentionMs = 3_600_000;

/** Does what is due. Any number of ticks may run at once: each piece of work is claimed by one statement. */
export async function tick(deps: Deps): Promise<void> {
  const waiting = await usersWithPending(deps);
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

/** Whether this chore is due and nobody else has taken it for this time; it is due again after `everyMs`. */
async function claimChore({ db, now }: Deps, name: string, everyMs: number): Promise<boolean> {
  const time = isoTime(now());
  const claimed = await db.all(sql`
    insert into chores (name, due_at) values (${name}, ${isoTime(now() + everyMs)})
    on conflict (name) do update set due_at = excluded.due_at where chores.due_at <= ${time} returning name`);
  return claimed.length > 0;
}
