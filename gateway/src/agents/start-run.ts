/** Starting a run: the id is chosen here, so that a retry after any crash meets the same run; the host admits it. */
import { AppError } from "@berth/shared/errors";
import { runAnswer, type StartRunBody } from "@berth/shared/host-api";
import { newId, runIdOf } from "@berth/shared/ids";
import type { Run } from "@berth/shared/resources";
import type { Deps } from "../deps.ts";
import { isoTime } from "../data/database.ts";
import { callHostJson, isUncertain } from "../hosts/call.ts";
import { placeUser } from "../hosts/placement.ts";
import { refuseBeyondDay } from "./day-limit.ts";
import { apiTrigger, type Asked, hashOfMessage, isAwaited, queueRun, unbegun, waitsFor } from "./queue-run.ts";
import { applyRunAnswer, asOfNow, publicRun } from "./host-answer.ts";
import { endWithRemovedHost, getRun, selectRunTarget, toRun } from "./runs.ts";
import { answeredStatement, noteStartCall, refusedStatement } from "./start-calls.ts";
import type { Caller } from "../http/caller.ts";

/** A new user's container is made meanwhile; and whoever asks may wait for no more than half a minute. */
const deadlineMs = 25_000;

export interface NewRun {
  agentId: string;
  prompt: string;
  attachments: string[];
  idempotencyKey: string | null;
  /** `queue`: where it cannot start now it waits, after what waits already. */
  ifBusy: "refuse" | "queue";
}

/** Starts a run, or finds the one that the same key started. Throws `not_found`, `conflict`, `rate_limited`, and what the host refuses with. */
export async function startRun(deps: Deps, caller: Caller, newRun: NewRun): Promise<Run> {
  const { agentId, prompt, attachments, idempotencyKey, ifBusy } = newRun;
  const userId = caller.user.id;
  const runId = idempotencyKey === null ? newId("run") : await runIdOf(userId, agentId, idempotencyKey);
  const target = await selectRunTarget(deps.db).get({ runId, agentId, userId });
  if (!target) throw new AppError("not_found", "There is no such agent.");
  const asked = { prompt, attachments };
  if (target.run) return asOfNow(deps, caller, await sameRequest(toRun(target.run), asked, target.run.asked));
  const waiting = { id: runId, userId, agentId, ...asked };
  if (target.call?.isLost) return endLost(deps, target.call.hostId, waiting);
  await refuseBeyondDay(deps, userId, prompt);
  if (ifBusy === "queue" && (await isAwaited(deps.db, userId, agentId)))
    return queueRun(deps, { ...waiting, kind: "busy", maybeSent: target.call !== null });
  try {
    return await startNow(deps, caller, { ...waiting, isKeyed: idempotencyKey !== null }, target);
  } catch (error) {
    const kind = error instanceof AppError ? waitsFor(error) : undefined;
    if (ifBusy === "refuse" || kind === undefined) throw error;
    return queueRun(deps, { ...waiting, kind, maybeSent: kind === "host" });
  }
}

type Target = NonNullable<Awaited<ReturnType<ReturnType<typeof selectRunTarget>["get"]>>>;

interface Message extends Asked {
  id: string;
  userId: string;
  agentId: string;
}

async function startNow(
  deps: Deps,
  caller: Caller,
  message: Message & { isKeyed: boolean },
  { agent, host }: Target,
): Promise<Run> {
  const { id, userId, agentId, prompt, attachments, isKeyed } = message;
  if (!host) {
    await placeUser(deps, userId);
    // Placing may take seconds. Of an agent that was deleted before no host is told; of one that is deleted from here on this one is.
    const placed = await selectRunTarget(deps.db).get({ runId: id, agentId, userId });
    if (!placed) throw new AppError("not_found", "There is no such agent.");
    return startNow(deps, caller, message, placed);
  }
  const asked = { prompt, attachments };
  const askedAt = isoTime(deps.now());
  if (isKeyed) {
    const hostId = await noteStartCall(deps, { runId: id, userId, hostId: host.id, askedAt });
    if (hostId === null)
      throw new AppError("host_unavailable", "The user's host was just removed; try again.", { retryAfter: 1 });
    if (hostId !== host.id) return endLost(deps, hostId, message);
  }
  const run = { id, trigger: apiTrigger, ...asked, payload: null };
  const body: StartRunBody = { run, agent };
  const call = { method: "POST", path: "/v1/runs", body, deadlineMs } as const;
  const answer = await callHostJson(deps, host, caller, call, runAnswer).catch(async (error: unknown) => {
    if (isKeyed && error instanceof AppError && !isUncertain(error))
      await deps.atomic([refusedStatement(id, askedAt)], "copy");
    throw error;
  });
  // A host that has the run with another prompt has refused this one.
  const started = { ...answer.run, ...asked };
  if (await applyRunAnswer(deps, host, { ...answer, run: started })) return publicRun(started);
  const lost = { ...started, ...run, agentId, userId };
  await deps.atomic([endWithRemovedHost(host.id, answer.epoch, lost, isoTime(deps.now())), answeredStatement(id)]);
  return sameRequest(await getRun(deps.db, userId, id), asked);
}

/** A host that was removed before it answered may have begun it: it ends as lost with that host, and nothing begins elsewhere. */
async function endLost(
  deps: Deps,
  hostId: string,
  { id, userId, agentId, prompt, attachments }: Message,
): Promise<Run> {
  const createdAt = isoTime(deps.now());
  const asked = { prompt, attachments };
  const lost = { ...unbegun, id, userId, agentId, rev: 0, trigger: apiTrigger, createdAt, ...asked };
  await deps.atomic([endWithRemovedHost(hostId, "", lost, createdAt), answeredStatement(id)]);
  return sameRequest(await getRun(deps.db, userId, id), asked);
}

/** The run, where it was asked for by the same message: `first` is the hash of that where it was reworded. */
async function sameRequest(run: Run, asked: Asked, first: string | null = null): Promise<Run> {
  if ((await hashOfMessage(asked)) === (first ?? (await hashOfMessage(run)))) return run;
  throw new AppError("conflict", "This Idempotency-Key was used with another message.", { runId: run.id });
}
