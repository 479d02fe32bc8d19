/** Runs as the gateway knows them: a copy of what hosts report, applied by revision, whoever brings it. */
import { AppError } from "@berth/shared/errors";
import type { ReportedRun } from "@berth/shared/host-api";
import { isEnded, originKind, type Run } from "@berth/shared/resources";
import { id, runStatus } from "@berth/shared/values";
import { and, eq, sql, type SQL } from "drizzle-orm";
import type { z } from "zod";
import { prepareOnce, type Database } from "../data/database.ts";
import { jsonRowsWithPrompt } from "../data/json-rows.ts";
import { afterCursor, lookThrough, pageQuery, toPage, type Page } from "../http/paging.ts";
import { agents, hosts, isUnended, runs, type StoredRun, triggerKind as kind, users } from "../data/schema.ts";
import { specColumns } from "./agents.ts";

/** A page holds at most this much of runs (prompts and results are long), and at least one run. */
const pageBytes = 1_000_000;

export const runsQuery = pageQuery.extend({
  agentId: id.optional(),
  status: runStatus.optional(),
  triggerId: id.optional(),
  triggerKind: originKind.optional(),
});

/** The user's runs, newest first. A page ends early rather than grow without bound. */
export async function listRuns(db: Database, userId: string, query: z.infer<typeof runsQuery>): Promise<Page<Run>> {
  const { agentId, status, triggerId, triggerKind } = query;
  const after = afterCursor(query, runs.createdAt, runs.id, "newest first");
  // What is in progress is little, and has an index of its own.
  const [index, ofIndex] =
    status && !isEnded(status)
      ? [sql`runs_unended`, [isUnended]]
      : [agentId === undefined ? sql`runs_user` : sql`runs_agent`, []];
  const scope = [
    sql`user_id = ${userId}`,
    ...(agentId === undefined ? [] : [sql`agent_id = ${agentId}`]),
    ...ofIndex,
    ...(after ? [after] : []),
  ];
  const filter = [
    ...(status ? [sql`status = ${status}`] : []),
    ...(triggerId === undefined ? [] : [sql`trigger_id = ${triggerId}`]),
    ...(triggerKind ? [sql`${kind} = ${triggerKind}`] : []),
  ];
  const source = sql`from runs indexed by ${index} where ${sql.join(scope, sql` and `)}`;
  const columns = sql<{
    bytes: number;
  }>`(select octet_length(r.data) + octet_length(r.prompt) from runs r where r.id = seen.id) as bytes`;
  const { rows, endsAt } = await lookThrough(db, { sources: [source], filter, columns }, query);
  const page = await pageOfRuns(db, rows, query.limit);
  return { items: page.items, nextCursor: page.nextCursor ?? endsAt };
}

/** The runs of rows that were read with a limit one higher, as many as fit in a page. */
export async function pageOfRuns(
  db: Database,
  rows: { id: string; createdAt: string; bytes: number }[],
  limit: number,
): Promise<Page<Run>> {
  let bytes = 0;
  const fitting = rows.findIndex((row, at) => (bytes += row.bytes) > pageBytes && at > 0);
  const page = toPage(rows, Math.min(limit, fitting === -1 ? limit : fitting), (row) => row.id);
  const data = await loadRuns(db, page.items);
  return { items: page.items.flatMap((runId) => data.get(runId) ?? []), nextCursor: page.nextCursor };
}

/** The user's run. Throws `not_found`. */
export async function getRun(db: Database, userId: string, runId: string): Promise<Run> {
  const row = await selectRun(db).get({ runId, userId });
  if (!row) throw new AppError("not_found", "There is no such run.");
  return toRun(row);
}

/** Its status alone: a prompt may be a mebibyte. Throws `not_found`. */
export async function getStatus(db: Database, userId: string, runId: string): Promise<Run["status"]> {
  const row = await selectStatus(db).get({ runId, userId });
  if (!row) throw new AppError("not_found", "There is no such run.");
  return row.status;
}

const isOwn = and(eq(runs.id, sql.placeholder("runId")), eq(runs.userId, sql.placeholder("userId")));
const selectStatus = prepareOnce((db) => db.select({ status: runs.status }).from(runs).where(isOwn).prepare());
const selectRun = prepareOnce((db) => db.select(stored).from(runs).where(isOwn).prepare());

/** A run as it is stored; its columns, and the contract's object of them. */
export const stored = { data: runs.data, prompt: runs.prompt };

export function toRun({ data, prompt }: { data: StoredRun; prompt: string }): Run {
  // What nobody could try yet stands behind another run of its agent.
  const since = data.createdAt;
  const behind =
    data.status === "pending" ? ({ kind: "busy", requestId: null, tool: null, input: null, since } as const) : null;
  return {
    ...data,
    attachments: data.attachments ?? [],
    continues: data.continues ?? null,
    // One that was lost may have been asking something.
    waitingFor: isEnded(data.status) ? null : (data.waitingFor ?? behind),
    prompt,
  };
}

/** Whether the user's host has the run; not so while it is pending, when it ended before any host took it, or when it went with a host that was removed. */
export async function isOnHost(db: Database, run: Run): Promise<boolean> {
  // Its output is gone with its host.
  if (run.reason === "host_lost") return false;
  const [row] = await db
    .select({ id: runs.id })
    .from(runs)
    .innerJoin(users, and(eq(users.id, runs.userId), eq(users.hostId, runs.hostId)))
    .where(eq(runs.id, run.id));
  return row !== undefined;
}

/** The one query before a run starts: the agent, the user's host, and the run of that id if there is one already. */
export const selectRunTarget = prepareOnce((db) =>
  db
    .select({
      agent: specColumns,
      host: { id: hosts.id, url: hosts.url },
      run: { ...stored, asked: runs.asked },
      // How many calls for it are open.
      calls: sql<number>`(select count(*) from start_calls s where s.user_id = ${users.id} and s.run_id = ${sql.placeholder("runId")})`,
    })
    .from(agents)
    .innerJoin(users, eq(users.id, agents.userId))
    .leftJoin(hosts, eq(hosts.id, users.hostId))
    .leftJoin(runs, and(eq(runs.id, sql.placeholder("runId")), eq(runs.userId, agents.userId)))
    .where(
      and(
        eq(agents.id, sql.placeholder("agentId")),
        eq(agents.userId, sql.placeholder("userId")),
        sql`${agents.deletedAt} is null`,
      ),
    )
    .prepare(),
);

const isOver = sql`status in ('completed', 'failed', 'cancelled')`;

/**
 * The statements that apply runs of a host to the copy, any number at once: one, for what hosts report. A run is taken when
 * its user is placed on that host and it is new, or newer by revision in the same epoch, or of another epoch; an ended
 * run never goes back, nor gets another end: what was told is told, whatever a host that was put back from an older copy makes of it;
 * what its calls cost may still come. A run that was pending here keeps the time of its arrival, and one that is told without a prompt
 * the prompt that is held: if none is, this copy is older than the host takes it for, and is told it again as a whole.
 */
export function upsertRuns(hostId: string, epoch: string, reported: ReportedRun[]): SQL[] {
  const runs = reported.map((run) => ({ ...run, prompt: run.prompt ?? "" }));
  return jsonRowsWithPrompt(runs).map(
    (rows) => sql`
    insert into runs (id, user_id, agent_id, host_id, epoch, rev, status, trigger_id, created_at, data, prompt)
    select json_extract(j.value, '$.id'), u.id, json_extract(j.value, '$.agentId'), ${hostId}, ${epoch},
      json_extract(j.value, '$.rev'), json_extract(j.value, '$.status'), json_extract(j.value, '$.trigger.triggerId'),
      json_extract(j.value, '$.createdAt'), json_remove(j.value, '$.userId', '$.rev'), j.prompt
    from ${rows} j
    cross join users u on u.id = json_extract(j.value, '$.userId') and u.host_id = ${hostId}
    where j.prompt <> '' or exists (select 1 from runs r where r.id = json_extract(j.value, '$.id'))
    on conflict (id) do update set host_id = excluded.host_id, epoch = excluded.epoch, rev = excluded.rev,
      status = case when runs.${isOver} then runs.status else excluded.status end,
      data = case when runs.${isOver} then json_set(runs.data, '$.usage', json_extract(excluded.data, '$.usage'))
        else json_set(excluded.data, '$.createdAt', runs.created_at) end,
      prompt = coalesce(nullif(excluded.prompt, ''), runs.prompt)
    where runs.user_id = excluded.user_id and runs.agent_id = excluded.agent_id
      and (runs.host_id is null or runs.host_id = excluded.host_id)
      and (runs.epoch is not excluded.epoch or runs.rev < excluded.rev)
      and (not runs.${isOver} or excluded.${isOver})`,
  );
}

/**
 * The statement for a run that a host took while it was being removed: it ends as lost with that host, so that whoever
 * repeats the call meets it and nothing starts twice. Takes nothing for a host that was not removed.
 */
export function endWithRemovedHost(
  hostId: string,
  epoch: string,
  run: ReportedRun & { prompt: string },
  now: string,
): SQL {
  const { userId, rev, prompt, ...told } = run;
  const data = isEnded(run.status) ? told : { ...told, status: "failed", reason: "host_lost", endedAt: now };
  return sql`
    insert into runs (id, user_id, agent_id, host_id, epoch, rev, status, trigger_id, created_at, data, prompt)
    select ${run.id}, ${userId}, ${run.agentId}, h.id, ${epoch}, ${rev}, ${data.status}, ${run.trigger.triggerId},
      ${run.createdAt}, ${JSON.stringify(data)}, ${prompt}
    from hosts h where h.id = ${hostId} and h.removed_at is not null
    on conflict (id) do update set host_id = excluded.host_id, epoch = excluded.epoch, rev = excluded.rev,
      status = excluded.status, data = json_set(excluded.data, '$.createdAt', runs.created_at)
    where runs.host_id is null and runs.status = 'pending' and runs.user_id = excluded.user_id`;
}

const selectRuns = prepareOnce((db) =>
  db
    .select({ id: runs.id, ...stored })
    .from(runs)
    .where(sql`${runs.id} in (select value from json_each(${sql.placeholder("ids")}))`)
    .prepare(),
);

async function loadRuns(db: Database, ids: string[]): Promise<Map<string, Run>> {
  const rows = await selectRuns(db).all({ ids: JSON.stringify(ids) });
  return new Map(rows.map((row) => [row.id, toRun(row)]));
}
