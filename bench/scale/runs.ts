/** 10^6 runs and 10^5 that wait behind agents that are busy: how soon lists, filters and search answer, and how long the event loop is held meanwhile. */
import type { Figure } from "../lib/figures.ts";
import { makeWaitingDue } from "./fill.ts";
import type { Delay } from "./gateway.ts";
import type { Call, Told } from "./users-process.ts";
import { openScene, type Options, sleep, type Tell } from "./world.ts";

const [hosts, workspaces] = [20, 100];
const quietMs = 30_000;
const callsPerSecond = 50;

/** User 0, who has a tenth of all runs, asks as often as everybody else together. */
const lists = {
  "all runs": "/v1/runs?limit=20",
  "failed runs": "/v1/runs?limit=20&status=failed",
  "runs that wait": "/v1/runs?limit=20&status=pending",
  "runs of an agent": "/v1/runs?limit=20&agentId=AGENT",
  "runs of webhooks": "/v1/runs?limit=20&triggerKind=webhook",
  "failed runs of an agent": "/v1/runs?limit=20&agentId=AGENT&status=failed",
  "search of a word": "/v1/search?limit=20&q=moduleN",
  "search of two words": "/v1/search?limit=20&q=button+moduleN",
};
const calls: Call[] = Object.entries(lists).map(([name, path]) => ({ name, weight: 1, path }));

export async function measureLiveRuns(options: Options, tell: Tell): Promise<{ figures: Figure[]; facts: unknown }> {
  const { runs, waiting, seconds } = options;
  const online = hosts * workspaces;
  const sizes = { hosts, workspaces, online, newcomers: 0, runs, waiting, expired: Math.floor(runs / 10) };
  const scene = await openScene(sizes, tell);
  try {
    const { world, gateway } = scene;
    const { url } = gateway;
    await scene.hosts("open", { world, gatewayUrl: url, dir: scene.dir });
    // Each agent works, so that nothing that waits can start: hosts are asked about it again and again.
    await scene.hosts("report", { life: { busy: workspaces, runMs: 3_600_000 }, overMs: 4000 });
    makeWaitingDue(scene.dir);
    tell("hosts have joined, and what waits is due");
    await sleep(5000);
    await gateway.delay();
    const cpu = gateway.cpuSeconds();
    await sleep(quietMs);
    const alone = await gateway.delay();
    const cores = ((gateway.cpuSeconds() - cpu) * 1000) / quietMs;
    tell(`ticks and retention alone: ${JSON.stringify({ alone, cores })}`);
    const load = (heavy: boolean) =>
      scene.users<Told>("load", {
        url,
        world: { ...world, online: heavy ? 1 : online },
        calls,
        perSecond: callsPerSecond / 2,
        seconds,
      });
    const [one, others] = await Promise.all([load(true), load(false)]);
    const under = await gateway.delay();
    tell(`calls: ${JSON.stringify({ one, others, under })}`);
    const kinds = Object.keys(lists).map((name): Figure => {
      const slowest = Math.max(one.byName[name]!.p99, others.byName[name]!.p99);
      return { name: `${name}, p99`, ours: slowest, unit: "ms", target: { bound: 50 } };
    });
    const held = (name: string, { p99, max }: Delay, bound?: number): Figure[] => [
      { name: `event loop held ${name}, p99`, ours: p99, unit: "ms" },
      { name: `event loop held ${name}, longest`, ours: max, unit: "ms", ...(bound && { target: { bound } }) },
    ];
    const figures: Figure[] = [
      ...kinds,
      ...held("by ticks and retention alone", alone, 20),
      ...held("with calls", under),
      { name: "gateway's CPU by ticks and retention alone", ours: cores, unit: "cores" },
      { name: "gateway's memory", ours: gateway.memoryBytes() / 2 ** 20, unit: "MiB" },
    ];
    return { figures, facts: { one, others, alone, under, cores } };
  } finally {
    await scene.close();
  }
}
