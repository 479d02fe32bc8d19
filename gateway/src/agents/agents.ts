/** Agents: the gateway owns what they are; what they do is derived from the copy of their runs. */
import { AppError } from "@berth/shared/errors";
import type { agentAnswer, AgentSpec } from "@berth/shared/host-api";
import { newId } from "@berth/shared/ids";
import { nameOfRepository } from "@berth/shared/values";
import { settingsFor } from "@berth/shared/users";
import type { Agent, createAgentBody, updateAgentBody } from "@berth/shared/resources";
import { and, asc, eq, isNull, or, sql, type Placeholder, type SQL } from "drizzle-orm";
import type { z } from "zod";
import { auditChange, tellChanges } from "../access/audit.ts";
import { cancelWaiting } from "./cancel-waiting.ts";
import { columnsOf, isoTime, isUniqueViolation, prepareOnce, rowsOf, type Database } from "../data/database.ts";
import type { Deps } from "../deps.ts";
import { startOf, toPage, type Page, type PageQuery } from "../http/paging.ts";
import { remember, type Source } from "../data/remember.ts";
import { agents, isInProgress } from "../data/schema.ts";
import { deliveriesOf } from "../data/webhook-tables.ts";
import type { AuditSource, Caller } from "../http/caller.ts";

/** Written out with the table's name, for they are correlated sub-queries. */
const runInProgress = sql<
  string | null
>`(select r.id from runs r indexed by runs_unended where r.agent_id = agents.id and r.user_id = agents.user_id
  and ${isInProgress} limit 1)`;
const lastRunId = sql<
  string | null
>`(select r.id from runs r where r.agent_id = agents.id and +r.user_id = agents.user_id
  order by r.created_at desc, r.id desc limit 1)`;

const shown = {
  ...columnsOf(agents, "id", "name", "runtime", "model", "instructions", "permissions", "onInterruption"),
  ...columnsOf(agents, "directory", "repository", "envKeys"),
  ...columnsOf(agents, "createdAt", "updatedAt"),
  runInProgress,
  lastRunId,
};

const toAgentRows = rowsOf(shown);

/** What a host must know of an agent, as columns. */
export const specColumns = {
  ...columnsOf(agents, "id", "version", "name", "runtime", "model", "instructions", "permissions", "onInterruption"),
  ...columnsOf(agents, "directory", "repository", "repositoryDirectory"),
};

/** Creates an agent unless the user has as many as they may: one conditional statement, so that racing calls agree. Throws `agent_limit`, `conflict`. */
export async function createAgent(
  { atomic, now, settings }: Deps,
  source: AuditSource,
  { id: userId, limits }: Pick<Caller["user"], "id" | "limits">,
  body: z.infer<typeof createAgentBody>,
): Promise<Agent> {
  const limit = settingsFor(settings, limits).BERTH_MAX_AGENTS;
  const agentId = newId("agt");
  const createdAt = isoTime(now());
  const { name, runtime, model, instructions, permissions, onInterruption, repository } = body;
  const directory = body.directory ?? (repository && nameOfRepository(repository));
  const into = repository && directory;
  const [inserted] = await refuseTakenName(() =>
    atomic([
      sql`
        insert into agents (id, user_id, name, runtime, model, instructions, permissions, on_interruption, directory, repository,
          repository_directory,
          version, created_at, updated_at, env_keys)
        select ${agentId}, id, ${name}, ${runtime}, ${model}, ${instructions}, ${permissions}, ${onInterruption}, ${directory}, ${repository}, ${into},
          1, ${createdAt}, ${createdAt}, '[]'
        from users where id = ${userId}
          and (select count(*) from agents where user_id = ${userId} and deleted_at is null) < ${limit}
        returning id`,
      auditChange(now(), { ...source, action: "agent.created", target: { id: agentId, name }, detail: { runtime } }),
    ]),
  );
  if (inserted?.length !== 1)
    throw new AppError("agent_limit", `The user has ${limit} agents already; delete one first.`, { limit });
  const rest = { envKeys: [], status: "idle" as const, lastRunId: null, createdAt, updatedAt: createdAt };
  return { id: agentId, ...body, directory, ...rest };
}

/** The user's agents, oldest first. Every open page asks for them again and again. */
export function listAgents(source: Source, userId: string, query: PageQuery): Promise<Page<Agent>> {
  const { createdAt, id } = startOf(query);
  return findPage(source, userId, createdAt, id, String(query.limit));
}

const findPage = remember(async (db, userId: string, createdAt: string, id: string, limit: string) => {
  const rows = await selectPage(db).values({ userId, createdAt, id, limit: Number(limit) + 1 });
  return toPage(toAgentRows(rows), Number(limit), present);
});

/** The user's agent. Throws `not_found`. */
export async function getAgent(db: Database, userId: string, agentId: string): Promise<Agent> {
  return present(found(await selectOne(db).get({ userId, agentId })));
}

/** What a host must know of the user's agent. Throws `not_found`. */
export async function getAgentSpec(db: Database, userId: string, agentId: string): Promise<AgentSpec> {
  return found(await selectSpec(db).get({ userId, agentId }));
}

/**
 * Changes an agent; its version grows, so that hosts can tell old from new. Throws `not_found`, `conflict`, and `agent_busy`
 * where it would work elsewhere than its run in progress does.
 */
export async function updateAgent(
  { db, atomic, now }: Deps,
  source: AuditSource,
  userId: string,
  agentId: string,
  change: z.infer<typeof updateAgentBody>,
): Promise<Agent> {
  const before = found(await selectOne(db).get({ userId, agentId }));
  const set = { ...change, version: sql`${agents.version} + 1`, updatedAt: isoTime(now()) };
  const target = { id: agentId, name: change.name ?? before.name };
  const detail = { changed: tellChanges(before, change) };
  if (!detail.changed) return present(before);
  const stays = change.directory === undefined ? undefined : sql`${agents.directory} is ${change.directory}`;
  const mayMove = stays && or(stays, isNull(runInProgress));
  const [updated] = await refuseTakenName(() =>
    atomic([
      db
        .update(agents)
        .set(set)
        .where(and(owned(userId, agentId), mayMove))
        .returning({ id: agents.id })
        .getSQL(),
      auditChange(now(), { ...source, action: "agent.updated", target, detail }),
    ]),
  );
  const row = found(await selectOne(db).get({ userId, agentId }));
  if (updated?.length === 1) return present(row);
  const { runInProgress: runId } = row;
  const why = "The agent has a run in progress: its directory can be changed once that has ended.";
  throw new AppError("agent_busy", why, runId === null ? {} : { runId });
}

/**
 * Hides an agent at once and for ever, with its triggers, which nobody finds any more; the row stays as a tombstone, without what was
 * long in it, until its host has dropped it. Throws `not_found`.
 */
export async function deleteAgent(
  { db, atomic, now }: Deps,
  source: AuditSource,
  userId: string,
  agentId: string,
): Promise<void> {
  const deletedAt = isoTime(now());
  const droppedAt = sql`(select case when u.host_id is null then ${deletedAt} end from users u where u.id = ${userId})`;
  const { name } = await getAgentSpec(db, userId, agentId);
  const emptied = { model: null, instructions: null, directory: null, repository: null, repositoryDirectory: null };
  const set = { ...emptied, deletedAt, droppedAt, updatedAt: deletedAt };
  const change = db.update(agents).set(set).where(owned(userId, agentId));
  const [deleted] = await atomic([
    change.returning({ id: agents.id }).getSQL(),
    auditChange(now(), { ...source, action: "agent.deleted", target: { id: agentId, name } }),
    ...cancelWaiting(deletedAt, sql`d.agent_id = ${agentId} and d.user_id = ${userId}`),
    // Their deliveries go with the time, and by their names: nothing else leads to them then.
    sql`insert into chores (name, due_at) select ${deliveriesOf} || id, '' from triggers where agent_id = ${agentId} and user_id = ${userId}
      on conflict do nothing`,
    sql`delete from triggers where agent_id = ${agentId} and user_id = ${userId}`,
  ]);
  found(deleted?.[0]);
}

/** Notes that the host has dropped a deleted agent. */
export async function noteAgentDropped({ db, now }: Deps, agentId: string): Promise<void> {
  await db
    .update(agents)
    .set({ droppedAt: isoTime(now()) })
    .where(and(eq(agents.id, agentId), isNull(agents.droppedAt)));
}

/** The statement that applies what a host answered about an agent to the copy, unless the copy is newer. */
export function applyAgentAnswer(userId: string, { epoch, agent }: z.infer<typeof agentAnswer>): SQL {
  return sql`
    update agents set env_keys = ${JSON.stringify(agent.envKeys)}, env_epoch = ${epoch}, env_rev = ${agent.rev}
    where id = ${agent.id} and user_id = ${userId} and (env_epoch is not ${epoch} or env_rev < ${agent.rev})`;
}

type AgentRow = Omit<Agent, "status"> & { runInProgress: string | null };

const ownedBy = (userId: string | Placeholder) => and(eq(agents.userId, userId), isNull(agents.deletedAt));
const owned = (userId: string | Placeholder, agentId: string | Placeholder) =>
  and(eq(agents.id, agentId), ownedBy(userId));
const given = { userId: sql.placeholder("userId"), agentId: sql.placeholder("agentId") };

const selectPage = prepareOnce((db) =>
  db
    .select(shown)
    .from(agents)
    .where(
      and(
        ownedBy(given.userId),
        sql`(${agents.createdAt}, ${agents.id}) > (${sql.placeholder("createdAt")}, ${sql.placeholder("id")})`,
      ),
    )
    .orderBy(asc(agents.createdAt), asc(agents.id))
    .limit(sql.placeholder("limit"))
    .prepare(),
);
const selectOne = prepareOnce((db) =>
  db.select(shown).from(agents).where(owned(given.userId, given.agentId)).prepare(),
);
const selectSpec = prepareOnce((db) =>
  db.select(specColumns).from(agents).where(owned(given.userId, given.agentId)).prepare(),
);

function present({ runInProgress: runId, ...row }: AgentRow): Agent {
  return { ...row, status: runId === null ? "idle" : "running" };
}

/** The answer to a missing agent and to another user's: the same. */
function found<T>(row: T | undefined): T {
  if (!row) throw new AppError("not_found", "There is no such agent.");
  return row;
}

async function refuseTakenName<T>(run: () => PromiseLike<T> | T): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (isUniqueViolation(error)) throw new AppError("conflict", "An agent of this name exists already.");
    throw error;
  }
}
