/** Hosts: which are live, and on which a user's workspace is placed. */
import { AppError } from "@berth/shared/errors";
import { and, eq, gt, isNull, sql, type SQL } from "drizzle-orm";
import { sleep } from "@berth/shared/wait";
import { isoTime, prepareOnce, type Database } from "../data/database.ts";
import type { Deps } from "../deps.ts";
import { hosts, users } from "../data/schema.ts";

/** A host that was silent for longer is down. */
export const liveMs = 30_000;
/** How long a user who was placed counts as a workspace to come, unless the host tells of it sooner. */
const comingMs = 60_000;
/** How long placing waits after the start of this process for hosts to speak. */
const settleMs = 10_000;

/** Where a host is called. */
export interface HostTarget {
  id: string;
  url: string;
}

type Placement = Pick<Deps, "db" | "now" | "settings" | "startedAt">;

/**
 * The user's host. A user without one is placed on the live, not draining host with the fewest users and room for one
 * more, by one statement, so that racing calls agree. Throws `no_host`.
 */
export async function placeUser(deps: Placement, userId: string): Promise<HostTarget> {
  const { db, now, settings } = deps;
  const placed = (await findHostOfUser(db, userId)) ?? (await waitForHosts(deps, userId));
  if (placed) return placed;
  const best = sql`(
    select h.id from hosts h indexed by hosts_users
    where h.last_report_at > ${isoTime(now() - liveMs)} and h.refusal is null and h.unreached is null and h.removed_at is null and not h.draining
      and json_extract(h.load, '$.problem') is null
      and json_extract(h.load, '$.workspaces') + ${countComing(sql`h`, now())} < json_extract(h.load, '$.maxWorkspaces')
      and json_extract(h.load, '$.memoryAvailableBytes') >= coalesce(users.limits ->> '$.memoryBytes', ${settings.BERTH_MEMORY_BYTES})
    order by h.users, h.id limit 1)`;
  await db
    .update(users)
    .set({ hostId: best, placedAt: isoTime(now()) })
    .where(and(eq(users.id, userId), isNull(users.hostId)))
    .returning({ id: users.id });
  const host = await findHostOfUser(db, userId);
  if (!host) throw new AppError("no_host", "No live host takes a new workspace now.", { retryAfter: 5 });
  return host;
}

/** How many users were placed on the host `h` whose workspaces it has not told of yet: its own count lacks them. */
export function countComing(h: SQL, now: number): SQL<number> {
  return sql<number>`(select count(*) from users c
    where c.host_id = ${h}.id and c.placed_at > ${isoTime(now - comingMs)} and not exists (select 1 from workspaces w
      where w.user_id = c.id and w.host_id = c.host_id
        and (json_extract(w.data, '$.containerId') is not null or json_extract(w.data, '$.status') = 'starting')))`;
}

/**
 * A database may be an older copy that has forgotten where the user is: in its first seconds a gateway places nobody
 * before each host has spoken to it. Answers the user's host when one of them has the user.
 */
async function waitForHosts({ db, now, startedAt = 0 }: Placement, userId: string): Promise<HostTarget | undefined> {
  const isSilent = sql`removed_at is null and (last_report_at is null or last_report_at < ${isoTime(startedAt)})`;
  // A clock that was put back does not tell how long that is.
  const isYoung = () => now() >= startedAt && now() - startedAt < settleMs;
  while (isYoung()) {
    const [silent] = await db.all(sql`select id from hosts where ${isSilent} limit 1`);
    if (!silent) break;
    await sleep(100);
  }
  return findHostOfUser(db, userId);
}

/** The host that has the user's workspace, down or not. */
export async function findHostOfUser(db: Database, userId: string): Promise<HostTarget | undefined> {
  return selectHostOfUser(db).get({ userId });
}

/** The user's host, or any live one for what they all answer alike. */
export async function findAnyHost(
  { db, now }: Pick<Deps, "db" | "now">,
  userId: string,
): Promise<HostTarget | undefined> {
  const own = await findHostOfUser(db, userId);
  if (own) return own;
  const isLive = and(
    isNull(hosts.removedAt),
    isNull(hosts.refusal),
    isNull(hosts.unreached),
    gt(hosts.lastReportAt, isoTime(now() - liveMs)),
  );
  const [live] = await db.select({ id: hosts.id, url: hosts.url }).from(hosts).where(isLive).limit(1);
  return live;
}

const selectHostOfUser = prepareOnce((db) =>
  db
    .select({ id: hosts.id, url: hosts.url })
    .from(users)
    .innerJoin(hosts, eq(hosts.id, users.hostId))
    .where(eq(users.id, sql.placeholder("userId")))
    .prepare(),
);

/**
 * Why no host that has reported lately can start a workspace, null if one can; and whether the built-in demo model answers on
 * the user's host, or on any where that is not live. Mostly the first host that is looked at tells both.
 */
export async function findLiveHosts(db: Database, now: number, hostId: string | null) {
  const heard = sql`from hosts where removed_at is null and refusal is null and last_report_at > ${isoTime(now - liveMs)}`;
  const live = sql`${heard} and unreached is null`;
  const problem = sql`json_extract(load, '$.problem')`;
  const isDemo = sql`json_extract(load, '$.demoModel')`;
  const own = sql`${heard} and id = ${hostId}`;
  const [row] = await db.all<{ reason: string | null; isDemo: number }>(sql`
    select case when exists (select 1 ${live} and ${problem} is null) then null
        else coalesce((select ${problem} ${live} limit 1), 'No host is live.') end as reason,
      case when exists (select 1 ${own}) then exists (select 1 ${own} and ${isDemo})
        else exists (select 1 ${heard} and ${isDemo}) end as "isDemo"`);
  return { reason: row!.reason, demoModel: row!.isDemo === 1 };
}
