/**
 * Whose waiting runs are looked at next. Each user with something that waits stands once in a queue of their host, by the
 * time from which on a look is worth it: what cannot start costs nothing until then, and holds up nobody behind it.
 */
import { sql, type SQL } from "drizzle-orm";
import { isoTime, type Database } from "../data/database.ts";
import type { Deps } from "../deps.ts";
import { liveMs } from "../hosts/placement.ts";

/** How many calls that start runs may be under way to a host before it is left alone. */
export const startsPerHost = 8;
/** How long a user is taken for: a call that starts a run is given up sooner. */
const takenMs = 10_000;
/** After a refusal: no host is asked more often for one user. */
const refusedMs = 1000;
/** Circuit breaker: how long a host that took a call and answered none is left alone. */
const pauseMs = 15_000;
/** How often those who wait for a host that is away are looked at, and how many at once. */
const [awayMs, awayAtOnce] = [5000, 10];

/** Hosts that may be asked and have somebody in their queue, in any order; null is the queue of those without a host. */
export async function hostsWithPending(db: Database, now: number, most: number): Promise<(string | null)[]> {
  const time = isoTime(now);
  const rows = await db.all<{ id: string | null }>(sql`
    with asked as materialized (select u.host_id, count(*) as calls from deliveries d indexed by deliveries_leased
      cross join users u on u.id = d.user_id where d.lease_until > ${time} group by u.host_id)
    select id from (select h.id from hosts h where ${isOpen(now)} and exists (${inQueue(sql`h.id`, time)})
      and h.id not in (select host_id from asked where host_id is not null and calls >= ${startsPerHost})
    union all select null where exists (${inQueue(sql`null`, time)}))
    order by random() limit ${most}`);
  return rows.map(({ id }) => id);
}

/** Takes those users of the host's queue who wait longest, for a while. */
export async function takeUsers(deps: Deps, hostId: string | null, most: number): Promise<string[]> {
  const now = deps.now();
  const time = isoTime(now);
  const mayAsk =
    hostId === null ? sql`true` : sql`exists (select 1 from hosts h where h.id = ${hostId} and ${isOpen(now)})`;
  const [rows] = await deps.atomic([
    sql`update users set pending_due_at = ${isoTime(now + takenMs)}
    where id in (${inQueue(sql`${hostId}`, time)} order by u.pending_due_at limit ${most})
      and pending_due_at <= ${time} and ${mayAsk} returning id`,
  ]);
  return rows!.map(({ id }) => id as string);
}

/** Takes some users whose host nobody may ask, for a while: as long, at most, a start waits once the host is back. */
export async function takeAway({ db, now }: Deps): Promise<string[]> {
  const time = isoTime(now());
  const rows = await db.all<{ id: string }>(sql`
    update users set pending_due_at = ${isoTime(now() + awayMs)}
    where id in (select u.id from hosts h cross join users u indexed by users_pending on u.host_id = h.id
      where u.pending_due_at <= ${time} and not ${isOpen(now())} limit ${awayAtOnce}) returning id`);
  return rows.map(({ id }) => id);
}

/** Puts the user back for when the first of an agent's runs is due; nothing that waits is no place in the queue. */
export async function putBack({ atomic, now }: Deps, userId: string, isRefused: boolean): Promise<void> {
  const soonest = isoTime(isRefused ? now() + refusedMs : now());
  await atomic([
    sql`update users set pending_due_at = (
      select max(min(max(d.due_at, coalesce(d.lease_until, ''))), ${soonest})
      from ${firstsOf(userId)} f cross join deliveries d on d.seq = f.seq)
    where id = ${userId} and pending_due_at is not null`,
  ]);
}

/** The statement that gives a user whose run has just come to wait a place in the queue. */
export function putInQueue(time: string, userId: string): SQL {
  return sql`update users set pending_due_at = ${time} where id = ${userId} and pending_due_at is null`;
}

/** Moves those of these users who have a place in the queue to its front. */
export function moveToFront(time: string, which: SQL): SQL {
  return sql`update users set pending_due_at = ${time} where pending_due_at > ${time} and ${which}`;
}

/** Leaves a host alone for a while. */
export async function pauseHost({ db, now }: Deps, hostId: string): Promise<void> {
  await db.all(sql`update hosts set paused_until = ${isoTime(now() + pauseMs)} where id = ${hostId} returning id`);
}

/** The first delivery that waits of each agent of the user. */
export const firstsOf = (userId: string) =>
  sql`(select min(seq) as seq from deliveries where user_id = ${userId} and due_at is not null group by agent_id)`;

/** The host `h` is live and not paused. */
export const isOpen = (now: number) => sql`(h.removed_at is null and h.last_report_at > ${isoTime(now - liveMs)}
  and (h.paused_until is null or h.paused_until <= ${isoTime(now)} or h.paused_until > ${isoTime(now + pauseMs)}))`;

/** The user `u` is not disabled, or something of theirs is to be ended. */
const mayStart = sql`(not u.disabled or exists (
  select 1 from deliveries d where d.user_id = u.id and d.due_at is not null and d.outcome is not null))`;

function inQueue(hostId: SQL, time: string): SQL {
  return sql`select u.id from users u indexed by users_pending
    where u.host_id is ${hostId} and u.pending_due_at <= ${time} and ${mayStart}`;
}
