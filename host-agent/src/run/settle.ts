/**
 * The end of a run: ends what is left of it, fixes its log, finds the reason, stores the end. Total: nothing that merely
 * decorates an end can prevent it, and what cannot be had after many tries is left out, and said. Repeatable until stored.
 */
import { join } from "node:path";
import { messageOf } from "@berth/shared/log";
import { isCode } from "../machine/missing.ts";
import { endProcesses } from "../machine/processes.ts";
import type { HostContext } from "../context/context.ts";
import { continuationOf, lastWordsOf } from "./continuation.ts";
import type { Over } from "./decide.ts";
import { type LinesReader, nothingSeen } from "./lines-reader.ts";
import { readTail } from "./run-log.ts";
import { runtimes } from "../runtimes/runtimes.ts";
import { reasonOf, finalStatusOf } from "./reason.ts";
import { type NotedEnd, noteEnd, readEnd, runDirectory, sealRunFiles } from "./run-files.ts";
import type { AgentRow, RunChange, RunRow } from "../store/rows.ts";
import type { Store } from "../store/store.ts";
import { inRunOf } from "../store/uids.ts";
import type { RunningContainer } from "../workspace/container.ts";
import { isFullFor, type Volume } from "../workspace/volume.ts";

export interface SettleDeps {
  context: HostContext;
  store: Store;
  countKills: () => void;
  /** Cuts the run's connections to the model. */
  closeModel: (runId: string) => void;
}
/** A run and where it was; the volume is null when it could not be had in many tries. */
export interface Lived {
  runId: string;
  agent: AgentRow;
  volume: Volume | null;
  container: RunningContainer | null;
  /** Null without a volume. */
  lines: LinesReader | null;
}

/** So many failures in a row, with backoff about a minute, and a run ends with what is known. */
export const patience = 16;
/** How long a run's processes have to end by themselves once they are told to. */
const graceMs = 2000;
/** The same for what a run left behind when it ended by itself. */
const leftoverGraceMs = 200;
const resultBytes = 64 * 1024;
const tailResultBytes = 4096;
const stderrTailBytes = 4096;

/** Stores the end and answers the run as it ended, which is told once it is on disk; null if it had ended before. `failures` is how often this has failed in a row. */
export async function settle(deps: SettleDeps, lived: Lived, over: Over, failures: number): Promise<RunRow | null> {
  const { context, store, closeModel, countKills } = deps;
  const { runId, agent, volume, container, lines } = lived;
  const seen = lines?.seen ?? nothingSeen();
  const { exitCode, isContainerLost, hasLingered } = over;
  const attempt = async <T>(part: string, job: () => T | Promise<T>, isNeeded = false): Promise<T | null> => {
    try {
      return await job();
    } catch (error) {
      if (isNeeded && failures < patience) throw error;
      context.log[isNeeded ? "error" : "warn"]("run.end_incomplete", { runId, part, error: messageOf(error) });
      return null;
    }
  };
  closeModel(runId);
  const isTold = store.getRun(runId)!.intent !== null || hasLingered;
  if (container) await endProcesses(container.cgroup, inRunOf(agent.uid), isTold ? graceMs : leftoverGraceMs);
  // Where it says why the run ended, it is needed.
  await attempt("kills", countKills, mayBeKilled(store.getRun(runId)!.intent, exitCode));
  const sizes =
    volume && (await attempt("log", () => sealRunFiles(volume, runId, context.settings.BERTH_LOG_BYTES), true));
  const out = sizes?.out ?? 0;
  if (lines && sizes && runtimes[agent.runtime].answersSoon) await attempt("lines", () => lines.readRest(out));
  const { intent, oomKills, modelStatus } = store.getRun(runId)!;
  const isDiskFull =
    over.isDiskFull ?? (volume && (await attempt("disk", () => isFullFor(volume.root, agent.uid)))) ?? false;
  const resultIsError = seen.result?.isError ?? null;
  const ending = { intent, exitCode, isContainerLost, oomKills, isDiskFull, modelStatus, resultIsError, hasLingered };
  const decided = { reason: reasonOf(ending), exitCode, endedAt: context.clock.iso() };
  const noted = volume && (await attempt("end", () => noteOnce(volume, runId, decided), true));
  // The database's own word is on disk before the end is told; this one matters where an older copy of it is put back.
  if (noted) void attempt("sync", () => noted.onDisk);
  const { reason, ...told } = noted?.end ?? decided;
  const tail = async (name: "out" | "err", maxBytes: number) =>
    sizes && attempt(name, () => readTail(join(runDirectory(volume, runId), name), maxBytes, sizes[name]));
  const wordsOf = async () =>
    reason === "completed" && sizes
      ? attempt("words", () => lastWordsOf(store, volume, store.getRun(runId)!, agent))
      : null;
  const text =
    seen.result?.text ?? (runtimes[agent.runtime].resultIsTail ? await tail("out", tailResultBytes) : await wordsOf());
  const stderrTail = finalStatusOf(reason) === "failed" ? await tail("err", stderrTailBytes) : null;
  if (seen.hasAnswered && runtimes[agent.runtime].hasSession)
    store.setSession(agent.id, seen.sessionId ?? agent.sessionId, true);
  const isTurnOver = (seen.result !== null && !seen.isInTurn) || seen.isDone;
  const end: RunChange = {
    status: finalStatusOf(reason),
    reason,
    result: text === null ? null : clip(text, resultBytes),
    ...told,
    logBytes: out,
    stderrTail,
    waitingFor: null,
  };
  const goesOn =
    volume && continuationOf(store, store.getRun(runId)!, store.getAgent(agent.id)!, { reason, isTurnOver });
  return store.endRun(runId, end, goesOn);
}

/** Whether a kernel's kill would be the reason of such an end. */
const mayBeKilled = (intent: RunRow["intent"], exitCode: number | null) =>
  (intent === null || intent === "start_timeout") && (exitCode === null || exitCode === 137);

/** The end that was noted first: whoever comes with an older copy of the database takes that. A volume that takes nothing more holds up no end. */
function noteOnce(volume: Volume, runId: string, decided: NotedEnd): { end: NotedEnd; onDisk: Promise<void> | null } {
  const noted = readEnd(volume, runId);
  if (noted) return { end: noted, onDisk: null };
  try {
    return { end: decided, onDisk: noteEnd(volume, runId, decided) };
  } catch (error) {
    if (!isCode(error, "ENOSPC", "EROFS")) throw error;
    return { end: decided, onDisk: null };
  }
}

/** The first `maxBytes` of a text, cut at a character. */
function clip(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text);
  return bytes.length <= maxBytes ? text : new TextDecoder().decode(bytes.subarray(0, maxBytes), { stream: true });
}
