/** Hosts as admins see and change them: state and why one is not used, drain, resume, remove. */
import { AppError } from "@berth/shared/errors";
import { hostLoad, type HostLoad } from "@berth/shared/host-api";
import type { Host } from "@berth/shared/hosts";
import type { Settings } from "@berth/shared/settings";
import { and, asc, eq, isNull, sql } from "drizzle-orm";
import { auditChange } from "../access/audit.ts";
import { isUnsent } from "../agents/cancel-waiting.ts";
import { columnsOf, isoTime, type Database } from "../data/database.ts";
import type { Deps } from "../deps.ts";
import { countComing, liveMs } from "../hosts/placement.ts";
import { afterCursor, toPage, type Page, type PageQuery } from "../http/paging.ts";
import { hosts, isInProgress } from "../data/schema.ts";
import type { AuditSource } from "../http/caller.ts";

/** All hosts that were not removed, oldest first. */
export async function listHosts(db: Database, settings: Settings, now: number, query: PageQuery): Promise<Page<Host>> {
  const rows = await selectHosts(db, now)
    .where(and(isNull(hosts.removedAt), afterCursor(query, hosts.createdAt, hosts.id, "oldest first")))
    .orderBy(asc(hosts.createdAt), asc(hosts.id))
    .limit(query.limit + 1);
  return toPage(rows, query.limit, (row) => present(settings, now, row));
}

/** Takes a host out of placement, or back in; what it has goes on. Throws `not_found`. */
export async function setDraining(deps: Deps, source: AuditSource, hostId: string, draining: boolean): Promise<Host> {
  const host = await findHost(deps, hostId);
  const action = draining ? "host.drained" : "host.resumed";
  await deps.atomic([
    sql`update hosts set draining = ${Number(draining)}
      where id = ${hostId} and removed_at is null and draining <> ${Number(draining)}`,
    auditChange(deps.now(), { ...source, action, target: { id: hostId, name: host.name } }),
  ]);
  return findHost(deps, hostId);
}

/**
 * Removes a host for good: its runs end as `host_lost`, and so do those that wait and that it may have begun; its users keep their agents and are placed anew when they next
 * need a workspace, which is empty then and told so. Where there are users, `confirm` must be the host's name. Throws
 * `not_found`, `conflict`.
 */
export async function removeHost(
  deps: Deps,
  source: AuditSource,
  hostId: string,
  confirm: string | null,
): Promise<void> {
  const host = await findHost(deps, hostId);
  if (host.users > 0 && confirm !== host.name)
    throw new AppError(
      "conflict",
      `${host.users} users have their files on this host and would start anew without them, and its runs would end as lost: to do so, repeat the call with ?confirm= and the host's name.`,
    );
  const now = isoTime(deps.now());
  const itsUsers = sql`(select id from users where host_id = ${hostId})`;
  const maybeThere = sql`(select d.run_id from deliveries d
    where d.user_id in ${itsUsers} and d.due_at is not null and not ${isUnsent})`;
  const notice = `The host ${host.name} was removed: your agents are kept, but their files, conversations and environment variables were on it, so your workspace is empty.`;
  await deps.atomic([
    sql`update hosts set removed_at = ${now} where id = ${hostId} and removed_at is null`,
    auditChange(deps.now(), { ...source, action: "host.removed", target: { id: hostId, name: host.name } }),
    sql`update runs set status = 'failed',
        data = json_set(data, '$.status', 'failed', '$.reason', 'host_lost', '$.endedAt', ${now}, '$.waitingFor', json('null'))
      where host_id = ${hostId} and ${isInProgress}
        or status = 'pending' and id in ${maybeThere}`,
    sql`update deliveries set due_at = null, lease_until = null where run_id in ${maybeThere}`,
    sql`delete from workspaces where host_id = ${hostId}`,
    sql`update agents set env_keys = '[]', env_epoch = null, env_rev = null,
        dropped_at = case when deleted_at is not null then coalesce(dropped_at, ${now}) end
      where user_id in ${itsUsers}`,
    // Should it join anew it tells whom it has, and hears of the deletion then.
    sql`update deleted_users set host_id = null where host_id = ${hostId} and gone_at is null`,
    sql`update users set host_id = null, placed_at = null, notice = ${notice} where host_id = ${hostId}`,
    // An older copy of the database may have taken a user to be here who was elsewhere: what was told of that user is told again.
    sql`update hosts set rev = 0 where removed_at is null`,
  ]);
}

async function findHost({ db, settings, now }: Deps, hostId: string): Promise<Host> {
  const [row] = await selectHosts(db, now()).where(and(eq(hosts.id, hostId), isNull(hosts.removedAt)));
  if (!row) throw new AppError("not_found", "There is no such host.");
  return present(settings, now(), row);
}

function selectHosts(db: Database, now: number) {
  return db
    .select({
      ...columnsOf(
        hosts,
        "id",
        "name",
        "url",
        "draining",
        "version",
        "protocol",
        "refusal",
        "unreached",
        "misfit",
        "load",
        "users",
      ),
      ...columnsOf(hosts, "createdAt", "lastReportAt"),
      leaving: sql<number>`(select count(*) from deleted_users d where d.host_id = hosts.id and d.gone_at is null)`,
      coming: countComing(sql`hosts`, now),
    })
    .from(hosts)
    .$dynamic();
}

type HostRow = Awaited<ReturnType<typeof selectHosts>>[number];

function present(settings: Settings, now: number, { refusal, unreached, misfit, coming, ...row }: HostRow): Host {
  const down = refusal ?? whySilent(row.lastReportAt, now) ?? unreached;
  const status = down !== null ? "down" : row.draining ? "draining" : "live";
  const draining = row.draining && row.load ? tellDraining(row.load, row.users) : null;
  return {
    ...row,
    // What a host of an earlier version told last.
    load: row.load && hostLoad.parse(row.load),
    status,
    reason: down ?? draining ?? whyFull(row.load, coming, settings.BERTH_MEMORY_BYTES) ?? misfit,
  };
}

function whySilent(lastReportAt: string | null, now: number): string | null {
  if (lastReportAt === null) return "It has joined and not reported yet.";
  return lastReportAt > isoTime(now - liveMs) ? null : `It has been silent since ${lastReportAt}.`;
}

function tellDraining({ workspaces, activeRuns }: HostLoad, users: number): string {
  const files = users === 0 ? "nobody has files on it" : `files of ${users} users are on it`;
  if (workspaces + activeRuns === 0) return `It is draining and empty: nothing runs on it, and ${files}.`;
  return `It is draining: ${workspaces} workspaces and ${activeRuns} runs go on, and ${files}.`;
}

/** The same conditions as those of placement. */
function whyFull(load: HostLoad | null, coming: number, memoryBytes: number): string | null {
  if (!load) return "It has not told its load yet.";
  if (load.problem) return load.problem;
  if (load.workspaces + coming >= load.maxWorkspaces)
    return `It is full: it has as many workspaces as it may run, ${load.maxWorkspaces}.`;
  if (load.memoryAvailableBytes < memoryBytes)
    return "It is short of memory: not enough is left for one more workspace.";
  return null;
}
