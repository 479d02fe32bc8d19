/** Hosts: how one joins, which are live, and on which a user's workspace is placed. */
import { AppError } from "@berth/shared/errors";
import { hostLoad, protocolVersion, type JoinBody } from "@berth/shared/host-api";
import { newId, randomText, sha256Hex } from "@berth/shared/ids";
import { id, time } from "@berth/shared/resources";
import { and, asc, eq, gt, isNull, or, sql } from "drizzle-orm";
import { z } from "zod";
import { isoTime, type Database } from "./database.ts";
import type { Deps } from "./deps.ts";
import { afterCursor, toPage, type Page, type PageQuery } from "./page.ts";
import { hosts, joinTokens, users } from "./schema.ts";

/** A host that was silent for longer is down. */
export const liveMs = 30_000;
const joinMs = 3_600_000;

export const hostSchema = z.object({
  id,
  name: z.string(),
  url: z.string(),
  status: z.enum(["live", "down"]),
  draining: z.boolean(),
  users: z.int(),
  version: z.string().nullable(),
  load: hostLoad.nullable(),
  createdAt: time,
  lastReportAt: time.nullable(),
});
export type Host = z.infer<typeof hostSchema>;

/** Where a host is called. */
export interface HostTarget {
  id: string;
  url: string;
}

type Placement = Pick<Deps, "db" | "now" | "settings">;

/** Makes a join token: random text, stored by hash, good for one host within an hour. */
export async function createJoinToken(db: Database, now: number): Promise<{ token: string; expiresAt: string }> {
  const token = randomText(40);
  const expiresAt = isoTime(now + joinMs);
  await db.insert(joinTokens).values({ hash: await sha256Hex(token), createdAt: isoTime(now), expiresAt });
  return { token, expiresAt };
}

/**
 * Joins a host. The token is used up by the first key that shows it; the same key with the same token is the same
 * host, so that a host whose answer was lost can ask again. Throws `unauthenticated`.
 */
export async function joinHost(db: Database, now: number, body: JoinBody): Promise<string> {
  refuseOtherProtocol(body.protocol);
  const isUsable = or(isNull(joinTokens.usedAt), eq(joinTokens.publicKey, body.publicKey.x));
  const [used] = await db
    .update(joinTokens)
    .set({
      usedAt: isoTime(now),
      publicKey: body.publicKey.x,
      hostId: sql`coalesce(${joinTokens.hostId}, ${newId("hst")})`,
    })
    .where(and(eq(joinTokens.hash, await sha256Hex(body.token)), gt(joinTokens.expiresAt, isoTime(now)), isUsable))
    .returning({ hostId: joinTokens.hostId });
  if (!used?.hostId) throw new AppError("unauthenticated", "The join token is wrong, expired or used already.");
  const { name, url, publicKey } = body;
  await db
    .insert(hosts)
    .values({ id: used.hostId, name, url, publicKey, createdAt: isoTime(now) })
    .onConflictDoNothing();
  return used.hostId;
}

/**
 * The user's host. A user without one is placed on the live, not draining host with the fewest users and room for one
 * more, by one statement, so that racing calls agree. Throws `no_host`.
 */
export async function placeUser({ db, now, settings }: Placement, userId: string): Promise<HostTarget> {
  const placed = await findHostOfUser(db, userId);
  if (placed) return placed;
  const best = sql`(
    select h.id from hosts h
    where h.last_report_at > ${isoTime(now() - liveMs)} and h.removed_at is null and not h.draining
      and json_extract(h.load, '$.workspaces') < json_extract(h.load, '$.maxWorkspaces')
      and json_extract(h.load, '$.memoryAvailableBytes') >= ${settings.BERTH_MEMORY_BYTES}
    order by (select count(*) from users u where u.host_id = h.id), h.id limit 1)`;
  await db
    .update(users)
    .set({ hostId: best })
    .where(and(eq(users.id, userId), isNull(users.hostId)))
    .returning({ id: users.id });
  const host = await findHostOfUser(db, userId);
  if (!host) throw new AppError("no_host", "No live host takes a new workspace now.", { retryAfter: 5 });
  return host;
}

/** Host and gateway are one release: another protocol is refused with a sentence (`invalid_request`). */
export function refuseOtherProtocol(protocol: number): void {
  if (protocol === protocolVersion) return;
  const detail = `The host speaks another protocol than ${protocolVersion}: run the same version of both.`;
  throw new AppError("invalid_request", detail);
}

/** The host that has the user's workspace, down or not. */
export async function findHostOfUser(db: Database, userId: string): Promise<HostTarget | undefined> {
  const [host] = await db
    .select({ id: hosts.id, url: hosts.url })
    .from(users)
    .innerJoin(hosts, eq(hosts.id, users.hostId))
    .where(eq(users.id, userId));
  return host;
}

export async function listHosts(db: Database, now: number, query: PageQuery): Promise<Page<Host>> {
  const rows = await db
    .select({
      id: hosts.id,
      name: hosts.name,
      url: hosts.url,
      draining: hosts.draining,
      users: sql<number>`(select count(*) from users u where u.host_id = hosts.id)`,
      version: hosts.version,
      load: hosts.load,
      createdAt: hosts.createdAt,
      lastReportAt: hosts.lastReportAt,
    })
    .from(hosts)
    .where(and(isNull(hosts.removedAt), afterCursor(query, hosts.createdAt, hosts.id, "oldest first")))
    .orderBy(asc(hosts.createdAt), asc(hosts.id))
    .limit(query.limit + 1);
  const liveSince = isoTime(now - liveMs);
  return toPage(rows, query.limit, (row) => {
    const isLive = row.lastReportAt !== null && row.lastReportAt > liveSince;
    return { ...row, status: isLive ? ("live" as const) : ("down" as const) };
  });
}

/** Whether any host has reported lately, and whether the built-in demo model answers on the user's host (or on any live one). */
export async function findLiveHosts(db: Database, now: number, hostId: string | null) {
  const rows = await db
    .select({ id: hosts.id, load: hosts.load })
    .from(hosts)
    .where(and(isNull(hosts.removedAt), gt(hosts.lastReportAt, isoTime(now - liveMs))));
  const own = rows.filter((row) => row.id === hostId);
  return { any: rows.length > 0, demoModel: (own.length > 0 ? own : rows).some((row) => row.load?.demoModel === true) };
}
