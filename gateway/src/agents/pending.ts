/**
 * Runs that wait at the gateway: each is started on its user's host as soon as that takes it, in the order of arrival for
 * each agent. A delivery is claimed by one conditional statement with a lease; whoever loses the answer of a host asks
 * again with the same run id, which the host knows. So any number of gateways may do this at once.
 */
import { AppError } from "@berth/shared/errors";
import { runAnswer, type RunAnswer, type StartRunBody } from "@berth/shared/host-api";
import { isEnded, type Run, type Waiting } from "@berth/shared/resources";
import { eq, sql, type SQL } from "drizzle-orm";
import { backoff, sleep } from "@berth/shared/wait";
import { specColumns } from "./agents.ts";
import { cancelledStatement, isUnsent } from "./cancel-waiting.ts";
import { isoTime, prepareOnce } from "../data/database.ts";
import type { Deps, StartBounds } from "../deps.ts";
import {
  callHostJson,
  gatewayFor,
  isUncertain,
  longDeadlineMs,
  type HostCall,
  type HostCaller,
} from "../hosts/call.ts";
import { findHostOfUser, placeUser, type HostTarget } from "../hosts/placement.ts";
import {
  firstsOf,
  hostsWithPending,
  isOpen,
  moveToFront,
  pauseHost,
  putBack,
  startsPerHost,
  takeAway,
  takeUsers,
} from "./pending-queue.ts";
import { turnOf, waitsFor } from "./queue-run.ts";
import { endWithRemovedHost, getRun, stored, upsertRuns } from "./runs.ts";
import { runIsTold } from "./start-calls.ts";
import { agents, hosts, runs, users } from "../data/schema.ts";
import { deliveries } from "../data/webhook-tables.ts";

/** From its claim on a run is asked for until this deadline, which lies before the end of its lease: nobody else asks meanwhile. */
const startDeadlineMs = 8000;
/** With less left of it no host is asked any more. */
const leastCallMs = 1000;
const leaseMs = 10_000;
/** The next attempt while the host says that the agent or the user is busy; the report of an ended run comes earlier. */
const busyMs = 2000;
const failedMaxMs = 15_000;
const startsAtOnce = 100;
const plenty: StartBounds = { hosts: 20, usersOfHost: startsPerHost, users: 100 };
const cancelPatienceMs = 15_000;

/** Starts what is due, host by host: one that is slow holds up its own users alone. */
export async function startDue(deps: Deps): Promise<void> {
  const { hosts, users } = deps.starts ?? plenty;
  const budget = { users };
  await tellAway(deps);
  const hostIds = await hostsWithPending(deps.db, deps.now(), hosts);
  const started = hostIds.map((hostId) => startOnHost(deps, hostId, budget));
  const failed = (await Promise.allSettled(started)).find((one) => one.status === "rejected");
  if (failed) throw failed.reason;
}

/** Has what is next to start at a host that nobody may ask say so: no refusal will. Some users at a tick, each once in a while. */
async function tellAway(deps: Deps): Promise<void> {
  const userIds = await takeAway(deps);
  if (userIds.length === 0) return;
  await deps.db.all(sql`
    update runs set data = ${toldToWait("host", deps.now)} where status = 'pending'
      and json_extract(data, '$.waitingFor.kind') is not 'host' and id in (
      select d.run_id from json_each(${JSON.stringify(userIds)}) u
      cross join deliveries d on d.user_id = u.value and d.due_at is not null
      where not exists (
        select 1 from deliveries e where e.user_id = u.value and e.agent_id = d.agent_id and e.due_at is not null and e.seq < d.seq))
    returning id`);
}

const toldToWait = (kind: Waiting["kind"], now: Deps["now"]) =>
  sql`json_set(data, '$.waitingFor', json(${JSON.stringify(turnOf(kind, isoTime(now())))}))`;

/** Starts what is due on this host (null: for users without one), some users at a time. */
export async function startOnHost(
  deps: Deps,
  hostId: string | null,
  budget: { users: number } = { users: (deps.starts ?? plenty).users },
): Promise<void> {
  while (budget.users > 0) {
    const most = Math.min((deps.starts ?? plenty).usersOfHost, budget.users);
    budget.users -= most;
    const userIds = await takeUsers(deps, hostId, most);
    if (userIds.length === 0) return;
    await Promise.all(userIds.map((userId) => startPending(deps, userId)));
  }
}

/**
 * Starts what waits for this user, until nothing is left that may start now. Not for disabled users, and not while the
 * user's host is down or paused: that costs no call.
 */
export async function startPending(deps: Deps, userId: string): Promise<void> {
  let isRefused = false;
  for (let count = 0; count < startsAtOnce && !isRefused; count++) {
    const claimed = await claimNext(deps, userId);
    if (!claimed) break;
    isRefused = !(await startClaimed(deps, claimed));
  }
  await putBack(deps, userId, isRefused);
}

/** Takes back what an earlier process had claimed or put off. For a gateway that knows to be the only one: it need not wait for leases. */
export async function releaseLeases(deps: Deps): Promise<void> {
  const { atomic, now } = deps;
  await forgetFuture(deps);
  await atomic([
    sql`update deliveries set lease_until = null, maybe_sent = 1 where due_at is not null and lease_until is not null`,
    moveToFront(isoTime(now()), sql`true`),
  ]);
}

/** Takes back what a clock that was ahead has put off: without this a run would wait until the time that it said. */
export async function forgetFuture({ atomic, now }: Deps): Promise<void> {
  const [time, leased] = [isoTime(now()), isoTime(now() + leaseMs)];
  await atomic([
    sql`update deliveries set due_at = ${time} where due_at is not null and due_at > ${time}`,
    sql`update deliveries set lease_until = ${leased} where lease_until is not null and lease_until > ${leased}`,
    moveToFront(time, sql`pending_due_at is not null`),
    sql`update hosts set last_report_at = ${time} where last_report_at > ${time}`,
  ]);
}

/** Says that a run of these users ended: what was refused as busy may be tried again now. */
export async function wakePending({ atomic, now }: Deps, userIds: string[]): Promise<void> {
  const time = isoTime(now());
  const ids = sql`(select value from json_each(${JSON.stringify(userIds)}))`;
  await atomic([
    sql`update deliveries as d set due_at = ${time}
      where d.user_id in ${ids} and d.due_at is not null and d.due_at > ${time} and ${isFree(time)}`,
    moveToFront(time, sql`id in ${ids}`),
  ]);
}

/**
 * Cancels a run that the gateway holds as pending. What the host may have is cancelled there, or here once it says
 * that it does not know it. Throws `conflict` when it ended meanwhile, `host_unavailable` when nobody can tell.
 */
export async function cancelPending(deps: Deps, caller: HostCaller, runId: string): Promise<Run> {
  const userId = caller.user.id;
  for (const end = performance.now() + cancelPatienceMs; performance.now() < end; await sleep(100)) {
    const time = isoTime(deps.now());
    const isOurs = sql`id = ${runId} and user_id = ${userId} and not exists (
      select 1 from deliveries d where d.run_id = ${runId} and d.due_at is not null and not ${isUnsent})`;
    if (await cancelHere(deps, time, isOurs)) return getRun(deps.db, userId, runId);
    const run = await getRun(deps.db, userId, runId);
    if (isEnded(run.status)) throw new AppError("conflict", "The run has ended already.", { runId });
    const asked = await attemptOf(deps, runId);
    const there = await cancelThere(deps, caller, runId);
    if (there) return there;
    // What is not there counts for the attempts that were over by then, and where none has begun since.
    const isUnasked = sql`id = ${runId} and user_id = ${userId} and not exists (
      select 1 from deliveries d where d.run_id = ${runId} and d.due_at is not null
        and not (${isFree(time)} and d.attempts = ${asked.count}))`;
    if (run.status !== "pending" || asked.isUnderWay) continue;
    if (await cancelHere(deps, time, isUnasked)) return getRun(deps.db, userId, runId);
  }
  throw new AppError("host_unavailable", "The run is just being started; try again.", { retryAfter: 5 });
}

/** How often a host was asked to start the run that waits, and whether one is being asked. */
async function attemptOf({ db, now }: Deps, runId: string): Promise<{ count: number; isUnderWay: boolean }> {
  const [attempt] = await db.all<{ count: number; isFree: number }>(sql`
    select d.attempts as count, ${isFree(isoTime(now()))} as "isFree" from deliveries d where d.run_id = ${runId} and d.due_at is not null`);
  return { count: attempt?.count ?? 0, isUnderWay: attempt?.isFree === 0 };
}

interface Claimed {
  seq: number;
  lease: string;
  /** By elapsed time. */
  claimedAt: number;
  attempts: number;
  /** Whether an earlier attempt may have reached the host. */
  wasSent: boolean;
}

/** Takes the first delivery that may start now: the first of its agent, due, with nobody's lease on it. */
async function claimNext({ atomic, now }: Deps, userId: string): Promise<Claimed | undefined> {
  const claimedAt = performance.now();
  const [time, lease] = [isoTime(now()), isoTime(now() + leaseMs)];
  const isReady = sql`d.due_at <= ${time} and ${isFree(time)} and ${canStart(now(), sql`${userId}`)}`;
  const [rows] = await atomic([
    sql`update deliveries as d set lease_until = ${lease}, attempts = d.attempts + 1,
      maybe_sent = d.maybe_sent or d.lease_until is not null
    where d.seq = (select min(d.seq) from ${firstsOf(userId)} f join deliveries d on d.seq = f.seq where ${isReady})
      and ${isReady}
    returning seq, attempts, maybe_sent as "wasSent"`,
  ]);
  const row = rows![0] as { seq: number; attempts: number; wasSent: number } | undefined;
  return row && { ...row, lease, claimedAt, wasSent: row.wasSent === 1 };
}

const isFree = (time: string) => sql`(d.lease_until is null or d.lease_until <= ${time})`;

/** The user is not disabled, or the run of `d` is to be ended; and the host may be asked, or none is chosen yet. */
function canStart(now: number, userId: SQL): SQL {
  return sql`exists (
    select 1 from users u left join hosts h on h.id = u.host_id
    where u.id = ${userId} and (not u.disabled or d.outcome is not null) and (u.host_id is null or ${isOpen(now)}))`;
}

/** Brings one claimed delivery forward; whether more of this user may be tried now. */
async function startClaimed(deps: Deps, claimed: Claimed): Promise<boolean> {
  const row = await selectClaimed(deps.db).get({ seq: claimed.seq });
  if (!row || row.status !== "pending") return settle(deps, claimed);
  try {
    if (row.isUnwanted) return await endUnwanted(deps, claimed, row);
    if (!row.host) {
      await placeUser(deps, row.userId);
      // As of a start by the API: who is deleted from here on is told to this host.
      return await startClaimed(deps, claimed);
    }
    const { host } = row;
    const body: StartRunBody = {
      run: {
        id: row.runId,
        trigger: row.data.trigger,
        prompt: row.prompt,
        attachments: row.data.attachments ?? [],
        payload: row.triggerId === "" ? null : row.payload,
      },
      agent: row.agent,
    };
    // Placing the user may have taken its time.
    const deadlineMs = startDeadlineMs - (performance.now() - claimed.claimedAt);
    if (deadlineMs < leastCallMs) throw new AppError("no_host", "No host was found in time.");
    const call = { method: "POST", path: "/v1/runs", body, deadlineMs } as const;
    const answer = await callOrPause(deps, host, row.userId, call);
    const lost = { ...answer.run, id: row.runId, userId: row.userId, agentId: row.agent.id, prompt: row.prompt };
    await deps.atomic([
      ...upsertRuns(host.id, answer.epoch, [answer.run]),
      endWithRemovedHost(host.id, answer.epoch, lost, isoTime(deps.now())),
      settledStatement(claimed),
      runIsTold(row.userId, row.runId),
    ]);
    return true;
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    if (error.code === "not_found") return giveUp(deps, claimed, row.runId);
    return postpone(deps, claimed, row.runId, error);
  }
}

/** Calls the host; one that answers nothing until the deadline is left alone for a while, by everybody who would start something. */
async function callOrPause(deps: Deps, host: HostTarget, userId: string, call: HostCall): Promise<RunAnswer> {
  const startedAt = performance.now();
  try {
    return await callHostJson(deps, host, gatewayFor(deps, userId), call, runAnswer);
  } catch (error) {
    // A call that had little time left says nothing of the host.
    const isSilent = performance.now() - startedAt >= Math.max(call.deadlineMs!, startDeadlineMs / 2);
    if (isSilent) await pauseHost(deps, host.id);
    throw error;
  }
}

const selectClaimed = prepareOnce((db) =>
  db
    .select({
      userId: deliveries.userId,
      triggerId: deliveries.triggerId,
      payload: deliveries.payload,
      runId: runs.id,
      status: runs.status,
      ...stored,
      agent: specColumns,
      isUnwanted: sql<number>`${agents.deletedAt} is not null or ${deliveries.outcome} is not null`,
      host: { id: hosts.id, url: hosts.url },
    })
    .from(deliveries)
    .innerJoin(runs, eq(runs.id, deliveries.runId))
    .innerJoin(agents, eq(agents.id, deliveries.agentId))
    .innerJoin(users, eq(users.id, deliveries.userId))
    .leftJoin(hosts, eq(hosts.id, users.hostId))
    .where(eq(deliveries.seq, sql.placeholder("seq")))
    .prepare(),
);

/** What nobody wants any more ends where it is: on the host, if that has it. */
async function endUnwanted(deps: Deps, claimed: Claimed, run: { runId: string; userId: string }): Promise<true> {
  const there = claimed.wasSent ? await cancelThere(deps, gatewayFor(deps, run.userId), run.runId) : null;
  return there ? settle(deps, claimed) : giveUp(deps, claimed, run.runId);
}

/** The run is the host's now, or over: nothing is left to start. */
async function settle({ atomic }: Deps, claimed: Claimed): Promise<true> {
  await atomic([settledStatement(claimed)]);
  return true;
}

function settledStatement({ seq }: Claimed): SQL {
  return sql`update deliveries set due_at = null, lease_until = null where seq = ${seq}`;
}

/** Nobody wants the run, and the host does not have it: it never will. */
async function giveUp({ atomic, now }: Deps, claimed: Claimed, runId: string): Promise<true> {
  await atomic([cancelledStatement(isoTime(now()), sql`id = ${runId}`), settledStatement(claimed)]);
  return true;
}

/**
 * Puts it back, with backoff. A host that said no does not have it, for it looks the id up first; one that said nothing may. What
 * was cancelled meanwhile, and no host can have, ends here.
 */
async function postpone(
  { atomic, log, now }: Deps,
  claimed: Claimed,
  runId: string,
  error: AppError,
): Promise<boolean> {
  const isBusy = error.code === "agent_busy" || error.code === "run_limit";
  const isUnasked = error.code === "no_host" || error.code === "host_unavailable";
  // Of a run that has ended there it says no as well.
  const maybeSent = isUncertain(error) || error.code === "conflict" || (claimed.wasSent && isUnasked) ? 1 : 0;
  const afterMs = isBusy ? busyMs : backoff(claimed.attempts, 500, failedMaxMs);
  if (!isBusy) log.warn("pending.postponed", { seq: claimed.seq, code: error.code, attempts: claimed.attempts });
  const kind = waitsFor(error) ?? "host";
  const isUnwanted = sql`d.seq = ${claimed.seq} and d.outcome = 'cancelled' and ${isUnsent}`;
  await atomic([
    sql`update deliveries set lease_until = null, due_at = ${isoTime(now() + afterMs)}, maybe_sent = ${maybeSent}
      where seq = ${claimed.seq} and lease_until = ${claimed.lease} and due_at is not null`,
    cancelledStatement(isoTime(now()), sql`id = (select d.run_id from deliveries d where ${isUnwanted})`),
    sql`update deliveries as d set due_at = null where ${isUnwanted}`,
    sql`update runs set data = ${toldToWait(kind, now)}
      where id = ${runId} and status = 'pending' and json_extract(data, '$.waitingFor.kind') is not ${kind}`,
  ]);
  return error.code === "agent_busy";
}

async function cancelHere({ atomic }: Deps, time: string, which: SQL): Promise<boolean> {
  const [cancelled] = await atomic([
    cancelledStatement(time, which),
    sql`update deliveries set due_at = null, lease_until = null
      where due_at is not null and run_id in (select id from runs where status = 'cancelled' and ${which})`,
  ]);
  return cancelled!.length > 0;
}

/** The cancelled run, or null when the host does not know it. */
async function cancelThere(deps: Deps, caller: HostCaller, runId: string): Promise<Run | null> {
  const host = await findHostOfUser(deps.db, caller.user.id);
  if (!host) return null;
  try {
    const call = { method: "POST", path: `/v1/runs/${runId}/cancel`, deadlineMs: longDeadlineMs } as const;
    const { epoch, run } = await callHostJson(deps, host, caller, call, runAnswer);
    await deps.atomic(upsertRuns(host.id, epoch, [run]));
    return await getRun(deps.db, caller.user.id, runId);
  } catch (error) {
    if (error instanceof AppError && error.code === "not_found") return null;
    throw error;
  }
}
