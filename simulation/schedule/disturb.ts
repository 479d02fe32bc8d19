/** Carries out an operation. */
import { isWaiting } from "../machine/evidence.ts";
import { startMs } from "../world/globals.ts";
import { Draws } from "../world/random.ts";
import type { Kind, Operation } from "./operations.ts";
import { containersOf, type Scene } from "./scene.ts";

export function disturb(scene: Scene, operation: Operation): void {
  const draws = new Draws(operation.seed, operation.kind);
  deeds[operation.kind](scene, operation, draws);
}

type Deed = (scene: Scene, operation: Operation, draws: Draws) => void;

/** Longer than a start is tried. */
const longestHangMs = 120_000;

/** How long something stays down: mostly short. */
export const pause = (draws: Draws) => (draws.is(0.7) ? draws.between(0, 300) : draws.between(300, 10_000));

/** Nothing is made well before the last of these has come. */
function later(scene: Scene, ms: number, job: () => void): void {
  const { world } = scene;
  scene.lastMs = Math.max(scene.lastMs, world.nowMs + ms);
  world.after(ms, job, world.outside);
}

/** Starts the host agent again; one time in two one of its first calls fails. */
const restart = (scene: Scene, draws: Draws, badCall = draws.is(1 / 2) ? draws.whole(1, 14) : null) =>
  later(scene, pause(draws), () => scene.host.start(badCall));

function crash(scene: Scene, draws: Draws): void {
  scene.host.kill();
  restart(scene, draws);
}

function terminate({ world, host, clients }: Scene): void {
  if (clients.stopping > 0) world.traits.add("SIGTERM in a stop");
  host.terminate();
}

/** For a while, then it is well again. */
export const spell = (scene: Scene, draws: Draws, begin: () => void, end: () => void, longestMs = 20_000) => {
  begin();
  later(scene, draws.is(0.7) ? draws.between(10, 1000) : draws.between(1000, longestMs), end);
};

/** What is so for a while. */
const during = (scene: Scene, draws: Draws, set: (isOn: boolean) => void) =>
  spell(
    scene,
    draws,
    () => set(true),
    () => set(false),
  );

const deeds: Record<Kind, Deed> = {
  start: ({ clients }, operation) => clients.start(operation),
  "start twice": ({ clients }, operation) => clients.start(operation, true),
  cancel: ({ clients }, operation) => clients.cancel(operation),
  stop: ({ clients }, operation) => clients.stop(operation),
  "delete agent": ({ clients }, operation) => clients.deleteAgent(operation),
  crash: (scene, _operation, draws) => crash(scene, draws),
  terminate(scene, _operation, draws) {
    terminate(scene);
    restart(scene, draws);
  },
  "terminate during a stop"(scene, operation, draws) {
    if (draws.is(0.7)) scene.machine.setEngine(draws.of(["away", "hangs"]));
    scene.clients.stop(operation);
    later(scene, draws.between(5, 2000), () => terminate(scene));
    later(scene, draws.between(12_000, 20_000), () => {
      scene.machine.setEngine("there");
      scene.host.start();
    });
  },
  "crash and lose the container"(scene, { user }, draws) {
    scene.host.kill();
    later(scene, draws.between(0, 8000), () => {
      for (const container of containersOf(scene, user)) scene.machine.containers.remove(container);
    });
    later(scene, draws.between(8000, 12_000), () => scene.host.start());
  },
  "crash, one look fails"(scene, _operation, draws) {
    scene.host.kill();
    restart(scene, draws, draws.whole(1, 30));
  },
  "remove container"(scene, { user }) {
    for (const container of containersOf(scene, user)) scene.machine.containers.remove(container);
  },
  "end container"(scene, { user }) {
    for (const container of containersOf(scene, user)) scene.machine.containers.stop(container);
  },
  "engine away": (scene, _operation, draws) =>
    spell(
      scene,
      draws,
      () => scene.machine.setEngine("away"),
      () => scene.machine.setEngine("there"),
    ),
  "engine hangs": (scene, _operation, draws) =>
    spell(
      scene,
      draws,
      () => scene.machine.setEngine("hangs"),
      () => scene.machine.setEngine("there"),
      longestHangMs,
    ),
  "engine restarts"(scene, _operation, draws) {
    const letsGoOn = draws.is(0.3);
    spell(
      scene,
      draws,
      () => scene.machine.endEngine(letsGoOn),
      () => scene.machine.setEngine("there"),
    );
  },
  reboot(scene, _operation, draws) {
    scene.host.kill();
    scene.machine.reboot();
    restart(scene, draws);
  },
  "restore host"(scene, operation, draws) {
    const atMs = scene.world.nowMs;
    const copy = { host: scene.machine.database.copy(), atMs };
    later(scene, draws.between(100, 10_000), () => {
      scene.host.kill();
      scene.machine.database.restore(copy.host);
      scene.clients.forgetSince(atMs);
      scene.world.trace(`# ${operation.index} restored`);
      restart(scene, draws);
    });
  },
  "lose host database"(scene, _operation, draws) {
    scene.host.kill();
    scene.machine.database.empty();
    scene.clients.forgetSince(0);
    if (draws.is(0.6)) damageOne(scene, draws);
    restart(scene, draws);
  },
  "volume fails"(scene, _operation, draws) {
    const mounts = [...scene.machine.kernel.mounts.values()];
    if (mounts.length > 0) draws.of(mounts).on.hasFailed = true;
  },
  "disk full"(scene, _operation, draws) {
    const mounts = [...scene.machine.kernel.mounts.values()];
    if (mounts.length === 0) return;
    const { on } = draws.of(mounts);
    spell(
      scene,
      draws,
      () => (on.isFull = on.wasFull = true),
      () => (on.isFull = false),
    );
  },
  "machine's disk full": (scene, _operation, draws) => during(scene, draws, (isOn) => scene.machine.setFull(isOn)),
  "bad file"(scene, { user }, draws) {
    const { files } = scene.machine;
    const runs = [...(files.find(`/data/mnt/${user}/runs`)?.entries.keys() ?? [])];
    if (runs.length === 0) return;
    const name = draws.of(["exit", "exit", "out", "err", "in", "end", "token", "container"]);
    const path = `/data/mnt/${user}/runs/${draws.of(runs)}/${name}`;
    scene.world.trace(`bad: ${path}`);
    files.bad.add(path);
    // One time in two for good.
    if (draws.is(0.5)) later(scene, draws.between(100, 20_000), () => void files.bad.delete(path));
  },
  "engine dawdles": (scene, _operation, draws) => during(scene, draws, (isOn) => (scene.machine.isDawdling = isOn)),
  "limits change": ({ clients }, { user }, draws) =>
    clients.limit(
      user,
      draws.of([{}, { memoryBytes: 2 ** 29 }, { concurrentRuns: 1 }, { cpus: 0.5 }, { memoryBytes: 2 ** 31 }]),
    ),
  "day is spent"({ clients, machine, world }, { user }) {
    clients.limit(user, { dailyBudgetUsd: 1 });
    const day = new Date(startMs + world.nowMs).toISOString().slice(0, 10);
    machine.database.prepare("insert or replace into spend (user_id, day, usd) values (?, ?, 2)").run(user, day);
  },
  "no descriptors": (scene, _operation, draws) =>
    during(scene, draws, (isOn) => (scene.machine.isOutOfDescriptors = isOn)),
  cut: (scene, _operation, draws) => during(scene, draws, (isOn) => (scene.network.isCut = isOn)),
  "step clock": ({ host }, _operation, draws) => host.stepClock(draws.of([-7_200_000, -60_000, 60_000, 7_200_000])),
  // To the run that began the scenario.
  say: ({ clients }, operation) => clients.say(operation, "run_0"),
  interrupt: ({ clients }, operation) => clients.interrupt(operation, "run_0"),
  answer: ({ clients }, operation) => clients.answer(operation, "run_0"),
  talk: ({ clients }, operation) => clients.talk({ ...operation, agent: waitsOf(operation.user) }),
  open: ({ clients }, { user, agent }) => clients.open(user, agent),
  "open and start": ({ clients }, operation) => clients.openAndStart({ ...operation, agent: waitsOf(operation.user) }),
  "what waits dies"({ machine: { kernel } }, { user }) {
    const waits = [...kernel.processes.values()].findLast(({ runId }) => isWaiting(runId));
    if (waits?.container.options.Labels["berth.user"] === user) kernel.signal(waits.pid, "SIGKILL");
  },
  "memory short": (scene, { user }, draws) =>
    during(scene, draws, (isOn) => containersOf(scene, user).forEach((container) => (container.isTight = isOn))),
  wait: () => undefined,
};

/** Of each user the agent of a runtime that can be started ahead. */
const waitsOf = (user: string) => `${user.replace("usr", "agt")}${{ usr_a: 2, usr_b: 1, usr_c: 3 }[user]!}`;

/** A volume that nobody can mount for a while, as after a crash of the machine; one that is mounted is let go first. */
function damageOne(scene: Scene, draws: Draws): void {
  const { files, kernel, containers } = scene.machine;
  const images = [...(files.find("/data/volumes")?.entries ?? [])].filter(
    ([name, { holds }]) => name.endsWith(".img") && holds,
  );
  if (images.length === 0) return;
  const [name, { holds }] = draws.of(images);
  const point = `/data/mnt/${name.slice(0, -".img".length)}`;
  for (const container of containersOf(scene, name.slice(0, -".img".length))) containers.remove(container);
  const mounted = files
    .find(point.slice(0, point.lastIndexOf("/")))
    ?.entries.get(point.slice(point.lastIndexOf("/") + 1));
  if (mounted) mounted.mounted = null;
  kernel.mounts.delete(point);
  holds!.isDamaged = true;
  later(scene, draws.between(500, 6000), () => (holds!.isDamaged = false));
}
