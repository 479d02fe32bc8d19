/** What makes a host forget, and a gateway forget a host: all lose what nobody else has. */
import { copyFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import type { FleetHost } from "../engines/fleet.ts";
import { until } from "../../gateway/test/wait.ts";
import { pause } from "./random.ts";
import { backUp, endDaemon, type Fault, keepCopy, killContainers, type Scene, tellDeed } from "./scene.ts";

export const membershipFaults: Fault[] = [
  {
    name: "new host database",
    weight: 1,
    of: "host",
    isAlone: true,
    isDeadly: true,
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
    isDeadly: true,
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
    isDeadly: true,
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
    isDeadly: true,
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
];

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
