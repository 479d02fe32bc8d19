/** Faults at random moments under load, then the checks. The same seed chooses the same faults; moments are the machine's. */
import { type FleetHost, startFleet } from "../engines/fleet.ts";
import { until } from "../../gateway/test/wait.ts";
import { userIdOf } from "../harness/harness.ts";
import { type Fault, faults, keepCopy, type Scene } from "./actions.ts";
import { check } from "./checks.ts";
import type { Done } from "./findings.ts";
import { startLoad, type Worker } from "./load.ts";
import { createRandom, pause } from "./random.ts";
import { openRelay, type Relay } from "./relay.ts";

export interface Campaign {
  seed: number;
  ms: number;
  hosts: number;
  /** Takes what is done, a line each. */
  tell(line: string): void;
  /** Names of faults to do; all without it. */
  only?: string[];
}
export interface Outcome {
  /** How often each was done, by name. */
  faults: Record<string, number>;
  runs: number;
  lines: number;
  /** Ends of runs by reason. */
  reasons: Record<string, number>;
  /** What was compared, in sentences. */
  checked: string[];
  wrong: string[];
}

const users = 4;
const diskBytes = 3 * 2 ** 30;

/** Does it all and takes everything away again. */
export async function runCampaign({ seed, ms, hosts, tell, only }: Campaign): Promise<Outcome> {
  const random = createRandom(seed);
  const relays: Relay[] = [];
  tell(`seed ${seed}: ${hosts} hosts, ${ms / 1000} s`);
  const fleet = await startFleet({
    hosts,
    settings: { BERTH_IDLE_SECONDS: "20" },
    hostDiskBytes: diskBytes,
    gatewayDiskBytes: 2 ** 28,
    gatewayUrlOf: async (_host, url) => {
      if (relays.length === 0) relays.push(await openRelay(new URL(url).hostname, url, createRandom(seed + 1)));
      return relays[0]!.url;
    },
  });
  try {
    const scene: Scene = {
      fleet,
      relay: relays[0]!,
      admin: await fleet.client("boss", { admin: true }),
      random,
      wrong: [],
    };
    const workers = await makeWorkers(scene);
    await keepCopy(fleet);
    const load = startLoad(workers, createRandom(seed + 2));
    const done: Done[] = [];
    const end = performance.now() + ms;
    // At least two, however slow the machine is.
    while (performance.now() < end || done.length < 2) {
      await pause(random.whole(300, 4000));
      await Promise.all(choose(scene, only).map(async ({ fault, host }) => doOne(scene, fault, host, done, tell)));
      await reviveAll(scene);
      if (random.isTrue(0.2)) await keepCopy(fleet).catch(() => undefined);
    }
    tell("all is mended; waiting for the ends of what was asked");
    await load.stop();
    await until(async () => (await allLive(scene)) === hosts, "all hosts are live");
    await settle(scene);
    const { checked, wrong } = await check(scene, workers, load.asked, done);
    wrong.unshift(...scene.wrong, ...load.wrong);
    if (wrong.length > 0) keepLogs(fleet, tell);
    return {
      faults: countBy(done, ({ name }) => name),
      runs: load.asked.length,
      lines: load.asked.reduce((sum, { received }) => sum + received.length, 0),
      reasons: countBy(load.asked, ({ final }) => final?.reason ?? "none"),
      checked: [...checked, `${scene.relay.repeated} reports came again or late`],
      wrong,
    };
  } catch (error) {
    keepLogs(fleet, tell);
    throw error;
  } finally {
    relays.forEach((relay) => relay.close());
    await fleet.close();
  }
}

/** Users with two shell agents each, and one with an agent of the real CLI. */
async function makeWorkers({ fleet }: Scene): Promise<Worker[]> {
  const workers: Worker[] = [];
  for (let at = 0; at < users; at++) {
    const user = `user${at}`;
    const client = await fleet.client(user);
    const userId = await userIdOf(client);
    const kinds = at === 0 ? (["shell", "claude"] as const) : (["shell", "shell"] as const);
    for (const [index, runtime] of kinds.entries()) {
      const { id: agentId } = await client.createAgent(`${runtime}${index}`, { runtime });
      workers.push({ user, userId, client, agentId, isShell: runtime === "shell" });
    }
  }
  return workers;
}

/** A fault and the host it breaks; now and then a second one elsewhere at the same time. */
function choose({ random, fleet }: Scene, only: string[] | undefined): { fault: Fault; host: FleetHost }[] {
  const open = faults.filter(({ name }) => !only || only.some((part) => name.includes(part)));
  const pick = () => ({
    fault: random.pick(open.flatMap((fault) => Array.from({ length: fault.weight }, () => fault))),
    host: random.pick(fleet.hosts),
  });
  const [first, second] = [pick(), pick()];
  const isApart =
    !first.fault.isAlone &&
    !second.fault.isAlone &&
    (first.fault.of !== second.fault.of || (first.fault.of === "host" && first.host !== second.host));
  return random.isTrue(0.4) && isApart ? [first, second] : [first];
}

async function doOne(
  scene: Scene,
  fault: Fault,
  host: FleetHost,
  done: Done[],
  tell: (line: string) => void,
): Promise<void> {
  const { name, harm, of } = fault;
  const one: Done = { name, harm, host: host.name, from: Date.now(), to: Infinity };
  done.push(one);
  const said = await fault.act(scene, host).catch((error: Error) => {
    scene.wrong.push(`${name}, ${host.name}: ${error.message}`);
    return "not as it should";
  });
  one.to = Date.now();
  const at = new Date(one.from).toISOString().slice(11, 23);
  tell(`${at} ${name}${of === "host" ? `, ${host.name}` : ""}: ${said} (${one.to - one.from} ms)`);
}

/** As a supervisor would; but none of them should have ended by itself. */
async function reviveAll({ fleet, wrong }: Scene): Promise<void> {
  const all = { gateway: fleet.gateway, ...Object.fromEntries(fleet.hosts.map(({ name, agent }) => [name, agent])) };
  for (const [name, daemon] of Object.entries(all)) {
    const code = await Promise.race([daemon.ended(), "alive"]);
    if (code === "alive") continue;
    wrong.push(`${name} ended by itself with ${code}`);
    await daemon.start();
  }
}

function countBy<T>(items: T[], keyOf: (item: T) => string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const item of items) counts[keyOf(item)] = (counts[keyOf(item)] ?? 0) + 1;
  return counts;
}

async function allLive({ admin }: Scene): Promise<number> {
  const { items } = await admin.ok<{ items: { status: string }[] }>("GET", "/v1/admin/hosts");
  return items.filter(({ status }) => status === "live").length;
}

/** Two reports' time: late ends are told. */
const settle = async (_scene: Scene) => pause(15_000);

function keepLogs(fleet: Awaited<ReturnType<typeof startFleet>>, tell: (line: string) => void): void {
  for (const daemon of [fleet.gateway, ...fleet.hosts.map(({ agent }) => agent)]) tell(`--- log\n${daemon.log()}`);
}
