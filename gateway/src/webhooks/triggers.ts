/** Triggers: what starts runs of an agent, and the secrets of those that senders call. */
import { AppError } from "@berth/shared/errors";
import { newId } from "@berth/shared/ids";
import { messageOf } from "@berth/shared/log";
import type { Settings } from "@berth/shared/settings";
import { runtimeFacts, type RuntimeName } from "@berth/shared/kinds/runtimes";
import type { NewTrigger, SenderScheme, Trigger, TriggerChange, TriggerWithSecret } from "@berth/shared/webhooks";
import { and, asc, eq, isNull, sql, type SQL } from "drizzle-orm";
import { getAgent } from "../agents/agents.ts";
import { auditChange, tellChanges } from "../access/audit.ts";
import { cancelWaiting } from "../agents/cancel-waiting.ts";
import { columnsOf, isoTime, type Database } from "../data/database.ts";
import type { Deps } from "../deps.ts";
import { afterCursor, toPage, type Page, type PageQuery } from "../http/paging.ts";
import { agents } from "../data/schema.ts";
import { deliveriesOf, triggers } from "../data/webhook-tables.ts";
import { seal, unseal } from "../keys/sealing.ts";
import { openTrigger, type OpenTrigger } from "./open-trigger.ts";
import { checkTemplate, hasSendersWords } from "./template.ts";
import { createSecret } from "./schemes.ts";
import type { AuditSource } from "../http/caller.ts";

const triggersPerAgent = 20;

/** Creates a trigger of the user's agent. Throws `not_found`, `invalid_request` for the template, `conflict` over 20 of them. */
export async function createTrigger(
  deps: Deps,
  source: AuditSource,
  userId: string,
  agentId: string,
  body: NewTrigger,
): Promise<TriggerWithSecret> {
  checkTemplate(body.template);
  const { runtime, name: agent } = await getAgent(deps.db, userId, agentId);
  const triggerId = newId("trg");
  const secret = createSecret(body.scheme);
  const sealed = await seal(deps.keyring, triggerId, secret);
  const now = isoTime(deps.now());
  const { name, scheme } = body;
  const [inserted] = await deps.atomic([
    sql`
      insert into triggers (id, user_id, agent_id, name, scheme, template, secret, created_at, updated_at)
      select ${triggerId}, a.user_id, a.id, ${name}, ${scheme}, ${body.template}, ${sealed}, ${now}, ${now}
      from agents a where a.id = ${agentId} and a.deleted_at is null
        and (select count(*) from triggers t where t.agent_id = a.id) < ${triggersPerAgent}
      returning id`,
    auditChange(deps.now(), {
      ...source,
      action: "trigger.created",
      target: { id: triggerId, name },
      detail: { agentId, agent, scheme },
    }),
  ]);
  if (inserted?.length !== 1)
    throw new AppError("conflict", `The agent has ${triggersPerAgent} triggers already; delete one first.`, {
      limit: triggersPerAgent,
    });
  const { template } = body;
  const row = { id: triggerId, agentId, name, scheme, template, createdAt: now, updatedAt: now, runtime, agent };
  return { ...present(deps.settings, { ...row, lastDeliveryAt: null }), secret };
}

/** The triggers of the user's agent, oldest first. Throws `not_found`. */
export async function listTriggers(
  db: Database,
  settings: Settings,
  userId: string,
  agentId: string,
  query: PageQuery,
): Promise<Page<Trigger>> {
  await getAgent(db, userId, agentId);
  const rows = await db
    .select(shown)
    .from(triggers)
    .innerJoin(agents, eq(agents.id, triggers.agentId))
    .where(and(eq(triggers.agentId, agentId), afterCursor(query, triggers.createdAt, triggers.id, "oldest first")))
    .orderBy(asc(triggers.createdAt), asc(triggers.id))
    .limit(query.limit + 1);
  return toPage(rows, query.limit, (row) => present(settings, row));
}

/** The user's trigger. Throws `not_found`. */
export async function getTrigger(
  db: Database,
  settings: Settings,
  userId: string,
  triggerId: string,
): Promise<Trigger> {
  return present(settings, await findTrigger(db, userId, triggerId));
}

/** The user's trigger as it is stored, which knows no address. Throws `not_found`. */
async function findTrigger(db: Database, userId: string, triggerId: string): Promise<TriggerRow> {
  const [row] = await db
    .select(shown)
    .from(triggers)
    .innerJoin(agents, eq(agents.id, triggers.agentId))
    .where(and(eq(triggers.id, triggerId), eq(triggers.userId, userId), isNull(agents.deletedAt)));
  if (!row) throw new AppError("not_found", "There is no such trigger.");
  return row;
}

/** Changes name or template; deliveries that come later see it. Throws `not_found`, `invalid_request`. */
export async function updateTrigger(
  deps: Deps,
  source: AuditSource,
  userId: string,
  triggerId: string,
  change: TriggerChange,
): Promise<Trigger> {
  if (change.template !== undefined) checkTemplate(change.template);
  const before = await findTrigger(deps.db, userId, triggerId);
  const { name, agentId, agent } = before;
  const changed = tellChanges(before, change);
  if (!changed) return getTrigger(deps.db, deps.settings, userId, triggerId);
  const set = { ...change, updatedAt: isoTime(deps.now()) };
  await deps.atomic([
    deps.db.update(triggers).set(set).where(eq(triggers.id, triggerId)).returning({ id: triggers.id }).getSQL(),
    auditChange(deps.now(), {
      ...source,
      action: "trigger.updated",
      target: { id: triggerId, name: change.name ?? name },
      detail: { agentId, agent, changed },
    }),
  ]);
  return getTrigger(deps.db, deps.settings, userId, triggerId);
}

/** How many deliveries go in one transaction: everybody waits for it, and each has a payload to be freed. */
const sliceRows = 100;

/**
 * Deletes a trigger with its deliveries, those beyond a slice by ticks; what still waited to be started is cancelled. Throws
 * `not_found`.
 */
export async function deleteTrigger(deps: Deps, source: AuditSource, userId: string, triggerId: string): Promise<void> {
  const before = await findTrigger(deps.db, userId, triggerId);
  const { name, agentId, agent } = before;
  await deps.atomic([
    ...cancelWaiting(isoTime(deps.now()), sql`d.trigger_id = ${triggerId}`),
    deleteSlice(triggerId),
    sql`insert into chores (name, due_at) select ${deliveriesOf + triggerId}, ''
      where exists (select 1 from deliveries where trigger_id = ${triggerId}) on conflict do nothing`,
    sql`delete from triggers where id = ${triggerId}`,
    auditChange(deps.now(), {
      ...source,
      action: "trigger.deleted",
      target: { id: triggerId, name },
      detail: { agentId, agent },
    }),
  ]);
}

/** What a host may have is certain a while later, if it is: until then others have their turn. */
const waitMs = 600_000;

/** Deletes a slice of what deleted triggers have left; the chore stays for as long as there is anything, or is to come, as what a host may have. */
export async function deleteLeftDeliveries({ db, atomic, now }: Deps): Promise<void> {
  const [time, later] = [isoTime(now()), isoTime(now() + waitMs)];
  // One that is put off further than that was by a clock that was ahead.
  const [chore] = await db.all<{ name: string }>(sql`
    select name from chores where name > ${deliveriesOf} and name < ${`${deliveriesOf}~`} and (due_at <= ${time} or due_at > ${later})
    order by random() limit 1`);
  if (!chore) return;
  const triggerId = chore.name.slice(deliveriesOf.length);
  const [deleted] = await atomic([deleteSlice(triggerId)]);
  if (deleted!.length === sliceRows) return;
  await atomic([
    sql`delete from chores where name = ${chore.name} and not exists (select 1 from deliveries where trigger_id = ${triggerId})`,
    sql`update chores set due_at = ${later} where name = ${chore.name}`,
  ]);
}

/** What the host may have stays until that is certain: the row is what remembers it. */
function deleteSlice(triggerId: string): SQL {
  return sql`delete from deliveries where seq in (
    select seq from deliveries where trigger_id = ${triggerId} and due_at is null limit ${sliceRows}) returning seq`;
}

/** Gives the trigger a new secret; the one before stays good for `graceSeconds`. Throws `not_found`. */
export async function rotateSecret(
  deps: Deps,
  source: AuditSource,
  userId: string,
  triggerId: string,
  graceSeconds: number,
): Promise<TriggerWithSecret> {
  const trigger = await findTrigger(deps.db, userId, triggerId);
  const secret = createSecret(trigger.scheme);
  const sealed = await seal(deps.keyring, triggerId, secret);
  const until = graceSeconds === 0 ? null : isoTime(deps.now() + graceSeconds * 1000);
  const updatedAt = isoTime(deps.now());
  await deps.atomic([
    sql`update triggers set previous_secret = case when ${until} is not null then secret end, previous_until = ${until},
      secret = ${sealed}, updated_at = ${updatedAt} where id = ${triggerId}`,
    auditChange(deps.now(), {
      ...source,
      action: "trigger.rotated",
      target: { id: triggerId, name: trigger.name },
      detail: { graceSeconds },
    }),
  ]);
  return { ...present(deps.settings, { ...trigger, updatedAt }), secret };
}

/** A trigger that senders call, with the secrets that are good now. */
interface Hook extends OpenTrigger {
  scheme: SenderScheme;
  secrets: string[];
}

/** The trigger behind a hook's address, whoever asks. Throws `not_found`, also where its agent is deleted or its user disabled. */
export async function openHook({ db, keyring, now }: Deps, triggerId: string): Promise<Hook> {
  const { previousSecret, previousUntil, ...row } = await openTrigger(db, triggerId);
  const isPreviousGood = previousUntil !== null && previousUntil > isoTime(now());
  const secrets = [await unseal(keyring, row.id, row.secret)];
  // One that no key opens any more must not end the one that is good.
  if (isPreviousGood)
    secrets.push(
      ...(await unseal(keyring, row.id, previousSecret!).then(
        (it) => [it],
        () => [],
      )),
    );
  return { ...row, secrets };
}

/**
 * Seals anew what earlier keys have sealed and is good still, so that they can be ended; at most so many secrets, in any order. Answers
 * how many there were. Throws where none of the keys opens one, once all others are done.
 */
export async function sealAnew(
  { db, atomic, keyring, now }: Pick<Deps, "db" | "atomic" | "keyring" | "now">,
  most: number,
): Promise<number> {
  const found = (name: string, more = sql``) => {
    const column = sql.raw(name);
    const of = sql`select id, ${name} as name, ${column} as sealed from triggers where ${column}`;
    return sql`${of} < ${`${keyring.kid}.`} ${more} union all ${of} >= ${`${keyring.kid}/`} ${more}`;
  };
  const rows = await db.all<{ id: string; name: string; sealed: string }>(sql`select * from (
      ${found("secret")} union all ${found("previous_secret", sql`and previous_until > ${isoTime(now())}`)})
    order by random() limit ${most}`);
  let failure: Error | null = null;
  for (const { id, name, sealed } of rows)
    try {
      const [column, anew] = [sql.raw(name), await seal(keyring, id, await unseal(keyring, id, sealed))];
      // What is given anew meanwhile is not overwritten.
      await atomic([
        sql`update triggers set ${column} = ${anew} where id = ${id} and ${column} = ${sealed} returning id`,
      ]);
    } catch (error) {
      failure ??= new Error(`the ${name} of ${id}: ${messageOf(error)}`, { cause: error });
    }
  if (failure) throw failure;
  return rows.length;
}

/** A trigger as it is stored, what its agent runs, and the agent's name. */
type TriggerRow = Omit<Trigger, "url" | "executesPayload"> & { runtime: RuntimeName; agent: string };
const shown = {
  runtime: agents.runtime,
  agent: agents.name,
  ...columnsOf(triggers, "id", "agentId", "name", "scheme", "template", "createdAt", "updatedAt"),
  lastDeliveryAt: sql<string | null>`(select max(d.received_at) from deliveries d where d.trigger_id = triggers.id)`,
};

function present(settings: Settings, stored: TriggerRow): Trigger {
  const { runtime, agent: _, ...row } = stored;
  const executesPayload = runtimeFacts[runtime].isScript && hasSendersWords(row.template);
  return { ...row, executesPayload, url: `${settings.BERTH_PUBLIC_URL}/hooks/${row.id}` };
}
