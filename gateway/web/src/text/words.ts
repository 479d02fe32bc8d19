/** What the contract's states and reasons mean to a person, and what to do about them. */
import { wasNeverRun } from "@berth/shared/exit-codes";
import type { OriginKind, Run, RunReason, Workspace } from "@berth/shared/resources";
import { createWords, t } from "../i18n/language.ts";

type Tone = "good" | "busy" | "warn" | "bad" | "idle";
export interface StateWords {
  tone: Tone;
  /** A word or two. */
  short: string;
  /** One or two sentences: what happened, what to do. Empty where there is nothing to add. */
  advice: string;
}

/** A run's state, or the honest reason of its end; `goesOn` of a lost one that another takes up. */
export function tellRun(run: Run, goesOn = false): StateWords {
  const { states } = t();
  if (goesOn) return tell("warn", states.cutOff);
  if (run.reason === null) return tellGoing(run);
  if (wasNeverRun(run)) return tell("bad", states.neverRun);
  if (run.reason === "nonzero_exit") {
    const where = run.stderrTail ? states.lastWordsBelow : states.printedMayTell;
    return tell("bad", [states.exitCode(run.exitCode), `${states.ends.nonzero_exit[1]} ${where}`]);
  }
  if (run.reason === "completed" && run.oomKills > 0)
    return tell("good", [states.ends.completed[0], states.oomKills(run.oomKills)]);
  return tell(tones[run.reason] ?? "bad", states.ends[run.reason]);
}

const tones: Partial<Record<RunReason, Tone>> = { completed: "good", cancelled: "idle" };

export const tell = (tone: Tone, [short, advice]: readonly [string, string]): StateWords => ({ tone, short, advice });

/** What started a run: in a filter, and as the mark of one that no person did (empty for all others). */
export const originWords = createWords<Record<OriginKind, [name: string, mark: string]>>({
  en: { api: ["Message", ""], webhook: ["Webhook", "webhook"], continuation: ["Continuation", ""] },
  ko: { api: ["메시지", ""], webhook: ["웹훅", "웹훅"], continuation: ["이어서 진행", ""] },
});

/** The state in one word, for lists. */
function tellGoing({ status, waitingFor }: Run): StateWords {
  const { states } = t();
  if (waitingFor && waitingFor.requestId !== null) return tell("warn", [states.waitsForYou, ""]);
  if (status !== "pending") return tell("busy", [states.runs[status], ""]);
  const waits: Partial<Record<string, string>> = states.waits;
  return tell("idle", [states.runs.pending, waits[waitingFor?.kind ?? "busy"] ?? states.waits.busy]);
}

const workspaceTones: Record<Workspace["status"], Tone> = {
  absent: "idle",
  starting: "busy",
  running: "good",
  stopping: "busy",
  failed: "bad",
};

export const tellWorkspace = ({ status }: Workspace) => tell(workspaceTones[status], t().states.workspace[status]);
