/** What must hold when all is mended: the API, the databases, the engines and the run directories against what was asked. */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import type { Run } from "@berth/shared/resources";
import type { FleetHost } from "../fleet.ts";
import { until } from "../harness.ts";
import type { Harm, Scene } from "./actions.ts";
import type { Asked, Worker } from "./load.ts";

/** A fault that was done: to which host, and when (milliseconds since 1970). */
export interface Done {
  harm: Harm | null;
  host: string;
  from: number;
  to: number;
}

/** What does not hold, in sentences. */
export async function check(scene: Scene, workers: Worker[], asked: Asked[], done: Done[]): Promise<string[]> {
  const { fleet } = scene;
  const wrong: string[] = [];
  const accepted = asked.filter(({ runId }) => runId !== null);
  const known = new Map(accepted.map((one) => [one.runId!, one]));
  const hostsOf = runsOnHosts(fleet.hosts);
  await checkApi(workers, known, wrong);
  checkGateway(fleet.gatewayDir, wrong);
  for (const host of fleet.hosts) checkHostDatabase(host, known, wrong);
  for (const one of accepted) {
    const places = hostsOf.get(one.runId!) ?? [];
    if (places.length > 1) wrong.push(`${tell(one)} is on ${places.join(" and ")}`);
    checkEnd(one, places, done, wrong);
    checkFiles(one, fleet.hosts, done, wrong);
  }
  await checkEngines(fleet.hosts, workers, wrong);
  return wrong;
}

/** No run that nobody asked for, none missing, none without an end, and each as its reader was told. */
async function checkApi(workers: Worker[], known: Map<string, Asked>, wrong: string[]): Promise<void> {
  const seen = new Set<string>();
  for (const { client, user } of new Map(workers.map((worker) => [worker.user, worker])).values()) {
    for (let cursor = ""; ;) {
      const page = await client.ok<{ items: Run[]; nextCursor: string | null }>("GET", `/v1/runs?limit=100${cursor}`);
      for (const run of page.items) {
        const one = known.get(run.id);
        seen.add(run.id);
        if (!one) wrong.push(`the API has a run of ${user} that nobody asked for: ${run.id}`);
        else if (!run.endedAt) wrong.push(`${tell(one)} has no end in the API: ${run.status}`);
        else if (one.final && (one.final.reason !== run.reason || one.final.exitCode !== run.exitCode))
          wrong.push(`${tell(one)} ended as ${one.final.reason} for its reader and as ${run.reason} in the API`);
      }
      if (page.nextCursor === null) break;
      cursor = `&cursor=${page.nextCursor}`;
    }
  }
  for (const one of known.values())
    if (!seen.has(one.runId!)) wrong.push(`${tell(one)} was accepted and is not in the API`);
}

function checkGateway(dir: string, wrong: string[]): void {
  const db = new Database(join(dir, "gateway.sqlite"), { readonly: true });
  if (db.pragma("integrity_check", { simple: true }) !== "ok") wrong.push("the gateway's database is damaged");
  const lost = db
    .prepare("select count(*) from users u join hosts h on h.id = u.host_id where h.removed_at is not null")
    .pluck()
    .get();
  if (lost !== 0) wrong.push(`${String(lost)} users are placed on removed hosts`);
  db.close();
}

function checkHostDatabase(host: FleetHost, known: Map<string, Asked>, wrong: string[]): void {
  const db = new Database(join(host.dataDir, "host.db"), { readonly: true });
  if (db.pragma("integrity_check", { simple: true }) !== "ok") wrong.push(`the database of ${host.name} is damaged`);
  for (const { id, ended_at: endedAt } of db.prepare("select id, ended_at from runs").all() as {
    id: string;
    ended_at: string | null;
  }[]) {
    if (!known.has(id)) wrong.push(`${host.name} has a run that nobody asked for: ${id}`);
    else if (endedAt === null) wrong.push(`${host.name} has a run without an end: ${id}`);
  }
  db.close();
}

/** On which hosts a run was, by their databases, the former ones too. */
function runsOnHosts(hosts: FleetHost[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const host of hosts) {
    const files = readdirSync(host.dataDir).filter((name) => /^host\.db(\.former-\d+)?$/.test(name));
    const ids = files.flatMap((name) => {
      const db = new Database(join(host.dataDir, name), { readonly: true });
      const all = db.prepare("select id from runs").pluck().all() as string[];
      db.close();
      return all;
    });
    for (const id of new Set(ids)) found.set(id, [...(found.get(id) ?? []), host.name]);
  }
  return found;
}

/** The end is the script's own, or one that a fault on its host explains. */
function checkEnd(one: Asked, places: string[], done: Done[], wrong: string[]): void {
  const { final, expected } = one;
  if (!final) return;
  const mayBe = (harm: Harm) =>
    done.some((fault) => fault.harm === harm && places.includes(fault.host) && overlaps(one, fault));
  const reason = final.reason!;
  if (reason === "cancelled" && one.isCancelAsked) return;
  if ((reason === "container_lost" || reason === "host_lost" || reason === "disk_full") && mayBe(reason)) return;
  if (reason === "container_lost" && mayBe("disk_full")) return;
  if (reason === "host_lost" && places.length === 0) return;
  if (mayBe("disk_full")) return;
  const isOwn = expected
    ? reason === (expected.exitCode === 0 ? "completed" : "nonzero_exit") &&
      final.exitCode === expected.exitCode &&
      one.received.length === expected.lines
    : reason === "completed";
  if (!isOwn)
    wrong.push(
      `${tell(one)} ended as ${reason} with ${final.exitCode} after ${one.received.length} of ${expected?.lines} lines on ${places.join()}`,
    );
}

/** Lines came in order and as they are in the log, and the script ran once. */
function checkFiles(one: Asked, hosts: FleetHost[], done: Done[], wrong: string[]): void {
  if (!one.expected) return;
  const wasFull = done.some((fault) => fault.harm === "disk_full" && overlaps(one, fault));
  if (!wasFull && one.received.some((line, at) => line !== String(at + 1)))
    wrong.push(`${tell(one)} told lines out of order, lost or doubled: ${one.received.slice(0, 20).join()}…`);
  let times = 0;
  for (const host of hosts) {
    const root = join(host.dataDir, "mnt", one.userId);
    times += readOr(join(root, "workspace", `agent-${one.agentId}`, "ran"))
      .split("\n")
      .filter((line) => line === one.key).length;
    const out = join(root, "runs", one.runId!, "out");
    // What a full disk had not taken yet may be missing after its volume was mended.
    const wasMended = done.some(
      (fault) => fault.harm === "disk_full" && fault.host === host.name && fault.to >= one.sentAt,
    );
    if (!existsSync(out) || wasMended || one.final?.reason === "host_lost") continue;
    const written = readFileSync(out, "utf8").split("\n").slice(0, -1);
    if (written.join() !== one.received.join())
      wrong.push(`${tell(one)} has ${written.length} lines in its log and told ${one.received.length}`);
  }
  if (times > 1) wrong.push(`${tell(one)} ran ${times} times`);
}

/** No process of a run is left; one container a user at most; and none once all are stopped. */
async function checkEngines(hosts: FleetHost[], workers: Worker[], wrong: string[]): Promise<void> {
  const owners = new Set<string>();
  for (const host of hosts) {
    for (const { Id, Labels } of await host.docker.listContainers({ all: true })) {
      const user = Labels["berth.user"] ?? "nobody";
      if (Labels["berth.host"] !== host.id()) wrong.push(`${host.name} has a container of another host's: ${Id}`);
      if (owners.has(user)) wrong.push(`${user} has two containers`);
      owners.add(user);
      const { Processes } = (await host.docker
        .getContainer(Id)
        .top({ ps_args: "-eo uid,args" })
        .catch(() => ({ Processes: [] }))) as { Processes: string[][] };
      for (const [uid, command] of Processes)
        if (Number(uid) >= 20_000) wrong.push(`${host.name} has a process of an ended run: ${command}`);
    }
  }
  for (const { client, user } of new Map(workers.map((worker) => [worker.user, worker])).values()) {
    const stopped = await client.call("POST", "/v1/workspace/stop");
    if (stopped.status !== 200)
      wrong.push(`the workspace of ${user} cannot be stopped: ${stopped.status} ${JSON.stringify(stopped.body)}`);
  }
  for (const host of hosts) {
    await until(
      async () => (await host.docker.listContainers({ all: true })).length === 0,
      `${host.name} has no container`,
      30_000,
    ).catch(() => wrong.push(`${host.name} has containers left after all were stopped`));
  }
}

/** A fault is felt a little longer than it lasts. */
const overlaps = (one: Asked, fault: Done) =>
  one.sentAt <= fault.to + 30_000 && (one.endedAt || Infinity) >= fault.from;
const tell = ({ user, key, runId }: Asked) => `run ${key} of ${user} (${runId})`;

function readOr(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
