/** Deliveries: what came in through a trigger, written down with its pending run before the sender hears that it was taken. */
import { AppError } from "@berth/shared/errors";
import { newId, runIdFrom } from "@berth/shared/ids";
import { parseSmall } from "@berth/shared/bounds/json-scan";
import type { Run } from "@berth/shared/resources";
import { originOf, type Delivery } from "@berth/shared/webhooks";
import { and, desc, eq, sql } from "drizzle-orm";
import { base64url } from "jose";
import { auditChange } from "../access/audit.ts";
import { dayLimit, encode, isBeyondDay } from "../agents/day-limit.ts";
import { putInQueue } from "../agents/pending-queue.ts";
import { tooManyWait, unbegun, waitingPerUser } from "../agents/queue-run.ts";
import { columnsOf, isoTime, type Database } from "../data/database.ts";
import type { Deps } from "../deps.ts";
import { afterCursor, toPage, type Page, type PageQuery } from "../http/paging.ts";
import { runs } from "../data/schema.ts";
import { deliveries, triggers } from "../data/webhook-tables.ts";
import { openTrigger, type OpenTrigger } from "./open-trigger.ts";
import { renderPrompt, type Rendered } from "./template.ts";
import type { AuditSource } from "../http/caller.ts";

/** A payload of more keys and values, or nested deeper, is text to the template. */
const payloadMaxValues = 20_000;
const payloadMaxDepth = 100;

/** What a sender is answered. */
export interface Accepted {
  deliveryId: string;
  runId: string | null;
  /** Whether this message had come before. */
  isRepeated: boolean;
  /** Whether it may be started now, as far as is known: nothing of its agent waits before it. */
  isNext: boolean;
}

interface Incoming {
  externalId: string | null;
  replayOf: string | null;
  contentType: string | null;
  /** Those that a template may see. */
  headers: Record<string, string>;
  body: Uint8Array;
}

/**
 * Stores a delivery and its pending run, together and durably, unless the sender's id came before. Throws
 * `rate_limited` when the user has 1,000 waiting or a day is full, `not_found` when the trigger is gone meanwhile.
 */
export async function acceptDelivery(
  deps: Deps,
  trigger: OpenTrigger,
  incoming: Incoming,
  replayedBy?: AuditSource,
): Promise<Accepted> {
  const deliveryId = newId("dlv");
  const receivedAt = isoTime(deps.now());
  const words = JSON.stringify(["trigger", trigger.id, incoming.externalId ?? deliveryId]);
  const runId = runIdFrom(await deps.digests.sha256Hex(words));
  const result = resultOf(renderPrompt(trigger.template, viewOf(trigger, incoming)));
  const prompt = "prompt" in result ? result.prompt : null;
  const run = prompt === null ? null : pendingRun(runId, trigger, receivedAt);
  const { outcome = null, detail = null } = "outcome" in result ? result : {};
  const { externalId, replayOf, contentType, headers, body } = incoming;
  const detailOfReplay = { replayOf, triggerId: trigger.id, trigger: trigger.name };
  const replayed = { action: "delivery.replayed", target: { id: deliveryId }, detail: detailOfReplay } as const;
  const isFull = isBeyondDay(deps, trigger.userId, [body, encode(prompt ?? "")]);
  const statements = [
    sql`
      insert into deliveries (id, trigger_id, user_id, agent_id, external_id, replay_of, received_at, content_type,
        headers, payload, bytes, run_id, outcome, detail, due_at)
      select ${deliveryId}, t.id, t.user_id, t.agent_id, ${externalId}, ${replayOf}, ${receivedAt}, ${contentType},
        ${JSON.stringify(headers)}, ${base64url.encode(body)}, ${body.length}, ${run && runId}, ${outcome}, ${detail},
        ${run && receivedAt}
      from triggers t where t.id = ${trigger.id}
        and (select count(*) from deliveries w where w.user_id = t.user_id and w.due_at is not null) < ${waitingPerUser}
        and not ${isFull}
      on conflict do nothing`,
    ...(replayedBy ? [auditChange(deps.now(), { ...replayedBy, ...replayed })] : []),
    sql`
      insert into runs (id, user_id, agent_id, status, trigger_id, created_at, data, prompt)
      select d.run_id, d.user_id, d.agent_id, 'pending', d.trigger_id, d.received_at, ${JSON.stringify(run)}, ${prompt}
      from deliveries d where d.id = ${deliveryId} and d.run_id is not null
      on conflict do nothing`,
    ...(run ? [putInQueue(receivedAt, trigger.userId)] : []),
    sql`select id, run_id, not exists (select 1 from deliveries e where e.user_id = d.user_id and e.agent_id = d.agent_id
        and e.due_at is not null and e.seq < d.seq) as is_next
      from deliveries d where id = ${deliveryId} or (trigger_id = ${trigger.id} and external_id = ${externalId})`,
    sql`select ${isFull} as is_full from triggers where id = ${trigger.id}`,
  ];
  const [stored, kept] = (await deps.atomic(statements)).slice(-2);
  if (stored?.[0]) {
    const row = stored[0] as { id: string; run_id: string | null; is_next: number };
    const isRepeated = row.id !== deliveryId;
    return { deliveryId: row.id, runId: row.run_id, isRepeated, isNext: row.is_next === 1 };
  }
  if (!kept?.[0]) throw new AppError("not_found", "There is no such trigger.");
  if ((kept[0] as { is_full: number }).is_full) throw dayLimit(deps);
  throw tooManyWait("deliver");
}

/** The deliveries of the user's trigger, newest first. Throws `not_found`. */
export async function listDeliveries(
  db: Database,
  userId: string,
  triggerId: string,
  query: PageQuery,
): Promise<Page<Delivery>> {
  await openTrigger(db, triggerId, userId);
  const rows = await selectDeliveries(db, triggerId, query);
  return toPage(rows, query.limit, ({ createdAt: _createdAt, ...row }) => row);
}

/** One more than asked for, which tells whether there are more. */
export const selectDeliveries = (db: Database, triggerId: string, query: PageQuery) =>
  db
    .select({ ...shown, createdAt: deliveries.receivedAt })
    .from(deliveries)
    .leftJoin(runs, eq(runs.id, deliveries.runId))
    .where(
      and(
        eq(deliveries.triggerId, triggerId),
        afterCursor(query, deliveries.receivedAt, deliveries.id, "newest first"),
      ),
    )
    .orderBy(desc(deliveries.receivedAt), desc(deliveries.id))
    .limit(query.limit + 1);

/** Takes what came in once more, as a delivery of its own with the template as it is now. Throws `not_found`, `rate_limited`. */
export async function replayDelivery(
  deps: Deps,
  source: AuditSource,
  userId: string,
  { deliveryId, key }: { deliveryId: string; key: string | null },
): Promise<Delivery> {
  const { db } = deps;
  const [row] = await db
    .select(columnsOf(deliveries, "triggerId", "contentType", "headers", "payload"))
    .from(deliveries)
    .innerJoin(triggers, eq(triggers.id, deliveries.triggerId))
    .where(and(eq(deliveries.id, deliveryId), eq(deliveries.userId, userId)));
  if (!row) throw new AppError("not_found", "There is no such delivery.");
  const { contentType, headers, payload } = row;
  // As a sender's id, of which a trigger takes each once; none of theirs has a space.
  const externalId = key === null ? null : `replay ${deliveryId} ${key}`;
  const incoming = { externalId, replayOf: deliveryId, contentType, headers, body: base64url.decode(payload) };
  const accepted = await acceptDelivery(deps, await openTrigger(db, row.triggerId), incoming, source);
  const [made] = await db
    .select(shown)
    .from(deliveries)
    .leftJoin(runs, eq(runs.id, deliveries.runId))
    .where(eq(deliveries.id, accepted.deliveryId));
  return made!;
}

/** The headers that templates see: none that proves or authorises anything. */
export function templateHeaders(headers: Headers): Record<string, string> {
  const secret = /auth|cookie|signature|secret|token|password|api-?key|credential|jwt/;
  return Object.fromEntries([...headers].filter(([name]) => !secret.test(name)));
}

const shown = {
  ...columnsOf(deliveries, "id", "triggerId", "externalId", "runId", "detail", "contentType", "bytes", "receivedAt"),
  replayOf: deliveries.replayOf,
  status: sql<Delivery["status"]>`coalesce(${runs.status}, ${deliveries.outcome}, 'cancelled')`,
};

function viewOf(
  { id, name, scheme, agentId }: OpenTrigger,
  { headers, body, contentType }: Incoming,
): Record<string, unknown> {
  return { payload: parsePayload(body, contentType), headers, trigger: { id, name, scheme, agentId } };
}

/** JSON as what it is, whatever its type is said to be; a form as its fields, with GitHub's `payload` in it; else text. */
function parsePayload(body: Uint8Array, contentType: string | null): unknown {
  const text = new TextDecoder().decode(body);
  const json = tryJson(text);
  if (json !== undefined) return json;
  if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(contentType ?? "")) return text;
  const fields = Object.fromEntries(new URLSearchParams(text));
  return tryJson(fields["payload"] ?? "") ?? fields;
}

/** Undefined where it is none, or so much of it that parsing would hold up everybody else. */
const tryJson = (text: string) => parseSmall(text, payloadMaxValues, payloadMaxDepth);

function resultOf(rendered: Rendered): { prompt: string } | { outcome: "skipped" | "rejected"; detail: string } {
  if ("problem" in rendered) return { outcome: "rejected", detail: rendered.problem };
  if (rendered.prompt.trim() !== "") return rendered;
  return { outcome: "skipped", detail: "The template gave an empty prompt, so no run was started." };
}

function pendingRun(
  runId: string,
  { id: triggerId, agentId, scheme }: OpenTrigger,
  createdAt: string,
): Omit<Run, "prompt"> {
  return {
    ...unbegun,
    id: runId,
    agentId,
    trigger: { kind: originOf[scheme], triggerId },
    createdAt,
  };
}
