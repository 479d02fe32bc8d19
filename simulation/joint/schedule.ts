/** One schedule of the real gateway and one or two real hosts: what happens to them; then all is made well, and judged. */
import type { LogFields } from "@berth/shared/log";
import { SharedDatabase } from "../machine/database.ts";
import { allRuns, forgetRuns } from "../machine/evidence.ts";
import { gatewayUrl, Machine, setMachines } from "../machine/machine.ts";
import { forgetScripts } from "../machine/script.ts";
import { noticeLog } from "../schedule/invariants.ts";
import type { Scene } from "../schedule/scene.ts";
import type { Outcome, Schedule } from "../schedule/schedule.ts";
import { Host } from "../sides/host.ts";
import { Network } from "../sides/network.ts";
import { listening } from "../substitutes/http.ts";
import { Draws } from "../world/random.ts";
import { enter, type Plan, type Weather, World } from "../world/world.ts";
import { makeHost, makeUsers, places, users } from "./beginning.ts";
import { Callers } from "./callers.ts";
import { GatewayDatabase } from "./d1.ts";
import { disturb } from "./disturb.ts";
import { Gateway } from "./gateway.ts";
import {
  copiesOf,
  differencesOf,
  judge,
  noticeChanged,
  noticeGateway,
  obeyMs,
  type Told,
  restingOf,
  unendedOf,
  unsettledOf,
} from "./invariants.ts";
import type { JointOperation } from "./operations.ts";
import type { JointScene } from "./scene.ts";

export interface JointSchedule extends Schedule<JointOperation> {
  weather?: Weather;
  /** As of one world; "other dies" is who does not call. */
  plan?: (...call: Parameters<Plan>) => ReturnType<Plan> | "other dies";
  /** Drawn where nothing is said. */
  hosts?: 1 | 2;
  isSlow?: boolean;
}

/** How long all that was begun may take to end once nothing disturbs it. */
const patienceMs = 500_000;
/** Between the last disturbance and the cure. */
const settleMs = 300;
/** So long after all has ended nothing may happen any more. */
const quietMs = 1500;
const lookMs = 500;
/** What rests must rest so long. */
const restMs = 20_000;
/** So long after the cure users end what does not end by itself. */
const impatienceMs = 2000;

interface Databases {
  gateway: GatewayDatabase;
  hosts: SharedDatabase[];
}
let databases: Databases | null = null;

/** Real processes make the tables, once a process. */
async function openDatabases(): Promise<Databases> {
  if (databases) return databases;
  const gateway = new GatewayDatabase();
  makeUsers(gateway);
  databases = { gateway, hosts: [new SharedDatabase(), new SharedDatabase()] };
  const scene = open(databases, { seed: 0, operations: [], hosts: 2, isSlow: false });
  for (const { host } of scene.hosts) host.start();
  const areReady = () => scene.hosts.every(({ host }) => host.isReady);
  await scene.world.run(20_000, areReady);
  if (!areReady()) throw new Error(`a host agent did not start:\n${scene.world.lines.join("\n")}`);
  close(scene);
  for (const host of databases.hosts) host.empty();
  return databases;
}

function open({ gateway: database, hosts }: Databases, schedule: JointSchedule): JointScene {
  const { seed, keepsTrace, muted, plan } = schedule;
  const world = new World(seed, keepsTrace, muted);
  enter(world);
  forgetRuns();
  forgetScripts();
  listening.clear();
  const draws = new Draws(seed, "joint");
  const count = schedule.hosts ?? draws.of([1, 1, 1, 2]);
  const machines = hosts.slice(0, count).map((database, at) => new Machine(database, places[at]));
  setMachines(...machines);
  if (plan) world.plan = (...call) => strike(scene, plan(...call));
  const network = new Network();
  network.connect();
  const callers = new Callers(network);
  const seen = new Map<string, number>();
  const scene = {
    world,
    network,
    callers,
    database,
    seen,
    unreachable: new Map(),
    hasForgotten: false,
    isGatewayOld: false,
    lastMs: 0,
  } as unknown as JointScene;
  scene.gateway = new Gateway(database, (event, fields) => noticeGateway(scene, event, fields));
  database.onChanged = (changed) => noticeChanged(scene, changed);
  const reach = (url: string, address: Parameters<Network["listen"]>[1]) =>
    network.listen(url, () => (scene.unreachable.get(url) ? null : address()));
  reach(gatewayUrl, scene.gateway.address);
  scene.hosts = machines.map((machine) => openHost(scene, machine));
  for (const { host, machine } of scene.hosts) reach(machine.place.url, host.address);
  return scene;
}

/** Kills the other side in a moment, where that is what shall happen. */
function strike({ world, gateway, hosts }: JointScene, deed: ReturnType<NonNullable<JointSchedule["plan"]>>) {
  if (deed !== "other dies") return deed;
  const isGateway = world.current === gateway.side;
  const others = isGateway ? hosts.map(({ host }) => host.side) : [gateway.side];
  world.after(0, () => others.forEach((other) => other && world.kill(other)), world.outside);
  return null;
}

/** As schedules of a host alone have it, without what those ask of their callers. */
function openHost({ world, network, seen, callers }: JointScene, machine: Machine): Scene {
  // What the gateway forgets by a restored host it is told again, or told that it is lost.
  const clients = { forgetSince: () => undefined, stop: callers.stop.bind(callers) };
  const scene = { world, network, seen, machine, clients, lastMs: 0 } as unknown as Scene;
  scene.host = new Host(machine, (event: string, fields: LogFields) => noticeLog(scene, event, fields));
  return scene;
}

function close({ hosts, gateway }: JointScene): void {
  for (const { host } of hosts) host.kill();
  gateway.kill();
  enter(null);
}

/** Plays it, and answers what was broken; the same schedule gives the same outcome. */
export async function playJoint(schedule: JointSchedule): Promise<Outcome> {
  const opened = await openDatabases();
  const scene = open(opened, schedule);
  const { world } = scene;
  opened.gateway.begin(schedule.isSlow ?? new Draws(schedule.seed, "statements").is(0.6));
  for (const database of opened.hosts) database.begin();
  try {
    await play(scene, schedule);
  } finally {
    close(scene);
    for (const database of [opened.gateway.shared, ...opened.hosts]) database.end();
  }
  const { violations, traceHash, lines, steps, points } = world;
  return { violations, hash: traceHash, lines, steps, points, seen: scene.seen };
}

async function play(scene: JointScene, { seed, operations, weather }: JointSchedule): Promise<void> {
  const { world, gateway, hosts, database } = scene;
  for (const { machine } of hosts) makeHost(database, machine.place);
  gateway.start();
  for (const { host } of hosts) host.start();
  world.weather = weather ?? drawWeather(seed);
  for (const operation of operations)
    world.after(operation.atMs, () => {
      world.trace(`# ${operation.index} ${operation.kind} ${operation.user} ${operation.agent}`);
      disturb(scene, operation);
    });
  const isBroken = () => world.violations.length > 0;
  scene.lastMs = operations.at(-1)?.atMs ?? 0;
  while (world.nowMs < scene.lastMs + settleMs && !isBroken()) await world.run(scene.lastMs + settleMs, isBroken);
  if (isBroken()) return;
  heal(scene);
  const isQuiet = watchForQuiet(scene);
  const isOver = await world.run(world.nowMs + patienceMs, () => isBroken() || isQuiet());
  if (isBroken()) return;
  const told = new Map<string, Told[] | null>();
  world.after(1, () => void readAll(scene, told), world.outside);
  await world.run(world.nowMs + quietMs, isBroken);
  if (!isBroken()) judge(scene, told, isOver);
  if (isBroken()) return;
  gateway.terminate();
  for (const { host } of hosts) host.terminate();
  const areDead = () => gateway.side!.isDead && hosts.every(({ host }) => host.side!.isDead);
  await world.run(world.nowMs + 10_500, () => isBroken() || areDead());
}

/** Calls that fail are of one kind mostly, and mostly none does. */
function drawWeather(seed: number): Weather {
  const draws = new Draws(seed, "joint weather");
  const rate = draws.of([0, 0, 0.02, 0.08]);
  const names = draws.of([/^net/, /^net/, /^db/, /^db/, /^engine/, /^(net|db|engine|fs|program)/]);
  return { rate, names };
}

/** Nothing fails any more, and whoever is down is started. */
function heal({ world, network, unreachable, hosts, gateway, database }: JointScene): void {
  world.trace("# all is well");
  world.weather = { rate: 0, names: /^$/ };
  network.isCut = false;
  unreachable.clear();
  database.fuse = null;
  for (const { machine, host } of hosts) {
    machine.setEngine("there");
    machine.isOutOfDescriptors = false;
    host.start();
  }
  gateway.start();
}

/** Whether all runs have ended and nobody waits: looked at now and then. Users end what does not end by itself. */
function watchForQuiet(scene: JointScene): () => boolean {
  const { world, network, hosts, gateway, callers } = scene;
  const wellMs = world.nowMs;
  let isQuiet = false;
  const hasProcesses = () =>
    allRuns().some(({ runId }) => hosts.some(({ machine }) => machine.kernel.ofRun(runId).length > 0));
  const active = ({ machine }: Scene) =>
    Number(machine.database.prepare("select count(*) from runs where ended_at is null").pluck().get());
  const look = () => {
    if (world.nowMs - wellMs > impatienceMs) endEndless(scene);
    if (world.nowMs - wellMs > obeyMs) judgeObedience(scene);
    isQuiet =
      callers.waiting === 0 &&
      network.repeatedUnderWay === 0 &&
      (world.nowMs - wellMs > restMs || restingOf(scene).size === 0) &&
      gateway.isReady &&
      hosts.every((one) => active(one) === 0) &&
      !hasProcesses() &&
      unendedOf(scene).length === 0 &&
      unsettledOf(scene).length === 0 &&
      differencesOf(scene).length === 0;
    if (!isQuiet) world.after(lookMs, look, world.outside);
  };
  world.after(0, look, world.outside);
  return () => isQuiet;
}

/** Users cancel runs that would go on for ever, where they may; and no host is drained for ever, by a call that was repeated late. */
function endEndless(scene: JointScene): void {
  const { callers, world, database } = scene;
  if (callers.waiting > 0 || Math.floor(world.nowMs / lookMs) % 6 !== 0) return;
  for (const { id } of database.rows<{ id: string }>("select id from hosts where draining and removed_at is null"))
    callers.administer("POST", `/v1/admin/hosts/${id}/resume`);
  const unwanted = unwantedOf(database);
  for (const { id, user_id, agent_id, status } of copiesOf(scene))
    if (
      status === "running" &&
      callers.scripts.get(id)?.end === null &&
      !unwanted.has(user_id) &&
      !unwanted.has(agent_id)
    )
      callers.cancelRun(user_id, id);
}

/** Deleted agents, and users whose runs end. */
function unwantedOf(database: GatewayDatabase): Set<string> {
  const rows = database.rows<{ id: string }>(
    "select id from users where disabled union all select id from agents where deleted_at is not null",
  );
  return new Set(rows.map(({ id }) => id));
}

function judgeObedience({ world, hosts, database }: JointScene): void {
  const unwanted = new Set(
    database
      .rows<{ id: string }>(
        "select id from users where disabled and cancel_runs union all select id from agents where deleted_at is not null",
      )
      .map(({ id }) => id),
  );
  for (const { runId, agentId } of allRuns()) {
    const userId = agentId.replace("agt", "usr").slice(0, -1);
    const lives = hosts.some(({ machine }) => machine.kernel.ofRun(runId).length > 0);
    if (lives && (unwanted.has(agentId) || unwanted.has(userId)))
      world.violate("what nobody wants ends", `${runId} of ${agentId} goes on`);
  }
}

async function readAll({ callers }: JointScene, told: Map<string, Told[] | null>): Promise<void> {
  const own = new Set([...callers.promised.values()].map(({ userId }) => userId));
  for (const userId of users) if (own.has(userId)) told.set(userId, await callers.list<Told>(userId));
}
