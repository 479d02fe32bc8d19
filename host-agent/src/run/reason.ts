/** Why a run ended: pure rules over what was seen, in the contract's rank order. Nothing here is guessed. */
import { limitReasons } from "@berth/shared/host-api";
import { runReasons, type RunReason } from "@berth/shared/resources";
import type { RunStatus } from "@berth/shared/values";
import type { Intent } from "../store/rows.ts";

/** What was seen of a run when it was over. */
export interface Ending {
  intent: Intent | null;
  /** What the wrapper wrote; null if it never did. */
  exitCode: number | null;
  isContainerLost: boolean;
  /** Kills by the kernel among the run's processes. */
  oomKills: number;
  isDiskFull: boolean;
  /** Last HTTP status of the model API. */
  modelStatus: number | null;
  /** Whether the CLI's own result says error; null without one. */
  resultIsError: boolean | null;
  /** Whether the CLI stayed on after its result, so that the host ended it. */
  hasLingered: boolean;
}

/** The one reason of an ending: of those that fit, the first in rank. */
export function reasonOf(ending: Ending): RunReason {
  const { exitCode } = ending;
  const failed = (exitCode !== 0 && !ending.hasLingered) || ending.resultIsError === true;
  const wasKilled = exitCode === null || exitCode >= 128;
  const fits: Partial<Record<RunReason, boolean>> = {
    container_lost: ending.isContainerLost && wasKilled,
    out_of_memory: ending.oomKills > 0 && (exitCode === null || exitCode === 137),
    disk_full: failed && ending.isDiskFull,
    model_auth: failed && (ending.modelStatus === 401 || ending.modelStatus === 403),
    model_rate_limited: failed && (ending.modelStatus === 429 || ending.modelStatus === 529),
    agent_error: ending.resultIsError === true,
    nonzero_exit: exitCode !== 0 && !ending.hasLingered,
    completed: true,
  };
  if (ending.intent) fits[ending.intent === "interrupted" ? "cancelled" : ending.intent] = true;
  return runReasons.find((reason) => fits[reason])!;
}

type Limit = (typeof limitReasons)[number];
/** Whether the run ended at a limit that its user can meet again. */
export const isLimit = (reason: RunReason | null): reason is Limit => limitReasons.includes(reason as Limit);

/** The final status that goes with a reason. */
export function finalStatusOf(reason: RunReason): RunStatus {
  return reason === "completed" ? "completed" : reason === "cancelled" ? "cancelled" : "failed";
}
