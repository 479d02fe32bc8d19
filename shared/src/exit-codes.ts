/** The exit code that means something to Berth itself. Without zod, for the dashboard reads it too. */
import type { Run } from "./resources.ts";

/** As shells say it of a command that was found and could not be run; the wrapper and the host agent say it of a run. */
export const notInvoked = 126;

/** Whether nothing of the run was ever executed. A program that says this code itself says more on standard error. */
export const wasNeverRun = ({ reason, exitCode, stderrTail }: Pick<Run, "reason" | "exitCode" | "stderrTail">) =>
  reason === "nonzero_exit" && exitCode === notInvoked && !stderrTail;
