/** Faults of the gateway put back, as in world/mutants.ts: each must be noticed in schedules of gateway and hosts. */
import type { Mutant } from "../world/mutants.ts";
import type { JointKind } from "./operations.ts";

const runs = "gateway/src/agents/runs.ts";
const reports = "gateway/src/fleet/reports.ts";

const one = (
  name: string,
  invariant: string,
  within: number,
  kinds: JointKind[],
  ...mutations: Mutant["mutations"]
): Mutant => ({ name, invariant, within, kinds, mutations });

export const mutants: Mutant[] = [
  one(
    "reports are applied in whatever order they come",
    "an end is told once",
    250,
    ["start", "deliver", "cut"],
    { file: runs, from: "and (runs.epoch is not excluded.epoch or runs.rev < excluded.rev)", to: "" },
    {
      file: runs,
      from: `and (runs.status not in ('completed', 'failed', 'cancelled')
        or excluded.status in ('completed', 'failed', 'cancelled'))`,
      to: "",
    },
  ),
  one("what a report leaves out counts as told", "every admitted run ends", 500, ["start", "restore gateway"], {
    file: reports,
    from: "case when ${since} <= rev then max(rev, ${rev}) else rev end",
    to: "max(rev, ${rev})",
  }),
  one(
    "what a host has forgotten goes on for ever",
    "every admitted run ends",
    50,
    ["start", "lose host database", "restore host"],
    { file: reports, from: "and ${Number(complete ?? false)}\n", to: "and 0\n" },
  ),
  one(
    "a run that a host may have is cancelled without it",
    "an end is told once",
    100,
    ["deliver", "delete agent", "host away", "cancel"],
    {
      file: "gateway/src/agents/cancel-waiting.ts",
      from: "(d.due_at is not null and not d.maybe_sent and d.lease_until is null)",
      to: "(d.due_at is not null)",
    },
  ),
  one(
    "a sender's id is not looked at",
    "a delivery is one run",
    100,
    ["deliver twice"],
    {
      file: "gateway/src/webhooks/deliveries.ts",
      from: "trigger.id, incoming.externalId ?? deliveryId",
      to: "trigger.id, deliveryId",
    },
    {
      file: "gateway/src/webhooks/deliveries.ts",
      from: "t.agent_id, ${externalId}, ${replayOf}",
      to: "t.agent_id, ${null}, ${replayOf}",
    },
  ),
  one("a key starts a run at each call", "a key is one run", 100, ["start twice"], {
    file: "gateway/src/agents/start-run.ts",
    from: "await runIdOf(userId, agentId, idempotencyKey)",
    to: 'newId("run")',
  }),
  one(
    "a run is taken without what it was asked for",
    "a run is what it was asked for",
    100,
    ["start", "restore gateway"],
    { file: runs, from: "where j.text <> '' or exists", to: "where true or exists" },
  ),
];
