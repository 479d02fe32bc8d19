/** Faults at random moments under load, then the checks. The same seed chooses the same faults; moments are the machine's. */
import { startFleet } from "../fleet.ts";
import { until, userIdOf } from "../harness.ts";
import { type Fault, faults, keepCopy, type Scene } from "./actions.ts";
import { check, type Done } from "./checks.ts";
import { startLoad, type Worker } from "./load.ts";
import { createRandom, pause, type Random } from "./random.ts";
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
  faults: number;
  runs: number;
  lines: number;
  reasons: Record<string, number>;
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
    const scene: Scene = { fleet, relay: relays[0]!, admin: await fleet.client("boss", { admin: true }), random };
    const workers = await makeWorkers(scene);
    await keepCopy(fleet);
    const load = startLoad(workers, createRandom(seed + 2));
    const done: Done[] = [];
    const until_ = performance.now() + ms;
    while (performance.now() < until_) {
      await pause(random.whole(300, 4000));
      await doOne(scene, choose(random, only), done, tell);
      if (random.isTrue(0.2)) await keepCopy(fleet).catch(() => undefined);
    }
    tell("all is mended; waiting for the ends of what was asked");
    await load.stop();
    await until(async () => (await allLive(scene)) === hosts, "all hosts are live", 60_000);
    await settle(scene);
    const wrong = [...load.wrong, ...(await check(scene, workers, load.asked, done))];
    const reasons: Record<string, number> = {};
    for (const { final } of load.asked) reasons[final?.reason ?? "none"] = (reasons[final?.reason ?? "none"] ?? 0) + 1;
    const lines = load.asked.reduce((sum, { received }) => sum + received.length, 0);
    if (wrong.length > 0) keepLogs(fleet, tell);
    return { faults: done.length, runs: load.asked.length, lines, reasons, wrong };
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

function choose(random: Random, only: string[] | undefined): Fault {
  const open = faults.filter(({ name }) => !only || only.some((part) => name.includes(part)));
  return random.pick(open.flatMap((fault) => Array.from({ length: fault.weight }, () => fault)));
}

async function doOne(scene: Scene, fault: Fault, done: Done[], tell: (line: string) => void): Promise<void> {
  const host = scene.random.pick(scene.fleet.hosts);
  const one: Done = { harm: fault.harm, host: host.name, from: Date.now(), to: Infinity };
  done.push(one);
  const said = await fault.act(scene, host);
  one.to = Date.now();
  tell(
    `${new Date(one.from).toISOString().slice(11, 23)} ${fault.name}, ${host.name}: ${said} (${one.to - one.from} ms)`,
  );
}

async function allLive({ admin }: Scene): Promise<number> {
  const { items } = await admin.ok<{ items: { status: string }[] }>("GET", "/v1/admin/hosts");
  return items.filter(({ status }) => status === "live").length;
}

/** Two reports' time: late ends are told. */
const settle = async (_scene: Scene) => pause(7000);

function keepLogs(fleet: Awaited<ReturnType<typeof startFleet>>, tell: (line: string) => void): void {
  for (const daemon of [fleet.gateway, ...fleet.hosts.map(({ agent }) => agent)]) tell(`--- log\n${daemon.log()}`);
}
