/** Starting a run: the id is chosen here, so that a retry after any crash meets the same run; the host admits it. */
import { AppError } from "@berth/shared/errors";
import { type AgentSpec, runAnswer, type StartRunBody } from "@berth/shared/host-api";
import { newId, runIdOf } from "@berth/shared/ids";
import type { Run, Waiting } from "@berth/shared/resources";
import { eq } from "drizzle-orm";
import type { Deps } from "../deps.ts";
import { isoTime } from "../data/database.ts";
import { runs } from "../data/schema.ts";
import { callHostJson, isUncertain } from "../hosts/call.ts";
import { type HostTarget, placeUser } from "../hosts/placement.ts";
import { refuseBeyondDay } from "./day-limit.ts";
import { apiTrigger, type Asked, hashOfMessage, isAwaited, queueRun, unbegun, waitsFor } from "./queue-run.ts";
import { applyRunAnswer, asOfNow, publicRun } from "./host-answer.ts";
import { endWithRemovedHost, getRun, selectRunTarget, toRun } from "./runs.ts";
import {
  callIsOver,
  callIsUncertain,
  findLostCall,
  newStartCall,
  noteStartCall,
  runIsTold,
  type StartCall,
} from "./start-calls.ts";
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

interface Message extends Asked {
  id: string;
  userId: string;
  agentId: string;
}

/** Starts a run, or finds the one that the same key started. Throws `not_found`, `conflict`, `rate_limited`, and what the host refuses with. */
export async function startRun(deps: Deps, caller: Caller, newRun: NewRun): Promise<Run> {
  const { agentId, prompt, attachments, idempotencyKey, ifBusy } = newRun;
  const userId = caller.user.id;
  const id = idempotencyKey === null ? newId("run") : await runIdOf(userId, agentId, idempotencyKey);
  const message = { id, userId, agentId, prompt, attachments };
  // Nobody can repeat it, nor does it wait.
  const call = idempotencyKey === null && ifBusy === "refuse" ? null : newStartCall(userId, id);
  try {
    return await attempt(deps, caller, message, call, ifBusy);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const kind = waitsFor(error);
    if (ifBusy === "queue" && kind !== undefined) return wait(deps, message, call!, kind, isUncertain(error));
    if (call && isUncertain(error)) await deps.atomic([callIsUncertain(call)], "copy");
    throw error;
  }
}

/** Finds it, or has it wait after what waits already, or asks the user's host; places a user who has none first. */
async function attempt(
  deps: Deps,
  caller: Caller,
  message: Message,
  call: StartCall | null,
  ifBusy: NewRun["ifBusy"],
): Promise<Run> {
  const { id: runId, userId, agentId, prompt } = message;
  const target = await selectRunTarget(deps.db).get({ runId, agentId, userId });
  if (!target) throw new AppError("not_found", "There is no such agent.");
  if (target.run) return asOfNow(deps, caller, await sameRequest(toRun(target.run), message, target.run.asked));
  await refuseBeyondDay(deps, userId, prompt);
  if (target.calls > 0 && (await endLost(deps, message))) return getRun(deps.db, userId, runId);
  if (ifBusy === "queue" && (await isAwaited(deps.db, userId, agentId)))
    return wait(deps, message, call!, "busy", false);
  if (target.host) return ask(deps, caller, message, call, { ...target, host: target.host });
  await placeUser(deps, userId);
  // Placing may take seconds, and everything be another by then.
  return attempt(deps, caller, message, call, ifBusy);
}

interface Target {
  agent: AgentSpec;
  host: HostTarget;
}

async function ask(
  deps: Deps,
  caller: Caller,
  message: Message,
  call: StartCall | null,
  { agent, host }: Target,
): Promise<Run> {
  const { id, userId, agentId, prompt, attachments } = message;
  const asked = { prompt, attachments };
  if (call) await noteStartCall(deps, call, host.id, await hashOfMessage(asked));
  const run = { id, trigger: apiTrigger, ...asked, payload: null };
  const body: StartRunBody = { run, agent };
  const start = { method: "POST", path: "/v1/runs", body, deadlineMs } as const;
  const answer = await callHostJson(deps, host, caller, start, runAnswer).catch(async (error: unknown) => {
    if (call && error instanceof AppError && !isUncertain(error)) await deps.atomic([callIsOver(call)], "copy");
    throw error;
  });
  // A host that has the run with another prompt has refused this one.
  const started = { ...answer.run, ...asked };
  if (await applyRunAnswer(deps, host, { ...answer, run: started })) return publicRun(started);
  const lost = { ...started, ...run, agentId, userId };
  await deps.atomic([endWithRemovedHost(host.id, answer.epoch, lost, isoTime(deps.now())), runIsTold(userId, id)]);
  return sameRequest(await getRun(deps.db, userId, id), asked);
}

/** Has the message wait, unless a host that was removed may have begun it. Another with its key may have come meanwhile. */
async function wait(
  deps: Deps,
  message: Message,
  call: StartCall,
  kind: Waiting["kind"],
  maybeSent: boolean,
): Promise<Run> {
  const queued = await queueRun(deps, { ...message, kind, call, maybeSent });
  if (!queued) await endLost(deps, message);
  const run = queued ?? (await getRun(deps.db, message.userId, message.id));
  // It may have been reworded since.
  const [first] = await deps.db.select({ asked: runs.asked }).from(runs).where(eq(runs.id, run.id));
  return sameRequest(run, message, first?.asked);
}

/**
 * Ends what a host may have begun that was removed before it answered: as lost with that host, and nothing of it begins elsewhere.
 * Whether there is such a one; throws `conflict` where it was asked for another message.
 */
async function endLost(deps: Deps, { id, userId, agentId, prompt, attachments }: Message): Promise<boolean> {
  const asked = { prompt, attachments };
  const hash = await hashOfMessage(asked);
  const lost = await findLostCall(deps, { userId, runId: id }, hash);
  if (!lost) return false;
  if (lost.asked !== hash) throw otherMessage(id);
  const createdAt = isoTime(deps.now());
  const run = { ...unbegun, id, userId, agentId, rev: 0, trigger: apiTrigger, createdAt, ...asked };
  await deps.atomic([endWithRemovedHost(lost.hostId, "", run, createdAt), runIsTold(userId, id)]);
  return true;
}

/** The run, where it was asked for by the same message: `first` is the hash of that where it was reworded. */
async function sameRequest(run: Run, asked: Asked, first: string | null = null): Promise<Run> {
  if ((await hashOfMessage(asked)) === (first ?? (await hashOfMessage(run)))) return run;
  throw otherMessage(run.id);
}

const otherMessage = (runId: string) =>
  new AppError("conflict", "This Idempotency-Key was used with another message.", { runId });
