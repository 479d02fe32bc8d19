/** Starting a run: the id is chosen here, so that a retry after any crash meets the same run; the host admits it. */
import { AppError } from "@berth/shared/errors";
import { runAnswer, type StartRunBody } from "@berth/shared/host-api";
import { newId, runIdOf } from "@berth/shared/ids";
import type { Run } from "@berth/shared/resources";
import type { Deps } from "../deps.ts";
import { isoTime } from "../data/database.ts";
import { callHostJson } from "../hosts/call.ts";
import { placeUser } from "../hosts/placement.ts";
import { refuseBeyondDay } from "./day-limit.ts";
import { type Asked, hashOfMessage, isAwaited, queueRun, waitsFor } from "./queue-run.ts";
import { applyRunAnswer, asOfNow, publicRun } from "./host-answer.ts";
import { endWithRemovedHost, getRun, selectRunTarget, toRun } from "./runs.ts";
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
  await refuseBeyondDay(deps, userId, prompt);
  const waiting = { id: runId, userId, agentId, ...asked };
  if (ifBusy === "queue" && (await isAwaited(deps.db, userId, agentId)))
    return queueRun(deps, { ...waiting, kind: "busy", maybeSent: false });
  try {
    return await startNow(deps, caller, runId, asked, target);
  } catch (error) {
    const kind = error instanceof AppError ? waitsFor(error) : undefined;
    if (ifBusy === "refuse" || kind === undefined) throw error;
    return queueRun(deps, { ...waiting, kind, maybeSent: kind === "host" });
  }
}

type Target = NonNullable<Awaited<ReturnType<ReturnType<typeof selectRunTarget>["get"]>>>;

async function startNow(deps: Deps, caller: Caller, runId: string, asked: Asked, target: Target): Promise<Run> {
  const userId = caller.user.id;
  if (!target.host) {
    await placeUser(deps, userId);
    // Placing may take seconds. Of an agent that was deleted before no host is told; of one that is deleted from here on this one is.
    const placed = await selectRunTarget(deps.db).get({ runId, agentId: target.agent.id, userId });
    if (!placed) throw new AppError("not_found", "There is no such agent.");
    return startNow(deps, caller, runId, asked, placed);
  }
  const { host } = target;
  const run = { id: runId, trigger: { kind: "api", triggerId: null }, ...asked, payload: null } as const;
  const body: StartRunBody = { run, agent: target.agent };
  const answer = await callHostJson(
    deps,
    host,
    caller,
    { method: "POST", path: "/v1/runs", body, deadlineMs },
    runAnswer,
  );
  // A host that has the run with another prompt has refused this one.
  const started = { ...answer.run, ...asked };
  if (await applyRunAnswer(deps, host, { ...answer, run: started })) return publicRun(started);
  const lost = { ...started, ...run, agentId: target.agent.id, userId };
  await deps.atomic([endWithRemovedHost(host.id, answer.epoch, lost, isoTime(deps.now()))]);
  return sameRequest(await getRun(deps.db, userId, runId), asked);
}

/** The run, where it was asked for by the same message: `first` is the hash of that where it was reworded. */
async function sameRequest(run: Run, asked: Asked, first: string | null = null): Promise<Run> {
  if ((await hashOfMessage(asked)) === (first ?? (await hashOfMessage(run)))) return run;
  throw new AppError("conflict", "This Idempotency-Key was used with another message.", { runId: run.id });
}
