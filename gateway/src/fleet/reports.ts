/** A host's report: applied to the copy in a constant number of statements, and what the host is told in answer. */
import { parseOr400 } from "@berth/shared/errors";
import { hostLoad, protocolVersion, reportBody, type ReportAnswer, type ReportBody } from "@berth/shared/host-api";
import { isEnded } from "@berth/shared/resources";
import { sql, type SQL } from "drizzle-orm";
import { z } from "zod";
import { isoTime } from "../data/database.ts";
import type { Deps } from "../deps.ts";
import { jsonRows } from "../data/json-rows.ts";
import { isInProgress } from "../data/schema.ts";
import { liveMs } from "../hosts/placement.ts";
import { noteMinute } from "./health.ts";
import { upsertRuns } from "../agents/runs.ts";

const revocationMs = 2 * 3_600_000;
/** How many agents an answer names to drop. */
const dropsAtOnce = 200;
/** How many runs in progress an answer asks about. */
const runsAtOnce = 20;

/** A report of which each entry fits; `load` is null where the host's did not. */
export type Report = Omit<ReportBody, "load"> & { load: ReportBody["load"] | null };

const { shape } = reportBody;
const envelope = reportBody.extend({
  load: z.unknown(),
  workspaces: z.array(z.unknown()),
  runs: z.array(z.unknown()),
  agents: z.array(z.unknown()),
});

/**
 * Reads a report entry by entry: what does not fit is set aside, so that one odd run takes no host down, and `misfit` tells
 * of the first. Throws `invalid_request` where what is around the entries does not fit.
 */
export function readReport(body: unknown): { report: Report; misfit: string | null } {
  const told = parseOr400(envelope, body, "body");
  const misfits: string[] = [];
  const take = <T extends z.ZodType>(what: string, schema: T, entry: unknown): z.infer<T>[] => {
    const { success, data, error } = schema.safeParse(entry, { reportInput: false });
    if (success) return [data];
    misfits.push(`${what}: ${error.issues[0]!.path.join(".")}: ${error.issues[0]!.message}`);
    return [];
  };
  const report = {
    ...told,
    load: take("the load", hostLoad, told.load)[0] ?? null,
    workspaces: told.workspaces.flatMap((entry) => take("a workspace", shape.workspaces.element, entry)),
    runs: told.runs.flatMap((entry) => take("a run", shape.runs.element, entry)),
    agents: told.agents.flatMap((entry) => take("an agent", shape.agents.element, entry)),
  };
  const [first] = misfits;
  if (first === undefined) return { report, misfit: null };
  const advice = "upgrade the older of gateway and host agent";
  return { report, misfit: `A part of its reports does not fit and is left out (${first}): ${advice}.` };
}

/**
 * Notes what of a host's reports was set aside; whether that is new. It is forgotten once the host, which tells all it
 * knows from time to time, has nothing more that does not fit.
 */
export async function noteMisfit(
  { db }: Deps,
  hostId: string,
  { since }: Report,
  misfit: string | null,
): Promise<boolean> {
  if (misfit === null && since > 0) return false;
  const noted = await db.all(sql`
    update hosts set misfit = ${misfit} where id = ${hostId} and misfit is not ${misfit} returning id`);
  return noted.length > 0 && misfit !== null;
}

/** Asks hosts again for all they know, of whom something was set aside: whoever answers now may understand it. */
export async function askMisfitsAgain({ db }: Pick<Deps, "db">): Promise<void> {
  await db.all(sql`update hosts set rev = 0 where misfit is not null returning id`);
}

/**
 * Applies a report, and answers what is held then and what the host must know: all in one batch. It may come twice, late
 * or out of order: runs and agents go by their own revision, workspaces by the report's number, and absence is never taken
 * for deletion. Users without a placement are taken to be where a workspace of theirs is, so that a restored database
 * finds them again.
 */
export async function applyReport(
  { atomic, now, keyring, gatherMs }: Deps,
  hostId: string,
  report: Report,
): Promise<ReportAnswer> {
  const time = isoTime(now());
  const { workspaces, runs, agents } = report;
  const changes = [
    ...(workspaces.length + runs.length > 0 ? [adoptUsers(hostId, report)] : []),
    ...(workspaces.length > 0 ? [upsertWorkspaces(hostId, report)] : []),
    ...(runs.length > 0 ? upsertRuns(hostId, report.epoch, runs) : []),
    ...(agents.length > 0 ? [updateAgents(hostId, report, time)] : []),
    wakeReturned(hostId, time, isoTime(now() - liveMs)),
    updateHost(hostId, report, time),
    ...noteMinute(hostId, report, now()),
    endForgottenRuns(hostId, report, time),
  ];
  const asked = selectNews(hostId, report, now());
  const held = sql`select epoch, rev, seq from hosts where id = ${hostId}`;
  const results = await atomic([...changes, held, ...Object.values(asked)], "copy");
  const [[ack], ...news] = results.slice(changes.length) as [[ReportAnswer["ack"]], ...{ id: string }[][]];
  const told = Object.keys(asked).map((name, at) => [name, news[at]!.map(({ id }) => id)]);
  return {
    protocol: protocolVersion,
    time,
    ack,
    ...(Object.fromEntries(told) as Record<keyof typeof asked, string[]>),
    gatherMs: gatherMs?.(),
    jwks: keyring.jwks as ReportAnswer["jwks"],
  };
}

/** Notes why a host's reports are refused; what was copied from it stays. */
export async function noteRefusal(
  { db }: Deps,
  hostId: string,
  { protocol, version }: { protocol: number; version?: string | undefined },
  refusal: string,
): Promise<void> {
  await db.all(sql`
    update hosts set refusal = ${refusal}, protocol = ${protocol}, version = coalesce(${version ?? null}, version)
    where id = ${hostId} and (refusal is not ${refusal} or protocol is not ${protocol}) returning id`);
}

/** Has those who wait for a host that was away until now looked at at once. */
function wakeReturned(hostId: string, time: string, awaySince: string): SQL {
  return sql`update users set pending_due_at = ${time} where id in (
    select u.id from hosts h cross join users u indexed by users_pending on u.host_id = h.id
    where h.id = ${hostId} and h.last_report_at <= ${awaySince} and u.pending_due_at > ${time})`;
}

/**
 * By their names in the answer: the revoked tokens, disabled and stopped users of the host; the users and agents that it should drop, the runs
 * that it should know, and those that it should end. Of a deleted user or agent it is told until it has nothing left, and again should it ever tell of them:
 * it may be back from an older copy, or have joined anew, and their user may have lived elsewhere. Where those are too many for one
 * answer, each report's number gives the next of them: some that cannot be dropped hold up no other.
 */
function selectNews(hostId: string, report: Report, now: number) {
  const { seq, workspaces, runs, agents } = report;
  const revokedAfter = isoTime(now - revocationMs);
  const kept = agents.flatMap(({ id, deleted }) => (deleted ? [] : id));
  const goingOn = runs.flatMap(({ id, status }) => (isEnded(status) ? [] : id));
  return {
    revokedTokens: sql`select t.id from users u cross join tokens t on t.user_id = u.id
      where u.host_id = ${hostId} and t.revoked_at > ${revokedAfter} and t.expires_at > ${isoTime(now)}`,
    disabledUsers: sql`select id from users where host_id = ${hostId} and disabled`,
    stoppedUsers: sql`select id from users where host_id = ${hostId} and disabled and cancel_runs`,
    deletedUsers: sql`select id from deleted_users where host_id = ${hostId} and gone_at is null
      union select d.id from ${jsonRows(usersIn(workspaces, runs, agents))} j cross join deleted_users d on d.id = j.value
      limit ${dropsAtOnce}`,
    deletedAgents: sql`select id from (
        select a.id, row_number() over (order by a.id) as place, count(*) over () as total
        from users u cross join agents a on a.user_id = u.id
        where u.host_id = ${hostId} and a.deleted_at is not null and a.dropped_at is null)
      where (place + ${seq * dropsAtOnce}) % total < ${dropsAtOnce}
      union select a.id from ${jsonRows(kept)} j cross join agents a on a.id = j.value where a.deleted_at is not null
      union select d.id from ${jsonRows(kept)} j cross join deleted_agents d on d.id = j.value`,
    heldRuns: sql`select id from (
        select r.id, row_number() over (order by r.id) as place, count(*) over () as total
        from hosts h cross join runs r on r.host_id = h.id and r.epoch = h.epoch
        where h.id = ${hostId} and ${isInProgress})
      where (place + ${seq * runsAtOnce}) % total < ${runsAtOnce}`,
    cancelledRuns: sql`select r.id from ${jsonRows(goingOn)} j cross join runs r on r.id = j.value
      join users u on u.id = r.user_id and u.host_id = ${hostId}
      where r.status = 'cancelled' and r.host_id is null`,
  };
}

const usersIn = (...told: { userId: string }[][]) => [...new Set(told.flat().map(({ userId }) => userId))];

function adoptUsers(hostId: string, { workspaces, runs }: Report): SQL {
  const told = usersIn(workspaces, runs);
  return sql`update users set host_id = ${hostId}, notice = null
    where +host_id is null and id in (select value from ${jsonRows(told)})
      and exists (select 1 from hosts where id = ${hostId} and removed_at is null)`;
}

/** One that is asleep, or just woke, was not looked at: on its disk is what was there last. */
function upsertWorkspaces(hostId: string, { workspaces, epoch, seq, since }: Report): SQL {
  return sql`
    insert into workspaces (user_id, host_id, data)
    select u.id, ${hostId}, json_remove(j.value, '$.userId')
    from ${jsonRows(workspaces)} j
    cross join users u on u.id = json_extract(j.value, '$.userId') and u.host_id = ${hostId}
    join hosts h on h.id = ${hostId} and (h.epoch is not ${epoch} or h.seq < ${seq} or ${since} = 0)
    where true
    on conflict (user_id) do update set host_id = excluded.host_id, data = case
      when excluded.data ->> '$.disk.usedBytes' = 0 and workspaces.host_id = excluded.host_id
      then json_set(excluded.data, '$.disk.usedBytes', workspaces.data ->> '$.disk.usedBytes') else excluded.data end`;
}

function updateAgents(hostId: string, { agents, epoch }: Report, now: string): SQL {
  return sql`
    update agents set env_keys = json_extract(j.value, '$.envKeys'), env_epoch = ${epoch},
      env_rev = json_extract(j.value, '$.rev'),
      deleted_at = case when json_extract(j.value, '$.deleted') then coalesce(deleted_at, ${now}) else deleted_at end,
      dropped_at = case when json_extract(j.value, '$.deleted') then coalesce(dropped_at, ${now}) else dropped_at end
    from ${jsonRows(agents)} j
    cross join users u on u.id = json_extract(j.value, '$.userId') and u.host_id = ${hostId}
    where agents.id = json_extract(j.value, '$.id') and agents.user_id = u.id
      and (agents.env_epoch is not ${epoch} or agents.env_rev < json_extract(j.value, '$.rev'))`;
}

/**
 * A host with a new database that has told all it knows has lost the runs that the copy has of the former one. Those of
 * other epochs are found by an index from both sides: mostly there are none, however many are in progress.
 */
function endForgottenRuns(hostId: string, { epoch, rev, complete }: Report, now: string): SQL {
  const inProgress = sql`select id from runs
    where host_id = ${hostId} and ${isInProgress}`;
  return sql`
    update runs set status = 'failed', data = json_set(data, '$.status', 'failed', '$.reason', 'host_lost', '$.endedAt', ${now})
    where id in (${inProgress} and epoch < ${epoch} union all ${inProgress} and epoch > ${epoch})
      and ${Number(complete ?? false)}
      and exists (select 1 from hosts h where h.id = ${hostId} and h.epoch = ${epoch} and h.rev >= ${rev})`;
}

/**
 * The revision held grows only by a report that begins where the copy ends; a new epoch begins at 0. A report from the
 * very beginning is a host process that has just started: it counts its reports anew.
 */
function updateHost(hostId: string, report: Report, now: string): SQL {
  const { epoch, seq, since, after = 0, rev, version, url, load } = report;
  const isLate = sql`epoch is ${epoch} and seq >= ${seq} and ${since} > 0`;
  // What changed says nothing to a copy that lacks what it was changed from: it has heard nothing, and says so.
  const isBehind = sql`seq < ${after}`;
  return sql`
    update hosts set last_report_at = case when ${isBehind} then last_report_at else ${now} end,
      refusal = null, protocol = ${report.protocol},
      rev = case when epoch is ${epoch} then case when ${since} <= rev then max(rev, ${rev}) else rev end
        when ${since} = 0 then ${rev} else 0 end,
      version = case when ${isLate} then version else ${version} end,
      url = case when ${isLate} then url else ${url} end,
      load = case when ${isLate} then load else coalesce(${load && JSON.stringify(load)}, load) end,
      seq = case when ${isLate} then seq when ${isBehind} then 0 else ${seq} end,
      epoch = ${epoch}
    where id = ${hostId}`;
}
