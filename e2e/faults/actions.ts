/** The faults: each breaks something for a while and mends it again, and leaves word of what it did to whom. */
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, renameSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import type { Client } from "../harness/client.ts";
import type { Fleet, FleetHost } from "../engines/fleet.ts";
import { until } from "../../gateway/test/wait.ts";
import { type Daemon } from "../harness/harness.ts";
import { pause, type Random } from "./random.ts";
import type { Relay } from "./relay.ts";

export interface Scene {
  fleet: Fleet;
  relay: Relay;
  admin: Client;
  random: Random;
  /** What should not have happened on the way, in sentences. */
  wrong: string[];
}
/** What may happen to runs of the host meanwhile. */
export type Harm = "container_lost" | "host_lost" | "disk_full";
export interface Fault {
  name: string;
  weight: number;
  harm: Harm | null;
  /** What it breaks: two faults at once are of two places. */
  of: "host" | "gateway";
  /** Asks for things that another fault at the same time would prevent. */
  isAlone?: boolean;
  /** Ends when all is mended again; says what it did. */
  act(scene: Scene, host: FleetHost): Promise<string>;
}

const otherHost = join(import.meta.dirname, "../hosts/other-host.ts");
/** SIGTERM ends each process within this. */
const endMs = 30_000;
const restart = async (host: FleetHost) => {
  await host.agent.kill();
  await host.agent.start();
};

export const faults: Fault[] = [
  {
    name: "link",
    weight: 4,
    harm: null,
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
    harm: null,
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
    harm: null,
    of: "host",
    act: (scene, host) => endAndStart(scene, host.agent, [0, 0, 2000, 7000]),
  },
  {
    name: "host agent stands still",
    weight: 1,
    harm: null,
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
    harm: null,
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
    harm: null,
    of: "host",
    async act({ random }, host) {
      const ms = random.pick([1000, 5000, 20_000]);
      host.signalEngine("SIGSTOP");
      await pause(ms);
      host.signalEngine("SIGCONT");
      return `for ${ms} ms`;
    },
  },
  {
    name: "engine without live-restore",
    weight: 2,
    harm: "container_lost",
    of: "host",
    async act({ random }, host) {
      // Only containers started under such an engine end with it.
      const signal = random.pick(["SIGTERM", "SIGKILL"] as const);
      await host.endEngine("SIGTERM");
      await host.startEngine(false);
      await pause(random.whole(500, 3000));
      await host.endEngine(signal);
      await host.startEngine();
      return signal;
    },
  },
  {
    name: "machine killed",
    weight: 2,
    harm: "container_lost",
    of: "host",
    async act({ random }, host) {
      host.cut();
      await host.agent.kill();
      await host.kill();
      await pause(random.pick([0, 2000, 8000]));
      host.heal();
      await host.startEngine();
      await host.agent.start();
      return "and started again";
    },
  },
  {
    name: "gateway killed",
    weight: 4,
    harm: null,
    of: "gateway",
    act: (scene) => endAndStart(scene, scene.fleet.gateway, [0, 1000, 11_000]),
  },
  {
    name: "gateway restored",
    weight: 2,
    harm: null,
    of: "gateway",
    async act({ fleet }) {
      await fleet.gateway.kill();
      const file = join(fleet.gatewayDir, "gateway.sqlite");
      for (const suffix of ["-wal", "-shm"]) rmSync(file + suffix, { force: true });
      copyFileSync(copyOf(fleet), file);
      await fleet.gateway.start();
      return "from its older copy";
    },
  },
  {
    name: "wrong clock",
    weight: 2,
    harm: null,
    of: "host",
    async act({ random }, host) {
      const ms = random.pick([120_000, -120_000]);
      await host.agent.kill();
      await host.agent.start({ CLOCK_OFFSET: String(ms) }, otherHost);
      await pause(random.whole(2000, 6000));
      await restart(host);
      return `by ${ms} ms`;
    },
  },
  {
    name: "reports repeated",
    weight: 3,
    harm: null,
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
    harm: null,
    of: "gateway",
    async act({ fleet, random }) {
      return fillDisk(fleet.gatewayDir, random.whole(2000, 6000));
    },
  },
  {
    name: "host's disk full",
    weight: 1,
    harm: "disk_full",
    of: "host",
    act: (scene, host) => fillDisk(host.dataDir, scene.random.whole(2000, 6000)),
  },
  {
    name: "new host database",
    weight: 1,
    harm: "host_lost",
    of: "host",
    isAlone: true,
    async act({ fleet }, host) {
      await host.agent.kill();
      const file = join(host.dataDir, "host.db");
      // Opening alone would leave in the journal what is then removed with it.
      const former = new Database(file);
      former.pragma("wal_checkpoint(TRUNCATE)");
      former.close();
      renameSync(file, `${file}.former-${Date.now()}`);
      for (const suffix of ["-wal", "-shm"]) rmSync(file + suffix, { force: true });
      await host.agent.start();
      await pause(6000);
      await keepCopy(fleet);
      return "it had forgotten all";
    },
  },
  {
    name: "host removed, comes back, joins anew",
    weight: 1,
    harm: "host_lost",
    of: "host",
    isAlone: true,
    async act(scene, host) {
      await untilTold(scene, host);
      const wasAway = scene.random.isTrue(0.5);
      if (wasAway) await host.agent.kill();
      await remove(scene, host);
      if (wasAway) await host.agent.start().catch(() => undefined);
      await joinAnew(scene, host);
      return wasAway ? "while it was away" : "while it was there";
    },
  },
  {
    name: "host gone for good",
    weight: 1,
    harm: "host_lost",
    of: "host",
    isAlone: true,
    async act(scene, host) {
      await untilTold(scene, host);
      host.cut();
      await host.agent.kill();
      await host.kill();
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
];

const copyOf = (fleet: Fleet) => join(fleet.dir, "gateway.copy");

/** Takes the copy of the gateway's database that a later fault restores. */
export async function keepCopy(fleet: Fleet): Promise<void> {
  const db = new Database(join(fleet.gatewayDir, "gateway.sqlite"), { readonly: true });
  try {
    rmSync(copyOf(fleet), { force: true });
    await db.backup(copyOf(fleet));
  } finally {
    db.close();
  }
}

/** Killed, or asked to end, which it does within its time. */
async function endAndStart({ random, wrong }: Scene, daemon: Daemon, pauses: number[]): Promise<string> {
  const signal = random.pick(["SIGKILL", "SIGKILL", "SIGTERM"] as const);
  const startedAt = performance.now();
  const code = await daemon.kill(signal);
  const tookMs = Math.round(performance.now() - startedAt);
  if (signal === "SIGTERM" && (code !== 0 || tookMs > endMs))
    wrong.push(`a process ended with ${code} ${tookMs} ms after SIGTERM`);
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

async function remove({ admin }: Scene, host: FleetHost): Promise<void> {
  const { status, body } = await admin.call("DELETE", `/v1/admin/hosts/${host.id()}?confirm=${host.name}`);
  if (status !== 204) throw new Error(`removing answered ${status}: ${JSON.stringify(body)}`);
}

/** Waits until the removed host has ended all that was its own, then joins its machine as a new one. */
async function joinAnew({ fleet, wrong }: Scene, host: FleetHost): Promise<void> {
  const code = await Promise.race([host.agent.ended(), pause(120_000).then(() => "still there")]);
  if (code !== 2) wrong.push(`a removed host ended with ${code}`);
  const left = await host.docker.listContainers({ all: true });
  if (left.length > 0) wrong.push(`a removed host left ${left.length} containers`);
  renameSync(join(host.dataDir, "host.json"), join(host.dataDir, `host.json.former-${Date.now()}`));
  await host.join();
  await pause(1000);
  await keepCopy(fleet);
}

async function fillDisk(path: string, ms: number): Promise<string> {
  const ballast = join(path, "ballast");
  const { bavail, bsize } = statfsSync(path);
  try {
    execFileSync("fallocate", ["-l", String(bavail * bsize), ballast], { stdio: "ignore" });
  } catch {
    // As much as there was.
  }
  await pause(ms);
  rmSync(ballast, { force: true });
  await until(() => !existsSync(ballast), "the ballast is gone");
  return `for ${ms} ms`;
}
