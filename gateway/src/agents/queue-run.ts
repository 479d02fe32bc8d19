/** A message that may wait: a pending run without a delivery of anybody's, in the one queue that deliveries wait in. */
import { AppError, type ErrorCode } from "@berth/shared/errors";
import { newId, sha256Hex } from "@berth/shared/ids";
import type { Run, Waiting } from "@berth/shared/resources";
import { sleep } from "@berth/shared/wait";
import { sql } from "drizzle-orm";
import { isoTime, type Database } from "../data/database.ts";
import type { Deps } from "../deps.ts";
import { isUnsent } from "./cancel-waiting.ts";
import { refuseBeyondDay } from "./day-limit.ts";
import { putInQueue } from "./pending-queue.ts";
import { getRun } from "./runs.ts";
import { callIsOver, isOfRemoved, type StartCall } from "./start-calls.ts";

/** What a user may have waiting; whoever brings more is told to come again later. */
export const waitingPerUser = 1000;
export const tooManyWait = (again: "send" | "deliver") =>
  new AppError("rate_limited", `${waitingPerUser} runs wait to be started already; ${again} this again later.`, {
    retryAfter: 30,
  });
/** For longer no host is asked at a time. */
const askedMs = 10_000;

const waits: Partial<Record<ErrorCode, Waiting["kind"]>> = {
  agent_busy: "busy",
  run_limit: "slots",
  host_unavailable: "host",
  no_host: "host",
};
/** What a run waits for that its host refused with this; undefined where waiting would not help. */
export const waitsFor = ({ code, fields }: AppError) => fields.waitsFor ?? waits[code];

/** Why a run waits its turn. */
export const turnOf = (kind: Waiting["kind"], since: string): Waiting => ({
  kind,
  requestId: null,
  tool: null,
  input: null,
  since,
});

/** Of what is asked for by a call. */
export const apiTrigger = { kind: "api", triggerId: null } as const;

/** Of a new run that waits: all that nobody knows before it has begun. */
export const unbegun = {
  status: "pending",
  attachments: [],
  continues: null,
  reason: null,
  result: null,
  exitCode: null,
  usage: { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0, costUsd: 0 },
  oomKills: 0,
  logBytes: 0,
  stderrTail: null,
  waitingFor: null,
  startedAt: null,
  endedAt: null,
} satisfies Partial<Run>;

interface QueuedRun {
  id: string;
  userId: string;
  agentId: string;
  prompt: string;
  attachments: string[];
  kind: Waiting["kind"];
  /** The call that asked a host for it, if any did, and is over now. */
  call: StartCall;
  /** Whether that host may have it. */
  maybeSent: boolean;
}

/** What the same Idempotency-Key must ask again. */
export type Asked = Pick<Run, "prompt" | "attachments">;
export const hashOfMessage = ({ prompt, attachments }: Asked) => sha256Hex(JSON.stringify([prompt, attachments]));

/** Whether runs of the agent wait already: whoever comes now comes after them. */
export async function isAwaited(db: Database, userId: string, agentId: string): Promise<boolean> {
  const rows = await db.all(sql`select 1 from deliveries
    where user_id = ${userId} and agent_id = ${agentId} and due_at is not null limit 1`);
  return rows.length > 0;
}

/**
 * Has a run wait, together and durably with its place in the queue; the same id again is the same run. Null where a host that was
 * removed may have begun it. Throws `rate_limited`, `not_found`.
 */
export async function queueRun(deps: Deps, { id, userId, agentId, ...queued }: QueuedRun): Promise<Run | null> {
  const { prompt, attachments, kind, call, maybeSent } = queued;
  const time = isoTime(deps.now());
  const data: Omit<Run, "prompt"> = {
    ...unbegun,
    id,
    agentId,
    trigger: apiTrigger,
    attachments,
    waitingFor: turnOf(kind, time),
    createdAt: time,
  };
  const deliveryId = newId("dlv");
  const calls = sql`select 1 from start_calls s where s.user_id = ${userId} and s.run_id = ${id}`;
  const lost = sql`${calls} and ${isOfRemoved}`;
  const [, , , kept, isLost] = await deps.atomic([
    sql`
      insert into deliveries (id, trigger_id, user_id, agent_id, received_at, headers, payload, bytes, run_id, due_at, maybe_sent)
      select ${deliveryId}, '', u.id, ${agentId}, ${time}, '{}', '', 0, ${id}, ${time},
        ${maybeSent ? 1 : 0} or exists (${calls} and s.call_id <> ${call.id})
      from users u where u.id = ${userId} and not exists (${lost}) and (select count(*) from deliveries w where w.user_id = ${userId} and w.due_at is not null) < ${waitingPerUser}
        and not exists (select 1 from runs r where r.id = ${id})
      on conflict do nothing`,
    sql`
      insert into runs (id, user_id, agent_id, status, created_at, data, prompt)
      select d.run_id, d.user_id, d.agent_id, 'pending', d.received_at, ${JSON.stringify(data)}, ${prompt}
      from deliveries d where d.run_id = ${id}
      on conflict do nothing`,
    putInQueue(time, userId),
    sql`select id from runs where id = ${id} and user_id = ${userId}`,
    sql`${lost} limit 1`,
    // What began to wait just now says by itself whether a host may have it; what waited already does not know of this call.
    sql`${callIsOver(call)} and (not ${maybeSent ? 1 : 0} or exists (select 1 from deliveries where id = ${deliveryId}))`,
  ]);
  if (kept?.[0]) return getRun(deps.db, userId, id);
  if (isLost?.[0]) return null;
  throw tooManyWait("send");
}

/**
 * Rewords a run that waits, and remembers what its key stands for. While its host is being asked whether it takes it, its answer is
 * awaited. Throws `conflict` once it may have been given to its host, `rate_limited`.
 */
export async function rewordPending(deps: Deps, userId: string, run: Run, prompt: string): Promise<Run> {
  await refuseBeyondDay(deps, userId, prompt);
  const asked = await hashOfMessage(run);
  const reword = sql`update runs set prompt = ${prompt}, asked = coalesce(asked, ${asked})
    where id = ${run.id} and user_id = ${userId} and status = 'pending' and (asked is not null or prompt = ${run.prompt})
    and exists (select 1 from deliveries d where d.run_id = ${run.id} and ${isUnsent}) returning id`;
  for (const end = performance.now() + askedMs; ; await sleep(100)) {
    const isAsked = sql`select 1 from deliveries d
      where d.run_id = ${run.id} and d.due_at is not null and not d.maybe_sent and d.lease_until > ${isoTime(deps.now())}`;
    const [changed, leased] = await deps.atomic([reword, isAsked]);
    if (changed?.[0]) return getRun(deps.db, userId, run.id);
    if (!leased?.[0] || performance.now() > end)
      throw new AppError("conflict", "The run has started, or is just being started.", { runId: run.id });
  }
}
