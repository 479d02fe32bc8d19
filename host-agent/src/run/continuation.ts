/**
 * The run that takes up a turn whose container was lost: it says the same words to the same conversation, which the CLI takes
 * once each, and goes on from what is written down of it.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import type { RunReason } from "@berth/shared/resources";
import { runtimes } from "../runtimes/runtimes.ts";
import type { Volume } from "../workspace/volume.ts";
import { logSizes, runDirectory } from "./run-files.ts";
import { readTail } from "./run-log.ts";
import type { AgentRow, NewRun, RunRow } from "../store/rows.ts";
import type { Store } from "../store/store.ts";

/** A turn is taken up so often; a container that is lost each time may be the turn's own fault. */
const mostContinuations = 2;

/** The run that the user began, of those that go on with one turn; and how many came before this one. */
export function beginningOf(store: Pick<Store, "getRun">, run: RunRow): { first: RunRow; depth: number } {
  const before = run.continues === null ? null : store.getRun(run.continues);
  if (!before) return { first: run, depth: 0 };
  const { first, depth } = beginningOf(store, before);
  return { first, depth: depth + 1 };
}

/** The run that goes on where this one ended; null where none shall. */
export function continuationOf(
  store: Pick<Store, "getRun" | "promptOf">,
  run: RunRow,
  agent: AgentRow,
  { reason, isTurnOver }: { reason: RunReason; isTurnOver: boolean },
): NewRun | null {
  const isWanted = agent.onInterruption === "continue" && !agent.deleted && runtimes[agent.runtime].hasSession;
  if (!isWanted || reason !== "container_lost" || isTurnOver) return null;
  if (beginningOf(store, run).depth >= mostContinuations) return null;
  const { userId, agentId, attachments } = run;
  return {
    // The same one from any copy of the database: what began once is not begun again.
    id: `run_${createHash("sha256").update(`continuation of ${run.id}`).digest("hex").slice(0, 32)}`,
    userId,
    agentId,
    trigger: { kind: "continuation", triggerId: run.trigger.triggerId },
    attachments,
    continues: run.id,
    prompt: store.promptOf(run.id),
    payload: null,
  };
}

/** So much of the end of a log is looked through for its last words. */
const wordsBytes = 131_072;

/**
 * The last words of a turn whose CLI ended well without a result: it was lost between the two, and the CLI that took it up found
 * nothing left to do. Of this run, or of those that it goes on with; null where none said any.
 */
export async function lastWordsOf(
  store: Pick<Store, "getRun">,
  volume: Volume,
  run: RunRow,
  agent: AgentRow,
): Promise<string | null> {
  const bytes = logSizes(volume, run.id).out;
  const said = await readTail(join(runDirectory(volume, run.id), "out"), wordsBytes, bytes);
  const { wordsIn } = runtimes[agent.runtime];
  const last = said.split("\n").reduce<string | null>((found, line) => wordsIn(line) ?? found, null);
  const before = run.continues === null || bytes > wordsBytes ? null : store.getRun(run.continues);
  return last ?? (before && lastWordsOf(store, volume, before, agent));
}
