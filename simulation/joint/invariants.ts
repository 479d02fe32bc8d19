/** What must hold of gateway and hosts together once all is quiet, and what is watched all the time. */
import { isEnded } from "@berth/shared/resources";
import type { LogFields } from "@berth/shared/log";
import { allRuns, runOf } from "../machine/evidence.ts";
import { judgeRun, type RunRow } from "../schedule/invariants.ts";
import { isCaused } from "../sides/host.ts";
import { repeatedStart } from "../sides/network.ts";
import { startMs } from "../world/globals.ts";
import type { JointScene } from "./scene.ts";

/** A row of the gateway's. */
interface Copy {
  id: string;
  user_id: string;
  agent_id: string;
  host_id: string | null;
  epoch: string | null;
  rev: number | null;
  status: "pending" | "starting" | "running" | "completed" | "failed" | "cancelled";
  reason: string | null;
  exitCode: number | null;
  prompt: string;
}
/** A run as the API tells it. */
export interface Told {
  id: string;
  status: string;
  reason: string | null;
  exitCode: number | null;
  prompt: string;
}

/** How long after all was made well what is not wanted any more may still go on: an order that failed waits a minute. */
export const obeyMs = 90_000;

/** A line of the gateway's log. */
export function noticeGateway({ world, seen }: JointScene, event: string, fields: LogFields): void {
  seen.set(`gateway ${event}`, (seen.get(`gateway ${event}`) ?? 0) + 1);
  const isDefect = event === "http.defect" || event === "tick.failed" || event === "background.failed";
  if (isDefect && !isCaused(fields["error"]))
    world.violate("no call is answered by a defect", `${event}: ${String(fields["error"])}`);
}

export const copiesOf = ({ database }: JointScene): Copy[] =>
  database.rows<Copy>(
    `select id, user_id, agent_id, host_id, epoch, rev, status, data ->> '$.reason' as reason,
      data ->> '$.exitCode' as "exitCode", prompt from runs`,
  );

export function unendedOf(scene: JointScene): Copy[] {
  const resting = restingOf(scene);
  return copiesOf(scene).filter(({ id, status }) => !isEnded(status) && !resting.has(id));
}

/** Of disabled users what waits may wait, unless somebody is at it. */
export function restingOf({ database, gateway, world }: JointScene): Set<string> {
  const time = new Date(startMs + world.nowMs + (gateway.side?.clock.offsetMs ?? 0)).toISOString();
  const rows = database.rows<{ id: string }>(
    `select d.run_id as id from deliveries d join users u on u.id = d.user_id
      where u.disabled and d.due_at is not null and (d.lease_until is null or d.lease_until <= ?) and d.outcome is null`,
    time,
  );
  return new Set(rows.map(({ id }) => id));
}

export const rowsOf = ({ hosts }: JointScene, at: number): RunRow[] =>
  hosts[at]!.machine.database.prepare("select * from runs").all() as RunRow[];

/** Hosts that the gateway counts as its own. */
export function hostsInUse({ hosts, database }: JointScene): number[] {
  const removed = new Set(
    database.rows<{ id: string }>("select id from hosts where removed_at is not null").map(({ id }) => id),
  );
  return hosts.flatMap(({ machine }, at) => (removed.has(machine.place.hostId) ? [] : at));
}

/** What of the gateway's copy differs from what its hosts say. */
export function differencesOf(scene: JointScene): string[] {
  const copies = new Map(copiesOf(scene).map((copy) => [copy.id, copy]));
  const placed = new Map(
    scene.database
      .rows<{ id: string; host_id: string | null }>("select id, host_id from users")
      .map(({ id, host_id }) => [id, host_id]),
  );
  return hostsInUse(scene).flatMap((at) => {
    const { hostId } = scene.hosts[at]!.machine.place;
    return (
      rowsOf(scene, at)
        // A gateway that was put back from before it placed a user hears of that with the host's next report.
        .filter(
          (run) => [hostId, null].includes(placed.get(run.user_id) ?? null) && placed.has(run.user_id) && run.rev > 0,
        )
        .flatMap((run) => {
          const copy = copies.get(run.id);
          const isSame = copy?.status === run.status && copy.reason === run.reason && copy.exitCode === run.exit_code;
          // What was told as cancelled when no host had it, and was begun by an older copy of that, stays so, whatever came of it there.
          const isCancelled = scene.isGatewayOld && copy?.reason === "cancelled" && copy.exitCode === null;
          // What was told as lost stays so, should the database that was lost be put back.
          if (isSame || isCancelled || copy?.reason === "host_lost") return [];
          const there = copy ? `${copy.status} (${copy.reason}, ${copy.exitCode})` : "unknown";
          return `${run.id} is ${run.status} (${run.reason}, ${run.exit_code}) at ${hostId}, and ${there} at the gateway`;
        })
    );
  });
}

/** At the moment a run's told end becomes another. */
export function noticeChanged(
  { world, isGatewayOld }: JointScene,
  { runId, from, to }: Record<"runId" | "from" | "to", string>,
) {
  if (!isGatewayOld && !world.traits.has(repeatedStart))
    world.violate("an end is told once", `${runId} was told as ${from}, and then as ${to}`);
}

export function judge(scene: JointScene, told: Map<string, Told[] | null>, isOver: boolean): void {
  const { world, hosts } = scene;
  for (const at of hosts.keys()) judgeHost(scene, at);
  for (const { id, status } of unendedOf(scene))
    world.violate("every admitted run ends", `${id} is ${status} at the gateway`);
  for (const difference of differencesOf(scene)) world.violate("the gateway's copy is the host's truth", difference);
  judgePromises(scene);
  judgeTold(scene, told);
  if (!isOver && differencesOf(scene).length === 0 && world.violations.length === 0)
    world.violate("every admitted run ends", "calls are still waiting");
}

function judgeHost(scene: JointScene, at: number): void {
  const { world, hosts } = scene;
  const host = hosts[at]!;
  const runs = rowsOf(scene, at);
  for (const run of runs) {
    if (run.ended_at === null) world.violate("every admitted run ends", `${run.id} is ${run.status} at its host`);
    judgeRun(host, run);
  }
  for (const { runId } of allRuns())
    if (host.machine.kernel.ofRun(runId).length > 0)
      world.violate("an ended run has no process", `${runId} has processes when all is quiet`);
}

/** What was answered with 202 is there, is what it was asked for, and is one run. */
function judgePromises(scene: JointScene): void {
  const { world, callers } = scene;
  const copies = new Map(copiesOf(scene).map((copy) => [copy.id, copy]));
  for (const { runId, deliveryId } of callers.promised.values()) {
    const copy = copies.get(runId);
    if (!copy) world.violate("what was accepted is one run", `${runId} was promised and is forgotten`);
    else if (deliveryId !== null && isEnded(copy.status) && copy.reason === "completed" && !runOf(runId))
      world.violate("what was accepted is one run", `${runId} of ${deliveryId} completed and was never started`);
  }
  for (const { id, prompt } of copies.values()) {
    const expected = callers.prompts.get(id);
    if (expected !== undefined && expected !== prompt)
      world.violate("a run is what it was asked for", `${id} has the prompt "${prompt}" instead of "${expected}"`);
  }
  for (const { id } of scene.hasForgotten ? [] : straysOf(scene))
    world.violate("what was accepted is one run", `${id} is of no delivery`);
  for (const { id, status } of unsettledOf(scene))
    world.violate("what was accepted is one run", `${id} still waits to be started, and its run is ${status}`);
}

/** Runs that came by a trigger, and by no delivery; those of a trigger go with it. */
const straysOf = ({ database }: JointScene) =>
  database.rows<{ id: string }>(
    `select r.id from runs r join triggers t on t.id = r.trigger_id
      where not exists (select 1 from deliveries d where d.run_id = r.id)`,
  );

/** Deliveries that wait to be started though their runs have ended; nobody looks at those of disabled users. */
export const unsettledOf = ({ database }: JointScene) =>
  database.rows<{ id: string; status: string }>(
    `select d.id, r.status from deliveries d join runs r on r.id = d.run_id join users u on u.id = d.user_id
      where not u.disabled and d.due_at is not null and r.status in ('completed', 'failed', 'cancelled')`,
  );

function judgeTold(scene: JointScene, told: Map<string, Told[] | null>): void {
  const { world } = scene;
  for (const copy of copiesOf(scene)) {
    const list = told.get(copy.user_id);
    if (!list) continue;
    const shown = list.find(({ id }) => id === copy.id);
    const isSame = shown?.status === copy.status && shown.reason === copy.reason && shown.exitCode === copy.exitCode;
    if (!isSame)
      world.violate(
        "what is told is what the evidence says",
        `${copy.id} is ${copy.status}, and told as ${shown?.status}`,
      );
  }
}
