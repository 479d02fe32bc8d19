/** Writes down what there is when all is mended and nothing goes on: lists, what machines have, databases, and the files of each run. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import type { Run } from "@berth/shared/resources";
import Database from "better-sqlite3";
import type { Client } from "../harness/client.ts";
import type { FleetHost } from "../engines/fleet.ts";
import { until } from "../../gateway/test/wait.ts";
import type { Asked, Worker } from "./load.ts";
import { type Recorder, toldRun } from "./recorder.ts";
import type { Scene } from "./scene.ts";

/** Uids from here on are agents'. */
const firstUid = 20_000;
type Daemons = Record<string, { pid: number; log(): string; kill(signal: NodeJS.Signals): Promise<number | null> }>;

/** All of it, from what changes first to what stays; ends the product's processes on the way. */
export async function collect(scene: Scene, workers: Worker[], asked: Asked[]): Promise<void> {
  const { fleet, recorder } = scene;
  const users = new Map(workers.map((worker) => [worker.userId, worker]));
  collectProcesses(scene);
  for (const [user, { client }] of users) await collectLists(recorder, user, client);
  await Promise.all([...users.values()].map(async (worker) => readAgain(recorder, worker, asked)));
  await collectStopped(scene, users);
  const daemons: Daemons = {
    gateway: fleet.gateway,
    ...Object.fromEntries(fleet.hosts.map(({ name, agent }) => [name, agent])),
  };
  for (const [name, daemon] of Object.entries(daemons)) {
    recorder.write({ kind: "left", host: name, what: "open files of runs", items: openFiles(daemon.pid) });
    for (const line of daemon.log().split("\n").filter(Boolean)) recorder.write({ kind: "log", by: name, line });
  }
  await Promise.all(
    Object.entries(daemons).map(async ([daemon, { kill }]) =>
      recorder.write({ kind: "ended", daemon, code: await kill("SIGTERM"), asked: "SIGTERM" }),
    ),
  );
  collectDatabases(scene);
  for (const host of fleet.hosts) collectVolumes(host, recorder);
}

/** No process of a run is left while its container still stands. */
function collectProcesses({ fleet, recorder }: Scene): void {
  for (const host of fleet.hosts) {
    const items = host
      .processes()
      .filter(({ uid }) => uid >= firstUid)
      .map(({ uid, command }) => `${command} of uid ${uid}`);
    recorder.write({ kind: "left", host: host.name, what: "processes of ended runs", items });
  }
}

async function collectLists(recorder: Recorder, user: string, client: Client): Promise<void> {
  const runs: Run[] = [];
  for (let cursor = ""; ;) {
    const page = await client.ok<{ items: Run[]; nextCursor: string | null }>("GET", `/v1/runs?limit=100${cursor}`);
    runs.push(...page.items);
    if (page.nextCursor === null) break;
    cursor = `&cursor=${page.nextCursor}`;
  }
  const { items: agents } = await client.ok<{ items: { id: string; status: string }[] }>("GET", "/v1/agents?limit=100");
  recorder.write({
    kind: "listed",
    user,
    runs: runs.map(toldRun),
    agents: agents.map(({ id, status }) => ({ id, status })),
  });
}

/** A reader that comes when all is over is told the same. */
async function readAgain(recorder: Recorder, { user, client }: Worker, asked: Asked[]): Promise<void> {
  for (const { runId } of asked.filter((one) => one.user === user && one.final && one.final.reason !== "host_lost")) {
    const reader = recorder.number();
    recorder.write({ kind: "reader", reader, run: runId!, after: 0, by: "again" });
    try {
      for await (const { event, id, data } of client.events(runId!, 0, AbortSignal.timeout(120_000)))
        if (event === "output") recorder.write({ kind: "output", reader, offset: Number(id), data });
        else recorder.write({ kind: "told", by: "again", run: toldRun(JSON.parse(data) as Run) });
    } catch (error) {
      recorder.write({ kind: "remark", text: `run ${runId} cannot be read again: ${String(error)}` });
    }
  }
}

/** Nothing at all is left once all workspaces are stopped. */
async function collectStopped({ fleet, recorder }: Scene, users: Map<string, Worker>): Promise<void> {
  for (const { user, client } of users.values()) {
    const { status, body } = await client.call("POST", "/v1/workspace/stop");
    if (status !== 200)
      recorder.write({
        kind: "remark",
        text: `the workspace of ${user} cannot be stopped: ${status} ${JSON.stringify(body)}`,
      });
  }
  for (const host of fleet.hosts) {
    const left = async () => [
      ...(await host.docker.listContainers({ all: true })).map(({ Names, State }) => `${Names.join()} ${State}`),
      ...host.processes().map(({ uid, command }) => `${command} of uid ${uid}`),
      ...host.shims().map((pid) => `a shim, ${pid}`),
    ];
    const isEmpty = async () => (await left()).length === 0;
    await until(isEmpty, `${host.name} is empty`).catch(() => undefined);
    recorder.write({ kind: "left", host: host.name, what: "containers and processes", items: await left() });
    const points = mountsBelow(join(host.dataDir, "mnt"));
    const twice = points.filter((point, at) => points.indexOf(point) !== at);
    recorder.write({ kind: "left", host: host.name, what: "mounts upon mounts", items: twice });
    // One is made ahead for the next new user.
    const unfinished = readdirSync(join(host.dataDir, "volumes")).filter((name) => name.endsWith(".new"));
    const odd = unfinished.length > 1 ? unfinished : [];
    recorder.write({ kind: "left", host: host.name, what: "unfinished volumes", items: odd });
  }
}

/** What a process has open of runs' files, or of files that are gone. */
function openFiles(pid: number): string[] {
  const dir = `/proc/${pid}/fd`;
  return readdirSync(dir).flatMap((fd) => {
    try {
      const path = readlinkSync(join(dir, fd));
      return /\/runs\/|\(deleted\)$/.test(path) ? [path] : [];
    } catch {
      return [];
    }
  });
}

interface RunRow {
  id: string;
  agent_id: string;
  status: string;
  reason: string | null;
  exit_code: number | null;
  log_bytes: number;
  ended_at: string | null;
  container_id: string | null;
}

function collectDatabases({ fleet, recorder }: Scene): void {
  const gateway = join(fleet.gatewayDir, "gateway.sqlite");
  for (const { data } of tell(gateway, "select data from runs", recorder) as {
    data: string;
  }[])
    recorder.write({
      kind: "row",
      host: null,
      database: "gateway.sqlite",
      run: toldRun(JSON.parse(data) as Run),
      container: null,
    });
  const placed = read<{ id: string; host_id: string | null }>(gateway, "select id, host_id from users");
  for (const { id, host_id: hostId } of placed) {
    const host = fleet.hosts.find((one) => one.id() === hostId);
    recorder.write({ kind: "placed", user: id, host: host?.name ?? hostId });
  }
  for (const { name: host, dataDir } of fleet.hosts) {
    for (const name of readdirSync(dataDir).filter((entry) => /^host\.db(\.former-\d+)?$/.test(entry))) {
      const [file, database] = [join(dataDir, name), `${host}/${name}`];
      // One that a host agent did not come to fill has no tables.
      if (read(file, "select 1 from sqlite_schema where name = 'runs'").length === 0) continue;
      const rows = tell(file, "select * from runs", recorder) as RunRow[];
      for (const { id, agent_id, status, reason, exit_code, log_bytes, ended_at, container_id: container } of rows) {
        const run = {
          id,
          agentId: agent_id,
          status,
          reason,
          exitCode: exit_code,
          logBytes: log_bytes,
          endedAt: ended_at,
        };
        recorder.write({ kind: "row", host, database, run, container });
      }
      for (const { id, uid } of read<{ id: string; uid: number }>(file, "select id, uid from agents"))
        recorder.write({ kind: "agentRow", host, database, agent: id, uid });
    }
  }
}

function tell(file: string, query: string, recorder: Recorder): unknown[] {
  const [row] = read<{ integrity_check: string }>(file, "pragma integrity_check");
  recorder.write({ kind: "database", database: file, integrity: row?.integrity_check ?? "no answer" });
  return read(file, query);
}

function read<Row>(file: string, query: string): Row[] {
  const db = new Database(file, { readonly: true });
  try {
    return db.prepare(query).all() as Row[];
  } finally {
    db.close();
  }
}

/** Every run's files, every agent's marks, and who owns what. */
function collectVolumes(host: FleetHost, recorder: Recorder): void {
  const { name } = host;
  for (const [user, root] of volumesOf(host)) {
    // What waited for a message when its host agent ended is no run; retention takes it.
    for (const run of entriesOf(join(root, "runs")).filter((entry) => !entry.startsWith("ahead_"))) {
      const directory = join(root, "runs", run);
      const [out, exit] = [base64(join(directory, "out")), base64(join(directory, "exit"))];
      recorder.write({ kind: "files", host: name, user, run, out, exit, isSealed: isSealed(directory) });
    }
    for (const entry of entriesOf(join(root, "workspace"))) {
      const [directory, agent] = [join(root, "workspace", entry), entry.replace(/^agent-/, "")];
      const owners = execFileSync("find", [directory, "-printf", "%U\n"], { encoding: "utf8" }).split("\n");
      const uids = [...new Set(owners.filter(Boolean).map(Number))];
      recorder.write({ kind: "owners", host: name, user, agent, uids });
      const marks = join(directory, "marks");
      const lines = existsSync(marks) ? readFileSync(marks, "utf8").split("\n").slice(0, -1) : [];
      recorder.write({ kind: "marks", host: name, user, agent, lines });
    }
  }
}

const entriesOf = (dir: string) => (existsSync(dir) ? readdirSync(dir) : []);
const base64 = (file: string) => (existsSync(file) ? readFileSync(file).toString("base64") : null);

function isSealed(directory: string): boolean {
  const files = ["out", "err", "exit"].map((name) => join(directory, name)).filter((file) => existsSync(file));
  if (files.length === 0) return true;
  const lines = execFileSync("lsattr", files, { encoding: "utf8" }).trim().split("\n");
  return lines.every((line) => /^\S*i\S* /.test(line));
}

/** Every user's volume on the machine: where it is mounted, or else mounted now, to be read only. */
function volumesOf({ dataDir }: FleetHost): [userId: string, root: string][] {
  const mounts = mountsBelow(join(dataDir, "mnt"));
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

const mountsBelow = (dir: string) =>
  readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((point) => point.startsWith(`${dir}/`));
