/** Faults of the gateway put back, as in world/mutants.ts: each must be noticed in schedules of gateway and hosts. */
import type { Mutant } from "../world/mutants.ts";
import type { JointKind } from "./operations.ts";

const runs = "gateway/src/agents/runs.ts";
const reports = "gateway/src/fleet/reports.ts";
const pending = "gateway/src/agents/pending.ts";

/** What is told of an ended run is whatever came last. */
const endsMayChange = [
  { file: runs, from: "case when runs.${isOver} then runs.status else excluded.status end", to: "excluded.status" },
  {
    file: runs,
    from: `case when runs.\${isOver} then json_set(runs.data, '$.usage', json_extract(excluded.data, '$.usage'))
        else json_set(excluded.data, '$.createdAt', runs.created_at) end`,
    to: "json_set(excluded.data, '$.createdAt', runs.created_at)",
  },
];

const one = (
  name: string,
  invariant: string,
  mean: number,
  kinds: JointKind[],
  ...mutations: Mutant["mutations"]
): Mutant => ({ name, invariant, mean, kinds, mutations });

const all: Mutant[] = [
  one(
    "an end that the gateway has told is changed by a later report",
    "an end is told once",
    31,
    ["start", "cancel", "restore host"],
    ...endsMayChange,
  ),
  one(
    "reports are applied in whatever order they come",
    "an end is told once",
    59,
    ["start", "deliver", "cut"],
    { file: runs, from: "and (runs.epoch is not excluded.epoch or runs.rev < excluded.rev)", to: "" },
    { file: runs, from: "and (not runs.${isOver} or excluded.${isOver})", to: "" },
    ...endsMayChange,
  ),
  one(
    "an end is decided anew from an older copy, and told",
    "an end is told once",
    8,
    ["start", "cancel", "restore host"],
    {
      file: "host-agent/src/run/settle.ts",
      from: "const noted = readEnd(volume, runId);",
      to: "const noted = null as NotedEnd | null;",
    },
    ...endsMayChange,
  ),
  one(
    "what a report leaves out counts as told",
    "the gateway's copy is the host's truth",
    3,
    ["start", "restore gateway"],
    {
      file: reports,
      from: "case when ${since} <= rev then max(rev, ${rev}) else rev end",
      to: "max(rev, ${rev})",
    },
  ),
  one(
    "what a host has forgotten goes on for ever",
    "every admitted run ends",
    6,
    ["start", "lose host database", "restore host"],
    { file: reports, from: "and ${Number(complete ?? false)}\n", to: "and 0\n" },
  ),
  one(
    "a run that a host may have is cancelled without it",
    "the gateway's copy is the host's truth",
    50,
    ["deliver", "crash gateway at a statement", "cancel"],
    {
      file: "gateway/src/agents/cancel-waiting.ts",
      from: "(d.due_at is not null and not d.maybe_sent and d.lease_until is null\n",
      to: "(d.due_at is not null\n",
    },
  ),
  one(
    "a sender's id is not looked at",
    "a delivery is one run",
    1,
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
  one("a key starts a run at each call", "a key is one run", 1, ["start twice"], {
    file: "gateway/src/agents/start-run.ts",
    from: "await runIdOf(userId, agentId, idempotencyKey)",
    to: 'newId("run")',
  }),
  one(
    "a run is taken without what it was asked for",
    "a run is what it was asked for",
    8,
    ["start", "restore gateway"],
    { file: runs, from: "where j.prompt <> '' or exists", to: "where true or exists" },
  ),
  one(
    "what waits is started for disabled users too",
    "nothing of a disabled user is started",
    4,
    ["deliver", "disable whose run waits"],
    { file: pending, from: "(not u.disabled or d.outcome is not null)", to: "true" },
    { file: "gateway/src/agents/pending-queue.ts", from: "(not u.disabled or exists (", to: "(true or exists (" },
  ),
  one("deletions are told by a call alone", "what nobody wants ends", 10, ["start", "order to a host that is away"], {
    file: reports,
    from: "a.deleted_at is not null and a.dropped_at is null)",
    to: "false)",
  }),
  one(
    "who is disabled is told by a call alone",
    "what nobody wants ends",
    9,
    ["start", "order to a host that is away"],
    { file: reports, from: "and disabled and cancel_runs`", to: "and false`" },
  ),
  one(
    "what was started is asked for again under another id",
    "every admitted run ends",
    2,
    ["deliver", "host away", "gateway away"],
    {
      file: pending,
      from: "id: row.runId,\n        trigger:",
      to: "id: claimed.wasSent ? `run_again${claimed.seq}` : row.runId,\n        trigger:",
    },
  ),
  one(
    "model: a gateway that ends waits for whom it serves",
    "a signal ends the gateway",
    24,
    ["start", "stop", "engine hangs", "terminate gateway"],
    { file: "simulation/joint/gateway.ts", from: "const graceMs = 5000;", to: "const graceMs = 500_000;" },
  ),
  one("a host's refusal is not understood", "no call is answered by a defect", 2, ["start"], {
    file: "gateway/src/hosts/call.ts",
    from: "if (isOfHost) throw error;",
    to: 'if (isOfHost) throw new TypeError("not understood");',
  }),
  one("a report is copied with another exit code", "the gateway's copy is the host's truth", 1, ["start"], {
    file: runs,
    from: "json_remove(j.value, '$.userId', '$.rev'), j.prompt",
    to: "json_set(json_remove(j.value, '$.userId', '$.rev'), '$.exitCode', 99), j.prompt",
  }),
  one("processes outlive their run", "an ended run has no process", 2, ["start"], {
    file: "host-agent/src/run/settle.ts",
    from: "if (container) await endProcesses(",
    to: "if (false) await endProcesses(",
  }),
  one("a delivery is taken, and its run is not", "what was accepted is one run", 1, ["deliver"], {
    file: "gateway/src/webhooks/deliveries.ts",
    from: "where d.id = ${deliveryId} and d.run_id is not null",
    to: "where false and d.id = ${deliveryId}",
  }),
  one(
    "a gateway's clock that steps makes a run old",
    "what is told is what the evidence says",
    150,
    ["start", "step gateway clock", "crash"],
    {
      file: "host-agent/src/context/clock.ts",
      from: "markedMs === null ? null : performance.now() - markedMs;",
      to: "null;",
    },
  ),
  one("a run is told without its exit code", "what is told is what the evidence says", 1, ["start"], {
    file: runs,
    from: "continues: data.continues ?? null,",
    to: "continues: data.continues ?? null, exitCode: null,",
  }),
];

/** Of each invariant one that no other notices. */
const alone = new Set([
  "an end that the gateway has told is changed by a later report",
  "what a host has forgotten goes on for ever",
  "a sender's id is not looked at",
  "a key starts a run at each call",
  "a run is taken without what it was asked for",
  "what waits is started for disabled users too",
  "deletions are told by a call alone",
  "model: a gateway that ends waits for whom it serves",
  "a host's refusal is not understood",
  "a report is copied with another exit code",
  "processes outlive their run",
  "a delivery is taken, and its run is not",
  "a run is told without its exit code",
]);

export const mutants: Mutant[] = all.map((mutant) => ({ ...mutant, isAlone: alone.has(mutant.name) }));
