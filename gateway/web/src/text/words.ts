/** What the contract's states and reasons mean to a person, and what to do about them. Pure. */
import { wasNeverRun } from "@berth/shared/exit-codes";
import type { Alert } from "@berth/shared/host-api";
import type { OriginKind, Run, RunReason, Workspace } from "@berth/shared/resources";

type Tone = "good" | "busy" | "warn" | "bad" | "idle";
export interface StateWords {
  tone: Tone;
  /** A word or two. */
  short: string;
  /** One or two sentences: what happened, what to do. Empty where there is nothing to add. */
  advice: string;
}

/** What started a run: as a filter names it, and as a run is marked with it. */
export const origins: Record<OriginKind, { name: string; mark: string | null }> = {
  api: { name: "Message", mark: null },
  webhook: { name: "Webhook", mark: "webhook" },
};

/** A run's state, or the honest reason of its end. */
export function tellRun(run: Run): StateWords {
  if (run.reason === null) return tellGoing(run);
  if (run.reason === "completed") return { tone: "good", short: "Finished", advice: tellOomKills(run) };
  if (run.reason === "cancelled")
    return { tone: "idle", short: "Stopped", advice: "It was stopped on request. What it wrote so far is kept." };
  if (wasNeverRun(run))
    return bad(
      "Failed: it could not be started",
      "The workspace was full of processes, or has no such program. Stop what else runs in it, or stop the workspace, then send the message again.",
    );
  if (run.reason === "nonzero_exit")
    return bad(
      `Failed: exit code ${run.exitCode ?? "unknown"}`,
      `The program ended with an error. ${run.stderrTail ? "Its last words are below." : "What it printed may tell why."}`,
    );
  return bad(...ends[run.reason]);
}

/** Each bad end in a few words, and what to do about it. */
const ends: Record<Exclude<RunReason, "completed" | "cancelled" | "nonzero_exit">, [short: string, advice: string]> = {
  timed_out: [
    "Stopped: took too long",
    "It ran into the time limit of this Berth. Ask for a smaller step, or let an admin raise BERTH_RUN_TIMEOUT_SECONDS.",
  ],
  log_limit: [
    "Stopped: too much output",
    "It printed more than a run may. Send long output to a file in the agent's directory instead.",
  ],
  budget_reached: [
    "Stopped: budget used up",
    "The budget of this run or of the day is spent. Try again tomorrow, or let an admin raise BERTH_RUN_BUDGET_USD or BERTH_DAILY_BUDGET_USD.",
  ],
  host_lost: ["Lost: its host was removed", "An admin removed the machine on which it ran. Send the message again."],
  container_lost: [
    "Stopped: the workspace went away",
    "Its container was stopped or removed in the middle of the run. The files are still there: send the message again.",
  ],
  out_of_memory: [
    "Stopped: out of memory",
    "The workspace reached its memory limit and the kernel ended this run. Run fewer agents at once, or ask for smaller steps (fewer parallel jobs, smaller builds), then send the message again.",
  ],
  disk_full: [
    "Failed: the disk is full",
    "There is no space left in the workspace. Delete files or agents that you no longer need, then send the message again.",
  ],
  start_timeout: [
    "Failed: it did not start",
    "The agent's program said nothing for a minute. Send the message again; if it stays so, an admin finds the cause with npm run doctor.",
  ],
  model_auth: [
    "Failed: the model refused the key",
    "The model API does not accept Berth's key. An admin must check ANTHROPIC_API_KEY and start the host agent again.",
  ],
  model_rate_limited: [
    "Failed: the model is overloaded",
    "The model API turned the agent away (rate limit or overload) until it gave up. Wait some minutes, then send the message again.",
  ],
  agent_error: [
    "Failed: the agent reported an error",
    "Its own words are above. Often the same message works a second time.",
  ],
};

/** What an admin is told of a user's last hour, and what to do about it. */
export function tellAlert({ kind, count }: Alert): string {
  if (kind === "unended")
    return "A program could not be ended and its workspace was closed. If that comes again, restart the machine.";
  const what = kind === "run_limit" ? "Refused: too many runs at once" : ends[kind][0];
  return `${what}, ${count >= 100 ? "100 times or more" : `${count} times`} within an hour.`;
}

/** The state in one word, for lists. */
function tellGoing({ status, waitingFor }: Run): StateWords {
  if (waitingFor && waitingFor.requestId !== null) return { tone: "warn", short: "Waits for you", advice: "" };
  if (status === "pending")
    return { tone: "idle", short: "Waiting", advice: waits[waitingFor?.kind ?? "busy"] ?? waits.busy };
  if (status === "starting") return { tone: "busy", short: "Starting", advice: "" };
  return { tone: "busy", short: "Running", advice: "" };
}

/** What a run that has not started waits for. */
const waits = {
  busy: "It starts when its agent is done with what came before.",
  slots: "As many agents as may work at the same time already do. It starts when one of them is done.",
  memory: "The workspace has too little memory for another run now. It starts when there is enough.",
  host: "Its host does not answer now. It starts when that is back.",
} as Record<string, string> & { busy: string };

export function tellWorkspace({ status, reason }: Workspace): StateWords {
  switch (status) {
    case "absent":
      return { tone: "idle", short: "Asleep", advice: "It starts by itself with the next message. Files stay." };
    case "starting":
      return { tone: "busy", short: "Starting", advice: "" };
    case "running":
      return { tone: "good", short: "Running", advice: "" };
    case "stopping":
      return { tone: "busy", short: "Stopping", advice: "" };
    case "failed":
      return {
        tone: "bad",
        short: "Failed",
        advice: `${reason ? `${reason} ` : ""}Start it again; if that fails too, an admin finds the cause with npm run doctor.`,
      };
  }
}

const bad = (short: string, advice: string): StateWords => ({ tone: "bad", short, advice });

function tellOomKills({ oomKills }: Run): string {
  return oomKills === 0
    ? ""
    : `The kernel ended ${oomKills === 1 ? "one of its tools" : `${oomKills} of its tools`} for lack of memory; the agent itself went on.`;
}
