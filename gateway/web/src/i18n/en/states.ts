/** The contract's states, reasons and kinds: what they mean to a person, and what to do about them. */
import type { Run, RunReason, Waiting, Workspace } from "@berth/shared/resources";
import { modelKeyNames } from "@berth/shared/kinds/runtimes";
import type { Delivery } from "@berth/shared/webhooks";
import { createPlural } from "../grammar.ts";

const plural = createPlural("en");
const modelKeys = modelKeyNames.join(" / ");

export const states = {
  runs: {
    pending: "Waiting",
    starting: "Starting",
    running: "Running",
    completed: "Finished",
    failed: "Failed",
    cancelled: "Stopped",
  } satisfies Record<Run["status"], string>,
  deliveries: { skipped: "Skipped", rejected: "Rejected" } satisfies Partial<Record<Delivery["status"], string>>,
  waitsForYou: "Waiting for you",
  waits: {
    busy: "It starts when its agent is done with what came before.",
    slots: "You have as many runs in progress as you're allowed. It starts when one of them ends.",
    memory: "The workspace has too little memory for another run right now. It starts when there is enough.",
    host: "Its host isn't responding right now. It starts when the host is back.",
  } satisfies Record<Exclude<Waiting["kind"], "permission" | "question" | "plan">, string>,
  /** Of a lost run that another one goes on with. */
  cutOff: ["Cut off: the workspace went away", ""] satisfies [short: string, advice: string],
  ends: {
    completed: ["Finished", ""],
    cancelled: ["Stopped", "It was stopped on request. What it wrote so far is kept."],
    nonzero_exit: ["Failed", "The program ended with an error."],
    timed_out: [
      "Stopped: took too long",
      "It reached this Berth's time limit. Ask for a smaller step, or have an admin raise BERTH_RUN_TIMEOUT_SECONDS.",
    ],
    log_limit: [
      "Stopped: too much output",
      "It printed more than a run is allowed to. Write long output to a file in the agent's directory instead.",
    ],
    budget_reached: [
      "Stopped: budget used up",
      "The budget of this run or of the day is spent. Try again tomorrow, or have an admin raise your limit, or BERTH_RUN_BUDGET_USD or BERTH_DAILY_BUDGET_USD.",
    ],
    host_lost: ["Lost: its host was removed", "An admin removed the machine it ran on. Send the message again."],
    container_lost: [
      "Stopped: the workspace went away",
      "Its container was stopped or removed in the middle of the run. The files are still there: send the message again.",
    ],
    out_of_memory: [
      "Stopped: out of memory",
      "The workspace reached its memory limit, and the kernel killed this run. Run fewer agents at once or ask for smaller steps (fewer parallel jobs, smaller builds), then send the message again.",
    ],
    disk_full: [
      "Failed: the disk is full",
      "The workspace has no space left for this agent. Delete files or agents you no longer need, then send the message again.",
    ],
    start_timeout: [
      "Failed: it did not start",
      "The agent's program said nothing for a minute. Send the message again. If that keeps happening, an admin can find the cause with npm run doctor.",
    ],
    model_auth: [
      "Failed: the model refused the key",
      `The model API does not accept Berth's key. An admin must check ${modelKeys} and restart the host agent.`,
    ],
    model_rate_limited: [
      "Failed: the model is overloaded",
      "The model API kept turning the agent away (rate limit or overload) until it gave up. Wait a few minutes, then send the message again.",
    ],
    agent_error: [
      "Failed: the agent reported an error",
      "What it said is above. Sending the same message again often works.",
    ],
  } satisfies Record<RunReason, [short: string, advice: string]>,
  neverRun: [
    "Failed: it could not be started",
    "The workspace was full of processes, or has no such program. Stop what else runs in it, or stop the workspace, then send the message again.",
  ] satisfies [short: string, advice: string],
  exitCode: (code: number | null) => `Failed: exit code ${code ?? "unknown"}`,
  lastWordsBelow: "Its last lines are below.",
  printedMayTell: "Its output may show why.",
  oomKills: (count: number) =>
    plural(count, {
      one: "The kernel killed one of its tools for lack of memory. The agent itself kept going.",
      other: "The kernel killed # of its tools for lack of memory. The agent itself kept going.",
    }),
  idle: "Idle",
  fresh: "New",
  workspace: {
    absent: ["Asleep", "It starts by itself with the next message. Files stay."],
    starting: ["Starting", ""],
    running: ["Running", ""],
    stopping: ["Stopping", ""],
    failed: ["Failed", "Start it again. If that fails too, an admin can find the cause with npm run doctor."],
  } satisfies Record<Workspace["status"], [short: string, advice: string]>,
};
