/** The faults: each breaks something for a while and mends it again, and leaves word of what it did to whom. */
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, renameSync, rmSync, statfsSync, statSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import type { Client } from "../harness/client.ts";
import type { Fleet, FleetHost } from "../engines/fleet.ts";
import { until } from "../../gateway/test/wait.ts";
import { type Daemon } from "../harness/harness.ts";
import { pause, type Random } from "./random.ts";
import type { Deed } from "../judge/events.ts";
import type { Worker } from "./load.ts";
import type { Recorder } from "./recorder.ts";
import type { Relay } from "./relay.ts";

export interface Scene {
  fleet: Fleet;
  relay: Relay;
  admin: Client;
  random: Random;
  recorder: Recorder;
  workers: Worker[];
}
export interface Fault {
  name: string;
  weight: number;
  /** What it breaks: two faults at once are of two places. */
  of: "host" | "gateway";
  /** Asks for things that another fault at the same time would prevent. */
  isAlone?: boolean;
  /** Ends when all is mended again; says what it did. */
  act(scene: Scene, host: FleetHost): Promise<string>;
}

const otherHost = join(import.meta.dirname, "../hosts/other-host.ts");
const restart = async (scene: Scene, host: FleetHost) => {
  await endDaemon(scene, host.agent, host.name, "SIGKILL");
  await host.agent.start();
};

/** Ends a process of the product, and writes down how it ended. */
async function endDaemon({ recorder }: Scene, daemon: Daemon, name: string, asked: NodeJS.Signals): Promise<void> {
  recorder.write({ kind: "ended", daemon: name, code: await daemon.kill(asked), asked });
}

/** Writes down what breaks runs, at the moment it is done. */
const tellDeed = ({ recorder }: Scene, deed: Deed, host: string, copiedAt?: number) =>
  recorder.write({ kind: "deed", deed, host, ...(copiedAt !== undefined && { copiedAt }) });

export const faults: Fault[] = [
  {
    name: "link",
    weight: 4,
    of: "host",
    async act({ random }, host) {
      const ms = random.pick([300, 1500, 4000, 12_000, 12_000, 33_000]);
      host.cut();
      await pause(ms);
      host.heal();
      return `cut for ${ms} ms`;
    },
  },
  {
    name: "connections reset",
    weight: 3,
    of: "host",
    async act({ random }, host) {
      let count = 0;
      for (let left = random.whole(1, 5); left > 0; left--) {
        count += host.resetConnections();
        await pause(random.whole(50, 700));
      }
      return `${count} of them`;
    },
  },
  {
    name: "host agent killed",
    weight: 4,
    of: "host",
    act: (scene, host) => endAndStart(scene, host.agent, host.name, [0, 0, 2000, 7000]),
  },
  {
    name: "host agent stands still",
    weight: 1,
    of: "host",
    async act({ random }, host) {
      const ms = random.pick([2000, 12_000, 33_000]);
      process.kill(host.agent.pid, "SIGSTOP");
      await pause(ms);
      process.kill(host.agent.pid, "SIGCONT");
      return `for ${ms} ms`;
    },
  },
  {
    name: "engine killed with live-restore",
    weight: 3,
    of: "host",
    async act({ random }, host) {
      await host.endEngine("SIGKILL");
      const ms = random.pick([0, 1000, 5000]);
      await pause(ms);
      await host.startEngine();
      return `away for ${ms} ms`;
    },
  },
  {
    name: "engine stands still",
    weight: 1,
    of: "host",
    async act({ random }, host) {
      const ms = random.pick([1000, 5000, 20_000, 40_000, 80_000]);
      host.signalEngine("SIGSTOP");
      await pause(ms);
      host.signalEngine("SIGCONT");
      return `for ${ms} ms`;
    },
  },
  {
    name: "engine without live-restore",
    weight: 2,
    of: "host",
    async act(scene, host) {
      const { random } = scene;
      tellDeed(scene, "containers killed", host.name);
      // Only containers started under such an engine end with it.
      const signal = random.pick(["SIGTERM", "SIGKILL"] as const);
      await host.endEngine("SIGTERM");
      await host.startEngine(false);
      await pause(random.whole(500, 3000));
      tellDeed(scene, "containers killed", host.name);
      await host.endEngine(signal);
      await host.startEngine();
      tellDeed(scene, "containers killed", host.name);
      return signal;
    },
  },
  {
    name: "machine killed",
    weight: 2,
    of: "host",
    act: (scene, host) => killMachine(scene, host, false),
  },
  {
    name: "machine rebooted",
    weight: 2,
    of: "host",
    act: (scene, host) => killMachine(scene, host, true),
  },
  {
    name: "gateway killed",
    weight: 4,
    of: "gateway",
    act: (scene) => endAndStart(scene, scene.fleet.gateway, "gateway", [0, 1000, 11_000]),
  },
  {
    name: "gateway restored",
    weight: 2,
    of: "gateway",
    async act(scene) {
      const { fleet } = scene;
      await endDaemon(scene, fleet.gateway, "gateway", "SIGKILL");
      const copiedAt = statSync(copyOf(fleet)).mtimeMs;
      tellDeed(scene, "gateway restored", "gateway", copiedAt);
      const file = join(fleet.gatewayDir, "gateway.sqlite");
      for (const suffix of ["-wal", "-shm"]) rmSync(file + suffix, { force: true });
      copyFileSync(copyOf(fleet), file);
      await fleet.gateway.start();
      tellDeed(scene, "gateway restored", "gateway", copiedAt);
      return `from a copy that is ${Math.round((Date.now() - copiedAt) / 1000)} s old`;
    },
  },
  {
    name: "wrong clock",
    weight: 2,
    of: "host",
    async act(scene, host) {
      const { random } = scene;
      const ms = random.pick([120_000, -120_000]);
      await endDaemon(scene, host.agent, host.name, "SIGKILL");
      await host.agent.start({ CLOCK_OFFSET: String(ms) }, otherHost);
      await pause(random.whole(2000, 6000));
      await restart(scene, host);
      return `by ${ms} ms`;
    },
  },
  {
    name: "reports repeated",
    weight: 3,
    of: "gateway",
    async act({ relay, random }) {
      relay.mode = random.pick(["twice", "late"]);
      const told = relay.mode;
      await pause(random.whole(3000, 8000));
      relay.mode = "plain";
      return told;
    },
  },
  {
    name: "gateway's disk full",
    weight: 1,
    of: "gateway",
    act: (scene) => fillDisk(scene, scene.fleet.gatewayDir, "gateway", scene.random.whole(2000, 9000)),
  },
  {
    name: "host's disk full",
    weight: 1,
    of: "host",
    act: (scene, host) => fillDisk(scene, host.dataDir, host.name, scene.random.whole(2000, 9000)),
  },
  {
    name: "new host database",
    weight: 1,
    of: "host",
    isAlone: true,
    async act(scene, host) {
      await endDaemon(scene, host.agent, host.name, "SIGKILL");
      putAway(host);
      tellDeed(scene, "host database lost", host.name);
      await host.agent.start();
      await untilTold(scene, host);
      await keepCopy(scene.fleet);
      return "it had forgotten all";
    },
  },
  {
    name: "older host database",
    weight: 2,
    of: "host",
    isAlone: true,
    async act(scene, host) {
      const copy = join(scene.fleet.dir, `${host.name}.copy`);
      await backUp(join(host.dataDir, "host.db"), copy);
      const copiedAt = Date.now();
      await pause(scene.random.whole(1000, 15_000));
      await endDaemon(scene, host.agent, host.name, "SIGKILL");
      putAway(host);
      copyFileSync(copy, join(host.dataDir, "host.db"));
      tellDeed(scene, "host database restored", host.name, copiedAt);
      await host.agent.start();
      await untilTold(scene, host);
      await keepCopy(scene.fleet);
      return `from a copy that is ${Math.round((Date.now() - copiedAt) / 1000)} s old`;
    },
  },
  {
    name: "host removed, comes back, joins anew",
    weight: 1,
    of: "host",
    isAlone: true,
    async act(scene, host) {
      await untilTold(scene, host);
      const wasAway = scene.random.isTrue(0.5);
      if (wasAway) await endDaemon(scene, host.agent, host.name, "SIGKILL");
      await remove(scene, host);
      if (wasAway) await host.agent.start().catch(() => undefined);
      await joinAnew(scene, host);
      return wasAway ? "while it was away" : "while it was there";
    },
  },
  {
    name: "host gone for good",
    weight: 1,
    of: "host",
    isAlone: true,
    async act(scene, host) {
      await untilTold(scene, host);
      host.cut();
      await endDaemon(scene, host.agent, host.name, "SIGKILL");
      await killContainers(scene, host);
      await remove(scene, host);
      // Its users live elsewhere meanwhile.
      const ms = scene.random.whole(8000, 25_000);
      await pause(ms);
      host.heal();
      await host.startEngine();
      await host.agent.start().catch(() => undefined);
      await joinAnew(scene, host);
      return `then found again after ${ms} ms`;
    },
  },
  {
    name: "gateway stands still",
    weight: 1,
    of: "gateway",
    async act({ random, fleet }) {
      const ms = random.pick([2000, 12_000, 33_000]);
      process.kill(fleet.gateway.pid, "SIGSTOP");
      await pause(ms);
      process.kill(fleet.gateway.pid, "SIGCONT");
      return `for ${ms} ms`;
    },
  },
  {
    name: "containerd stands still",
    weight: 1,
    of: "host",
    async act({ random }, host) {
      const ms = random.pick([2000, 12_000, 40_000]);
      host.signalContainerd("SIGSTOP");
      await pause(ms);
      host.signalContainerd("SIGCONT");
      return `for ${ms} ms`;
    },
  },
  {
    name: "containerd killed",
    weight: 2,
    of: "host",
    async act(_scene, host) {
      host.signalContainerd("SIGKILL");
      await until(() => hasContainerd(host), `the engine of ${host.name} has another containerd`);
      return "and started by its engine";
    },
  },
  {
    name: "container removed",
    weight: 2,
    of: "host",
    async act(scene, host) {
      const [found] = await host.docker.listContainers();
      if (!found) return "there was none";
      tellDeed(scene, "containers killed", host.name);
      await host.docker.getContainer(found.Id).remove({ force: true });
      tellDeed(scene, "containers killed", host.name);
      return found.Id.slice(0, 12);
    },
  },
  {
    name: "workspace stopped",
    weight: 2,
    of: "gateway",
    async act({ workers, random }) {
      const { user, client } = random.pick(workers);
      const answer = await client.call("POST", "/v1/workspace/stop").catch(() => null);
      return `of ${user}, answered ${answer?.status ?? "not at all"}`;
    },
  },
  {
    name: "host drained",
    weight: 1,
    of: "host",
    async act({ admin, random }, host) {
      const drained = await admin.call("POST", `/v1/admin/hosts/${host.id()}/drain`).catch(() => null);
      await pause(random.whole(1000, 8000));
      await insist(() => admin.call("POST", `/v1/admin/hosts/${host.id()}/resume`), [200, 404, 409]);
      return `answered ${drained?.status ?? "not at all"}`;
    },
  },
  {
    name: "user disabled",
    weight: 2,
    of: "gateway",
    async act(scene) {
      const { admin, random, workers, fleet } = scene;
      const { user, userId } = random.pick(workers);
      const cancelRuns = random.isTrue(0.5);
      const change = (body: object) => admin.call("PATCH", `/v1/admin/users/${userId}`, body);
      await change({ disabled: true, ...(cancelRuns && { cancelRuns }) }).catch(() => undefined);
      await pause(random.whole(500, 6000));
      await insist(() => change({ disabled: false }), [200]);
      await keepCopy(fleet);
      return `${user}${cancelRuns ? ", whose runs end" : ""}`;
    },
  },
  {
    name: "agent deleted",
    weight: 3,
    of: "gateway",
    async act({ random, workers, fleet, recorder }) {
      const worker = random.pick(workers.filter(({ isDeletable }) => isDeletable));
      const { client, user, userId, agentId } = worker;
      await insist(() => client.call("DELETE", `/v1/agents/${agentId}`), [204, 404]);
      const name = `again${recorder.number()}`;
      const made = await insist(() => client.call("POST", "/v1/agents", { name, runtime: "shell" }), [201, 409]);
      if (made.status === 409) throw new Error(`a new agent of ${user} was answered ${JSON.stringify(made.body)}`);
      worker.agentId = made.body["id"] as string;
      recorder.write({ kind: "agent", user: userId, agent: worker.agentId, runtime: "shell" });
      await keepCopy(fleet);
      return `${agentId} of ${user}`;
    },
  },
];

/** Repeats a call until it is answered so. */
async function insist<T extends { status: number }>(call: () => Promise<T>, statuses: number[]): Promise<T> {
  return until(
    async () => {
      const answer = await call().catch(() => null);
      return answer && statuses.includes(answer.status) ? answer : null;
    },
    `an answer of ${statuses.join(" or ")}`,
  );
}

async function hasContainerd({ docker }: FleetHost): Promise<boolean> {
  const answer = await docker.listContainers({ all: true }).catch(() => null);
  return answer !== null;
}

async function killContainers(scene: Scene, host: FleetHost): Promise<void> {
  tellDeed(scene, "containers killed", host.name);
  await host.kill();
  tellDeed(scene, "containers killed", host.name);
}

/** The power goes and comes back; at a boot what lives in memory alone is gone too. */
async function killMachine(scene: Scene, host: FleetHost, isBoot: boolean): Promise<string> {
  host.cut();
  await endDaemon(scene, host.agent, host.name, "SIGKILL");
  await killContainers(scene, host);
  if (isBoot) host.forgetBoot();
  await pause(scene.random.pick([0, 2000, 8000]));
  host.heal();
  // At a boot they start together.
  if (isBoot && scene.random.isTrue(0.5)) await Promise.all([host.startEngine(), host.agent.start()]);
  else {
    await host.startEngine();
    await host.agent.start();
  }
  return "and started again";
}

/** Keeps the host's database aside, where the judge finds it. */
function putAway({ dataDir }: FleetHost): void {
  const file = join(dataDir, "host.db");
  // Opening alone would leave in the journal what is then removed with it.
  const former = new Database(file);
  former.pragma("wal_checkpoint(TRUNCATE)");
  former.close();
  renameSync(file, `${file}.former-${Date.now()}`);
  for (const suffix of ["-wal", "-shm"]) rmSync(file + suffix, { force: true });
}

const copyOf = (fleet: Fleet) => join(fleet.dir, "gateway.copy");

/** Takes the copy of the gateway's database that a later fault restores. */
export const keepCopy = (fleet: Fleet) => backUp(join(fleet.gatewayDir, "gateway.sqlite"), copyOf(fleet));

async function backUp(file: string, copy: string): Promise<void> {
  const db = new Database(file, { readonly: true });
  try {
    rmSync(`${copy}.new`, { force: true });
    await db.backup(`${copy}.new`);
    renameSync(`${copy}.new`, copy);
  } finally {
    db.close();
  }
}

/** Killed, or asked to end. */
async function endAndStart(scene: Scene, daemon: Daemon, name: string, pauses: number[]): Promise<string> {
  const { random } = scene;
  const signal = random.pick(["SIGKILL", "SIGKILL", "SIGTERM"] as const);
  await endDaemon(scene, daemon, name, signal);
  const ms = random.pick(pauses);
  await pause(ms);
  await daemon.start();
  return `by ${signal}, away for ${ms} ms`;
}

/**
 * The gateway knows what the host knows: a restored one asks for it by its answer to the first report and has it with the next.
 * Whoever removes a host before loses what nobody else has.
 */
async function untilTold({ admin }: Scene, host: FleetHost): Promise<void> {
  for (let count = 0; count < 2; count++) {
    const since = new Date().toISOString();
    const isTold = async () => {
      const { items } = (await admin.call<{ items?: HostTimes[] }>("GET", "/v1/admin/hosts")).body;
      return items?.some(({ id, lastReportAt }) => id === host.id() && (lastReportAt ?? "") > since);
    };
    await until(() => isTold().catch(() => false), `${host.name} has reported`);
  }
}
interface HostTimes {
  id: string;
  lastReportAt: string | null;
}

async function remove(scene: Scene, host: FleetHost): Promise<void> {
  const { admin } = scene;
  tellDeed(scene, "host removed", host.name);
  const { status, body } = await admin.call("DELETE", `/v1/admin/hosts/${host.id()}?confirm=${host.name}`);
  if (status !== 204) throw new Error(`removing answered ${status}: ${JSON.stringify(body)}`);
  tellDeed(scene, "host removed", host.name);
}

/** Waits until the removed host has ended all that was its own, then joins its machine as a new one. */
async function joinAnew({ fleet, recorder }: Scene, host: FleetHost): Promise<void> {
  const code = await until(
    () => Promise.race([host.agent.ended().then((code) => ({ code })), pause(1).then(() => null)]),
    `the removed ${host.name} ends`,
  );
  recorder.write({ kind: "ended", daemon: host.name, code: code.code, asked: "removal" });
  const left = await host.docker.listContainers({ all: true });
  recorder.write({
    kind: "left",
    host: host.name,
    what: "containers of a removed host",
    items: left.map(({ Id }) => Id),
  });
  renameSync(join(host.dataDir, "host.json"), join(host.dataDir, `host.json.former-${Date.now()}`));
  await host.join();
  await pause(1000);
  await keepCopy(fleet);
}

async function fillDisk(scene: Scene, path: string, host: string, ms: number): Promise<string> {
  const ballast = join(path, "ballast");
  const { bavail, bsize } = statfsSync(path);
  tellDeed(scene, "disk full", host);
  try {
    execFileSync("fallocate", ["-l", String(bavail * bsize), ballast], { stdio: "ignore" });
  } catch {
    // As much as there was.
  }
  await pause(ms);
  rmSync(ballast, { force: true });
  await until(() => !existsSync(ballast), "the ballast is gone");
  tellDeed(scene, "disk free", host);
  return `for ${ms} ms`;
}
