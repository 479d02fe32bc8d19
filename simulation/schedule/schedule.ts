/** One schedule: a machine, its host agent, a gateway, and what happens to them; then all is made well, and judged. */
import type { LogFields } from "@berth/shared/log";
import { SharedDatabase } from "../machine/database.ts";
import { listening } from "../substitutes/http.ts";
import { hostUrl, gatewayUrl, Machine, onlyPlace, setMachines } from "../machine/machine.ts";
import { allRuns, forgetRuns } from "../machine/evidence.ts";
import { forgetScripts, longLogBytes } from "../machine/script.ts";
import { Host } from "../sides/host.ts";
import { ModelGateway } from "../sides/model-gateway.ts";
import { Network } from "../sides/network.ts";
import { Draws } from "../world/random.ts";
import { enter, type Plan, type Violation, type Weather, World } from "../world/world.ts";
import { Clients } from "./clients.ts";
import { disturb } from "./disturb.ts";
import { isCopyTrue, judge, leftWaiting, noticeLog } from "./invariants.ts";
import type { Kind, Operation } from "./operations.ts";
import type { Scene } from "./scene.ts";

export interface Outcome {
  violations: Violation[];
  hash: number;
  lines: string[];
  steps: number;
  points: number;
  /** How often each thing happened that a schedule is worth playing for. */
  seen: Map<string, number>;
}
export interface Schedule<Op> {
  seed: number;
  operations: Op[];
  keepsTrace?: boolean;
  /** An invariant that is not looked at. */
  muted?: string;
}
export interface ScheduleOptions extends Schedule<Operation> {
  weather?: Weather;
  plan?: Plan;
  /** What happens beside, when the plan strikes. */
  whenStruck?: Kind;
  /** Adds to what is there. */
  prepare?: (scene: Scene) => void;
}

/** How long all that was begun may take to end once nothing disturbs it. */
const patienceMs = 400_000;
/** Between the last disturbance and the cure. */
const settleMs = 300;
/** So long after all has ended nothing may happen any more. */
const quietMs = 1200;
/** Of so many schedules runs may say much. */
const longLogs = 0.03;

let database: SharedDatabase | null = null;

/** A real host agent makes the tables, once a process. */
async function openDatabase(): Promise<SharedDatabase> {
  if (database) return database;
  database = new SharedDatabase();
  const scene = open(database, { seed: 0, operations: [] });
  scene.host.start();
  await scene.world.run(20_000, () => scene.host.isReady);
  if (!scene.host.isReady) throw new Error(`the host agent did not start:\n${scene.world.lines.join("\n")}`);
  close(scene);
  database.empty();
  return database;
}

function open(shared: SharedDatabase, { seed, keepsTrace, muted, plan, whenStruck }: ScheduleOptions): Scene {
  const world = new World(seed, keepsTrace, muted);
  enter(world);
  forgetRuns();
  forgetScripts();
  listening.clear();
  const hasLongLogs = new Draws(seed, "logs").is(longLogs);
  const machine = new Machine(shared, onlyPlace, hasLongLogs ? { BERTH_LOG_BYTES: String(longLogBytes) } : {});
  setMachines(machine);
  const network = new Network();
  network.connect();
  const gateway = new ModelGateway();
  const scene = {
    world,
    machine,
    network,
    gateway,
    seen: new Map(),
    unnoted: new Set(),
    lastMs: 0,
  } as unknown as Scene;
  scene.host = new Host(machine, (event: string, fields: LogFields) => noticeLog(scene, event, fields));
  if (plan) world.plan = (point, name, isAsync) => strike(scene, plan(point, name, isAsync), whenStruck);
  scene.clients = new Clients(network, gateway, hasLongLogs);
  network.listen(hostUrl, scene.host.address);
  network.listen(gatewayUrl, gateway.address);
  return scene;
}

function strike(scene: Scene, fault: ReturnType<Plan>, beside: Kind | undefined): ReturnType<Plan> {
  if (fault && beside) {
    const operation = { index: -1, kind: beside, atMs: 0, user: "usr_a", agent: "agt_a1", seed: 1 } as const;
    scene.world.after(50, () => disturb(scene, operation), scene.world.outside);
  }
  return fault;
}

function close(scene: Scene): void {
  scene.host.kill();
  enter(null);
}

/** Plays it, and answers what was broken; the same options give the same outcome. */
export async function playSchedule(options: ScheduleOptions): Promise<Outcome> {
  const shared = await openDatabase();
  const scene = open(shared, options);
  const { world } = scene;
  shared.begin();
  try {
    await play(scene, options);
  } finally {
    close(scene);
    shared.end();
  }
  const { violations, traceHash, lines, steps, points, traits } = world;
  for (const trait of traits) scene.seen.set(`schedules: ${trait}`, 1);
  return { violations, hash: traceHash, lines, steps, points, seen: scene.seen };
}

async function play(scene: Scene, { seed, operations, weather, prepare }: ScheduleOptions): Promise<void> {
  const { world, host } = scene;
  host.start();
  prepare?.(scene);
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
  await world.run(world.nowMs + quietMs, isBroken);
  if (!isBroken()) judge(scene, isOver);
  if (isBroken()) return;
  host.terminate();
  await world.run(world.nowMs + 10_500, () => isBroken() || host.side!.isDead);
}

/** Calls that fail are of one kind mostly, and mostly none does. */
function drawWeather(seed: number): Weather {
  const draws = new Draws(seed, "weather");
  const rate = draws.of([0, 0, 0.01, 0.05]);
  const names = draws.of([/^engine/, /^engine/, /^fs/, /^program/, /^net/, /^(engine|fs|program|net)/]);
  return { rate, names };
}

/** Nothing fails any more, and whoever is down is started. */
function heal({ world, machine, host, gateway, network }: Scene): void {
  world.weather = { ...world.weather, rate: 0 };
  machine.setEngine("there");
  machine.isOutOfDescriptors = machine.isDawdling = false;
  machine.setFull(false);
  // A volume that has failed stays so: to mend it, once there is room, is the host agent's.
  for (const { on } of machine.kernel.mounts.values()) on.isFull = false;
  for (const { holds } of machine.files.find("/data/volumes")?.entries.values() ?? []) if (holds) holds.isFull = false;
  gateway.isAway = false;
  network.isCut = false;
  host.start();
}

/** Whether all runs have ended and nobody waits: looked at now and then. */
function watchForQuiet(scene: Scene): () => boolean {
  const { world, network, machine, host, clients } = scene;
  let isQuiet = false;
  const look = () => {
    const active = machine.database.prepare("select count(*) as n from runs where ended_at is null").get() as {
      n: number;
    };
    const hasProcesses = allRuns().some(({ runId }) => machine.kernel.ofRun(runId).length > 0);
    const isWaiting = clients.waiting + network.repeatedUnderWay > 0;
    isQuiet =
      active.n === 0 &&
      !hasProcesses &&
      host.isReady &&
      !isWaiting &&
      isCopyTrue(scene) &&
      leftWaiting(scene).length === 0;
    if (!isQuiet) world.after(500, look, world.outside);
  };
  world.after(0, look, world.outside);
  return () => isQuiet;
}
