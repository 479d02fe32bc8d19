/** What the machines must and must not have at the end: containers, processes, databases, and the files of each run. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import type { Client } from "../harness/client.ts";
import type { FleetHost } from "../engines/fleet.ts";
import { until } from "../../gateway/test/wait.ts";
import { type Findings, isExcused, tell, wasUnderWay } from "./findings.ts";
import type { Asked } from "./load.ts";

/** Uids from here on are agents'. */
const firstUid = 20_000;

/** On which hosts a run was, by their databases, the former ones too. */
export function runsOnHosts(hosts: FleetHost[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const host of hosts) {
    const files = readdirSync(host.dataDir).filter((name) => /^host\.db(\.former-\d+)?$/.test(name));
    // One that a host agent did not come to fill has no tables.
    const hasRuns = (file: string) => read(file, "select 1 from sqlite_schema where name = 'runs'").length > 0;
    const ids = files
      .map((name) => join(host.dataDir, name))
      .filter(hasRuns)
      .flatMap((file) => read<{ id: string }>(file, "select id from runs"));
    for (const id of new Set(ids.map((row) => row.id))) found.set(id, [...(found.get(id) ?? []), host.name]);
  }
  return found;
}

/** No process of a run is left, in containers that still stand; one container a user at most. */
export async function checkProcesses({ scene, wrong, checked }: Findings): Promise<void> {
  const { hosts } = scene.fleet;
  const owners = new Set<string>();
  let processes = 0;
  for (const host of hosts) {
    for (const { Id, Labels } of await host.docker.listContainers({ all: true })) {
      const user = Labels["berth.user"] ?? "nobody";
      if (Labels["berth.host"] !== host.id()) wrong.push(`${host.name} has a container of another host's: ${Id}`);
      if (owners.has(user)) wrong.push(`${user} has two containers`);
      owners.add(user);
    }
    const found = host.processes();
    processes += found.length;
    for (const { uid, command } of found)
      if (uid >= firstUid) wrong.push(`${host.name} has a process of an ended run: ${command}`);
  }
  checked.push(`${owners.size} containers with ${processes} processes`);
}

/** Nothing at all is left once all workspaces are stopped. */
export async function checkStopped({ scene, wrong }: Findings, clients: Map<string, Client>): Promise<void> {
  for (const [user, client] of clients) {
    const stopped = await client.call("POST", "/v1/workspace/stop");
    if (stopped.status !== 200)
      wrong.push(`the workspace of ${user} cannot be stopped: ${stopped.status} ${JSON.stringify(stopped.body)}`);
  }
  for (const host of scene.fleet.hosts) {
    const left = async () => [
      ...(await host.docker.listContainers({ all: true })).map(({ Names, State }) => `${Names.join()} ${State}`),
      ...host.processes().map(({ uid, command }) => `${command} of uid ${uid}`),
      ...host.shims().map((pid) => `a shim, ${pid}`),
    ];
    await until(async () => (await left()).length === 0, `${host.name} is empty`).catch(async () =>
      wrong.push(`${host.name} has this left after all were stopped: ${(await left()).join(", ")}`),
    );
  }
}

/** SIGTERM ends each in 10 s with exit code 0. */
export async function checkDaemons({ scene: { fleet }, wrong, checked }: Findings): Promise<void> {
  const daemons = [fleet.gateway, ...fleet.hosts.map(({ agent }) => agent)];
  const codes = await Promise.all(daemons.map((daemon) => daemon.kill("SIGTERM")));
  if (codes.some((code) => code !== 0)) wrong.push(`gateway and host agents ended with ${codes.join()}`);
  checked.push(`${codes.length} processes that ended when asked to`);
}

export function checkDatabases({ scene: { fleet }, known, wrong, checked }: Findings): void {
  const gateway = join(fleet.gatewayDir, "gateway.sqlite");
  const files = [gateway, ...fleet.hosts.map(({ dataDir }) => join(dataDir, "host.db"))];
  for (const file of files) {
    const [row] = read<{ integrity_check: string }>(file, "pragma integrity_check");
    if (row?.integrity_check !== "ok") wrong.push(`the database ${file} is damaged`);
  }
  const strays = "select u.name from users u join hosts h on h.id = u.host_id where h.removed_at is not null";
  for (const { name } of read<{ name: string }>(gateway, strays)) wrong.push(`${name} is placed on a removed host`);
  let rows = 0;
  for (const host of fleet.hosts) {
    const runs = read<{ id: string; ended_at: string | null }>(
      join(host.dataDir, "host.db"),
      "select id, ended_at from runs",
    );
    rows += runs.length;
    for (const { id, ended_at: endedAt } of runs) {
      if (!known.has(id)) wrong.push(`${host.name} has a run that nobody asked for: ${id}`);
      else if (endedAt === null) wrong.push(`${host.name} has a run without an end: ${id}`);
    }
  }
  checked.push(`${files.length} databases, those of hosts with ${rows} runs`);
}

/** No files of a run that nobody asked for; logs are as they were told, and fixed; each script ran once, or not at all where its end says so. */
export async function checkVolumes(findings: Findings): Promise<void> {
  const { scene, known, wrong, checked } = findings;
  const times = new Map<string, number>();
  let [volumes, directories] = [0, 0];
  for (const host of scene.fleet.hosts) {
    const rows = read<{ id: string }>(join(host.dataDir, "host.db"), "select id from runs");
    const current = new Set(rows.map(({ id }) => id));
    for (const [userId, root] of volumesOf(host)) {
      volumes++;
      for (const runId of readdirSync(join(root, "runs"))) {
        directories++;
        const one = known.get(runId);
        if (one?.userId !== userId) wrong.push(`${host.name} has files of a run that nobody asked for: ${runId}`);
        else if (current.has(runId)) checkLog(findings, one, join(root, "runs", runId));
      }
      for (const agent of readdirSync(join(root, "workspace")))
        for (const key of readLines(join(root, "workspace", agent, "ran")))
          times.set(`${userId} ${key}`, (times.get(`${userId} ${key}`) ?? 0) + 1);
    }
  }
  for (const one of known.values()) {
    const count = times.get(`${one.userId} ${one.key}`) ?? 0;
    const hasRun = ["completed", "nonzero_exit"].includes(one.final?.reason ?? "");
    if (count > (wasUnderWay(findings, one) ? 2 : 1)) wrong.push(`${tell(one)} ran ${count} times`);
    if (one.expected && hasRun && count === 0 && !isExcused(findings, one, "disk_full"))
      wrong.push(`${tell(one)} ended as ${one.final!.reason} and has not run`);
  }
  checked.push(`${volumes} volumes with ${directories} directories of runs, and that each script ran once`);
}

function checkLog(findings: Findings, one: Asked, directory: string): void {
  const isElsewhere = one.final?.reason === "host_lost" || wasUnderWay(findings, one);
  if (isElsewhere || isExcused(findings, one, "disk_full")) return;
  const written = readLines(join(directory, "out"));
  const lines = one.expected ? written : written.map((line) => JSON.stringify(JSON.parse(line)));
  if (lines.join("\n") !== one.received.join("\n"))
    findings.wrong.push(`${tell(one)} has ${lines.length} lines in its log and told ${one.received.length}`);
  const files = ["out", "err", "exit"].map((name) => join(directory, name)).filter((file) => existsSync(file));
  for (const line of execFileSync("lsattr", files, { encoding: "utf8" }).trim().split("\n"))
    if (!/^\S*i\S* /.test(line)) findings.wrong.push(`${tell(one)} has ended and its log can be changed: ${line}`);
}

/** Every user's volume on the machine: where it is mounted, or else mounted now, to be read only. */
function volumesOf({ dataDir }: FleetHost): [userId: string, root: string][] {
  const mounts = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4]!);
  const images = readdirSync(join(dataDir, "volumes")).filter((name) => name.endsWith(".img"));
  return images.map((image) => {
    const userId = image.slice(0, -".img".length);
    const root = join(dataDir, "mnt", userId);
    if (mounts.includes(root)) return [userId, root];
    const here = join(dataDir, "looked-at", userId);
    mkdirSync(here, { recursive: true });
    execFileSync("mount", ["-o", "loop,ro", join(dataDir, "volumes", image), here]);
    return [userId, here];
  });
}

function read<Row>(file: string, query: string): Row[] {
  const db = new Database(file, { readonly: true });
  try {
    return db.prepare(query).all() as Row[];
  } finally {
    db.close();
  }
}

const readLines = (path: string): string[] =>
  existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : [];
