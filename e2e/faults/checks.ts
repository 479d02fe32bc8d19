/** What must hold when all is mended: the API against what was asked, then what the machines have (check-machines.ts). */
import type { Run } from "@berth/shared/resources";
import type { Client } from "../harness/client.ts";
import type { Scene } from "./actions.ts";
import {
  checkDaemons,
  checkDatabases,
  checkProcesses,
  checkStopped,
  checkVolumes,
  runsOnHosts,
} from "./check-machines.ts";
import { type Done, type Findings, isExcused, isForgotten, tell, wasUnderWay } from "./findings.ts";
import { type Asked, lineOf, type Worker } from "./load.ts";

/** Compares everything, and ends all daemons on the way. */
export async function check(scene: Scene, workers: Worker[], asked: Asked[], done: Done[]): Promise<Findings> {
  const known = new Map(asked.flatMap((one) => (one.runId === null ? [] : [[one.runId, one] as const])));
  const places = runsOnHosts(scene.fleet.hosts);
  const findings: Findings = { scene, known, done, places, wrong: [], checked: [] };
  // First, before idle workspaces are removed with what is in them.
  await checkProcesses(findings);
  const clients = new Map(workers.map(({ user, client }) => [user, client]));
  for (const [user, client] of clients) await checkApi(findings, user, client, workers);
  await Promise.all([...clients].map(([user, client]) => readAgain(findings, user, client)));
  await checkStopped(findings, clients);
  await checkDaemons(findings);
  checkDatabases(findings);
  await checkVolumes(findings);
  for (const one of known.values()) checkEnd(findings, one);
  findings.checked.push(`${known.size} accepted runs with the reasons and exit codes of their ends`);
  return findings;
}

/** No run that nobody asked for, none missing, none without an end, each as its reader was told; and every agent is there. */
async function checkApi({ known, wrong, checked }: Findings, user: string, client: Client, workers: Worker[]) {
  const seen = new Set<string>();
  for (let cursor = ""; ;) {
    const page = await client.ok<{ items: Run[]; nextCursor: string | null }>("GET", `/v1/runs?limit=100${cursor}`);
    for (const run of page.items) {
      if (seen.has(run.id)) wrong.push(`the API lists a run of ${user} twice: ${run.id}`);
      seen.add(run.id);
      const one = known.get(run.id);
      if (!one) wrong.push(`the API has a run of ${user} that nobody asked for: ${run.id}`);
      else if (!run.endedAt) wrong.push(`${tell(one)} has no end in the API: ${run.status}`);
      else if (one.final && (one.final.reason !== run.reason || one.final.exitCode !== run.exitCode))
        wrong.push(`${tell(one)} ended as ${one.final.reason} for its reader and as ${run.reason} in the API`);
    }
    if (page.nextCursor === null) break;
    cursor = `&cursor=${page.nextCursor}`;
  }
  for (const one of known.values())
    if (one.user === user && !seen.has(one.runId!)) wrong.push(`${tell(one)} was accepted and is not in the API`);
  const { items } = await client.ok<{ items: { id: string; status: string }[] }>("GET", "/v1/agents");
  for (const { agentId } of workers.filter((worker) => worker.user === user))
    if (items.find(({ id }) => id === agentId)?.status !== "idle") wrong.push(`an agent of ${user} is not idle`);
  checked.push(`${seen.size} runs of ${user} in the API`);
}

/** A reader that comes now is told the same lines. */
async function readAgain(findings: Findings, user: string, client: Client): Promise<void> {
  const { known, wrong, checked } = findings;
  let lines = 0;
  for (const one of known.values()) {
    if (one.user !== user || !one.final || isForgotten(findings, one)) continue;
    const again: string[] = [];
    try {
      for await (const { event, data } of client.events(one.runId!, 0, AbortSignal.timeout(120_000)))
        if (event === "output") again.push(lineOf(one, data));
    } catch (error) {
      wrong.push(`${tell(one)} cannot be read again: ${String(error)}`);
      continue;
    }
    lines += again.length;
    if (again.join("\n") !== one.received.join("\n") && !isExcused(findings, one, "disk_full"))
      wrong.push(`${tell(one)} told ${one.received.length} lines, and ${again.length} or others when read again`);
  }
  checked.push(`${lines} lines of ${user} read again`);
}

/** The end is the script's own with all its lines, or one that a fault on its host explains. */
function checkEnd(findings: Findings, one: Asked): void {
  const { wrong, places } = findings;
  const { final, expected, received } = one;
  const hosts = places.get(one.runId!) ?? [];
  if (hosts.length !== 1 && !(hosts.length === 2 && wasUnderWay(findings, one)))
    wrong.push(`${tell(one)} is on ${hosts.join(" and ") || "no host"}`);
  if (!final || isExcused(findings, one, "disk_full")) return;
  if (expected && received.some((line, at) => line !== String(at + 1)))
    wrong.push(`${tell(one)} told lines out of order, lost or doubled: ${received.slice(0, 20).join()}…`);
  const reason = final.reason!;
  if (reason === "host_lost" && isExcused(findings, one, "host_lost")) return;
  if (one.offset !== final.logBytes)
    wrong.push(`${tell(one)} was over for its reader at byte ${one.offset} of ${final.logBytes}`);
  if (reason === "cancelled" && one.isCancelAsked) return;
  if (reason === "container_lost" && isExcused(findings, one, "container_lost")) return;
  const isOwn = expected
    ? reason === (expected.exitCode === 0 ? "completed" : "nonzero_exit") &&
      final.exitCode === expected.exitCode &&
      received.length === expected.lines
    : reason === "completed" && final.exitCode === 0;
  if (!isOwn)
    wrong.push(
      `${tell(one)} ended as ${reason} with ${final.exitCode} after ${received.length} of ${expected?.lines ?? "some"} lines on ${hosts.join()}`,
    );
}
