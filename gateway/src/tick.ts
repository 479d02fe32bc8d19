/** What time brings about: pending runs start, what is old goes. The Node timer and the Worker's cron call the same `tick`. */
import { sql, type SQL } from "drizzle-orm";
import { storeUses } from "./access/token-uses.ts";
import { forgetFuture, startDue } from "./agents/pending.ts";
import { isoTime } from "./data/database.ts";
import type { Deps } from "./deps.ts";
import { askMisfitsAgain } from "./fleet/reports.ts";
import { messageOf } from "@berth/shared/log";
import { deleteLeftDeliveries, sealAnew } from "./webhooks/triggers.ts";

const retentionMs = 3_600_000;
/** A clock that is set right by less was not ahead: what it put off is due a minute late at most. */
const steppedMs = 60_000;
const dayMs = 24 * 3_600_000;
/** A day over the year in which the database itself refuses to delete. */
const auditDays = 367;
/** Longer than anybody repeats a call. */
const keyDays = 31;
/** How many rows of a table go in one transaction: everybody waits for it, and the index of words is merged by the runs that go. */
const sliceRows = 25;
/** How many secrets an hour are sealed anew that an earlier key has sealed. */
const secretsAtOnce = 100;

/** Does what is due. Any number of ticks may run at once: each piece of work is claimed by one statement. */
export async function tick(deps: Deps): Promise<void> {
  const done = await Promise.allSettled([
    noticeStep(deps),
    startDue(deps),
    runRetention(deps),
    deleteLeftDeliveries(deps),
    storeUses(deps),
  ]);
  const failed = done.find((one) => one.status === "rejected");
  if (failed) throw failed.reason;
}

/** By how much the clock is ahead of elapsed time, at the last tick of who has a memory of it. */
const aheadMs = new WeakMap<Deps["db"], number>();

/** A clock that was set back has put off for as long what it was asked for meanwhile. */
async function noticeStep(deps: Deps): Promise<void> {
  const now = deps.now() - performance.now();
  const earlier = aheadMs.get(deps.db) ?? now;
  // Slewed, or set back by less, it has moved only a little.
  if (Math.abs(now - earlier) < steppedMs) return void aheadMs.set(deps.db, earlier);
  aheadMs.set(deps.db, now);
  if (now > earlier) return;
  await forgetFuture(deps).catch((error: unknown) => {
    aheadMs.set(deps.db, earlier);
    throw error;
  });
}

/** A slice a turn, until the next hour's. */
async function runRetention(deps: Deps): Promise<void> {
  const chore = await claimRetention(deps);
  if (!chore) return;
  if (chore.wasAhead) await forgetFuture(deps);
  // Whoever answers here may be of another version than whoever set something aside, or soon is.
  if (!chore.goesOn) await askMisfitsAgain(deps);
  if (!chore.goesOn)
    await sealAnew(deps, secretsAtOnce).catch((error: unknown) =>
      deps.log.error("secrets.not_sealed_anew", { error: messageOf(error) }),
    );
  const isLeft = await deleteOld(deps, chore.time);
  // No time at all says that it goes on: it is due at once, in the same time.
  if (isLeft) await deps.db.all(sql`update chores set due_at = '' where name = 'retention' returning name`);
}

/**
 * Deletes a slice of what is older than the retention at `now`; whether more is left. Credentials stay a day after their
 * end, so that hosts hear of revocations.
 */
export async function deleteOld(
  { atomic, settings }: Pick<Deps, "atomic" | "settings">,
  now: number,
): Promise<boolean> {
  const retained = isoTime(now - settings.BERTH_RETENTION_DAYS * dayMs);
  const yesterday = isoTime(now - dayMs);
  const heard = isoTime(now - dayMs + 3_600_000);
  const audited = isoTime(now - auditDays * dayMs);
  // What others depend on comes after them: with a slice of runs left, most of their deliveries cannot go yet.
  const old: [table: string, which: SQL][] = [
    ["runs", sql`user_id in (select id from deleted_users)`],
    ["runs", sql`status in ('completed', 'failed', 'cancelled') and created_at < ${retained} order by created_at`],
    [
      "deliveries",
      sql`due_at is null and received_at < ${retained}
        and not exists (select 1 from runs where runs.id = deliveries.run_id) order by received_at`,
    ],
    ["triggers", sql`agent_id in (select id from agents where deleted_at < ${retained})`],
    ["agents", sql`dropped_at < ${retained} and not exists (select 1 from runs where runs.agent_id = agents.id)`],
    ["tokens", sql`expires_at < ${yesterday}`],
    ["sign_in_codes", sql`expires_at < ${yesterday}`],
    // A host that was heard an hour later, or more, has told of what it took; after a month nobody asks with the same key.
    [
      "start_calls",
      sql`asked_at < ${yesterday} and (asked_at < ${isoTime(now - keyDays * dayMs)} or exists (
        select 1 from hosts h where h.id = start_calls.host_id and h.removed_at is null and h.last_report_at > ${heard}))
        order by asked_at`,
    ],
    ["used_tickets", sql`expires_at < ${isoTime(now)}`],
    ["join_tokens", sql`expires_at < ${yesterday}`],
    ["daily_use", sql`day < ${audited}`],
    ["host_minutes", sql`at < ${isoTime(now - 2 * retentionMs)}`],
    ["audit", sql`created_at < ${audited}`],
  ];
  for (const [name, isOld] of old) {
    const table = sql.raw(name);
    // What a power cut brings back is old still.
    const [deleted] = await atomic(
      [
        sql`delete from ${table} where rowid in (select rowid from ${table} where ${isOld} limit ${sliceRows}) returning 1`,
      ],
      "copy",
    );
    if (deleted!.length === sliceRows) return true;
  }
  return false;
}

/**
 * Claims the retention when it is due and nobody else has taken it for this time; it is due again in an hour. `time` is
 * what it may believe in: the clock's, but a day beyond the last time at most, so that a clock that is far ahead for a
 * while makes nothing old. `wasAhead`: it was due later than it can be, which a clock that was ahead has left behind.
 * `goesOn`: it was continued.
 */
async function claimRetention({ db, now }: Deps): Promise<{ time: number; wasAhead: boolean; goesOn: boolean } | null> {
  const [time, next] = [isoTime(now()), isoTime(now() + retentionMs)];
  const latest = isoTime(now() + retentionMs + steppedMs);
  const [known] = await db.all<{ due: string }>(sql`select due_at as due from chores where name = 'retention'`);
  if (known && known.due > time && known.due <= latest) return null;
  const [claimed] = await db.all<{ reached: string }>(sql`
    insert into chores (name, due_at, reached) values ('retention', ${next}, ${time})
    on conflict (name) do update set due_at = excluded.due_at, reached = case when due_at = '' then reached else
      min(${time}, strftime('%Y-%m-%dT%H:%M:%fZ', coalesce(reached, due_at), '+1 day')) end
    where due_at <= ${time} or due_at > ${latest} returning reached`);
  if (!claimed) return null;
  const due = known?.due ?? time;
  return { time: Date.parse(claimed.reached), wasAhead: due > latest, goesOn: due === "" };
}
