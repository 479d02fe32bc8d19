/** 1,000 hosts of 100 workspaces, 10,000 users at work: what their reports and calls cost the gateway, and how soon calls are answered. */
import type { Figure } from "../lib/figures.ts";
import { percentile } from "../lib/figures.ts";
import type { Call, Told } from "./users-process.ts";
import { openScene, type Options, type Scene, type Tell } from "./world.ts";

const runMs = 600_000;
const callsPerSecond = 200;
const newcomers = 100;
const megabyte = 2 ** 20;

/** What an open page and a script ask for. */
const calls: Call[] = [
  { name: "GET /v1/agents", weight: 40, path: "/v1/agents" },
  { name: "GET /v1/runs", weight: 20, path: "/v1/runs?limit=20" },
  { name: "GET /v1/runs of an agent", weight: 10, path: "/v1/runs?limit=20&agentId=AGENT" },
  { name: "GET /v1/me", weight: 15, path: "/v1/me" },
  { name: "GET /v1/agents/:id", weight: 10, path: "/v1/agents/AGENT" },
  { name: "GET /v1/search", weight: 5, path: "/v1/search?q=bug+moduleN&limit=20" },
];
const start: Call = {
  name: "POST runs",
  weight: 1,
  method: "POST",
  path: "/v1/agents/AGENT/runs",
  body: { prompt: "Mend it. ".repeat(100) },
};

export async function measureFleet(options: Options, tell: Tell): Promise<{ figures: Figure[]; facts: unknown }> {
  const { hosts, seconds } = options;
  const { busy, online, startsPerSecond, sizes } = sizesOf(options);
  const scene = await openScene(sizes, tell);
  try {
    const { world, gateway } = scene;
    const { url } = gateway;
    await scene.hosts("open", { world, gatewayUrl: url, dir: scene.dir });
    tell("hosts have joined");
    const { beats, first } = await reportFirst(scene, hosts, { busy, runMs });
    tell(`first reports: ${JSON.stringify({ beats, first })}`);
    await scene.hosts("live", { busy, runMs });
    await scene.gateway.delay();
    const beforeCpu = gateway.cpuSeconds();
    const sentBefore = await scene.hosts<{ reports: number; bytes: number }>("sent");
    const from = performance.now();
    const starts = { url, world, calls: [start], perSecond: startsPerSecond, seconds, ofIdle: true };
    const [called, started] = await Promise.all([
      scene.users<Told>("load", { url, world, calls, perSecond: callsPerSecond * Math.min(1, online / 1000), seconds }),
      scene.users<Told>("load", starts),
    ]);
    const took = (performance.now() - from) / 1000;
    const cores = (gateway.cpuSeconds() - beforeCpu) / took;
    const delay = await gateway.delay();
    const sentAfter = await scene.hosts<{ reports: number; bytes: number }>("sent");
    const reports = (sentAfter.reports - sentBefore.reports) / took;
    const bytes = (sentAfter.bytes - sentBefore.bytes) / Math.max(1, sentAfter.reports - sentBefore.reports);
    const memory = gateway.memoryBytes() / megabyte;
    tell(`loaded: ${JSON.stringify({ called, started, cores, delay, reports, bytes, memory })}`);
    const placed = await place(scene);
    const active = await scene.hosts<number>("active");
    const figures: Figure[] = [
      { name: "users' calls, p50", ours: called.p50, unit: "ms" },
      { name: "users' calls, p99", ours: called.p99, unit: "ms", target: { bound: 50 } },
      { name: "starts of a run, p99", ours: started.p99, unit: "ms", target: { bound: 50 } },
      { name: "calls and starts that failed", ours: countFailed(called) + countFailed(started), unit: "" },
      { name: "gateway's CPU", ours: cores, unit: "cores", target: { bound: 1 } },
      { name: "gateway's memory", ours: memory, unit: "MiB", target: { bound: 400 } },
      { name: "reports", ours: reports, unit: "/s" },
      { name: "bytes of a report", ours: bytes, unit: "B" },
      { name: "CPU of a host's first report, with all it has", ours: first, unit: "ms", target: { bound: 5 } },
      { name: "gateway's CPU for the heartbeats of hosts without work", ours: beats, unit: "cores" },
      { name: "CPU of placing a user and starting the run", ours: placed.cpuMs, unit: "ms", target: { bound: 5 } },
      { name: "placing a user and starting the run, p50", ours: percentile(placed.times, 50), unit: "ms" },
      { name: "event loop held, p99", ours: delay.p99, unit: "ms" },
    ];
    return { figures, facts: { online, active, called, started, delay, took, beats } };
  } finally {
    await scene.close();
  }
}

/** As many runs begin as end; they begin with agents that have no work, for one that has takes no other. */
function sizesOf({ hosts, workspaces, seconds, runs }: Options) {
  const busy = Math.max(1, Math.round(workspaces / 10));
  const online = hosts * busy;
  const startsPerSecond = (online * 1000) / runMs;
  const idle = Math.min(hosts * workspaces - online, Math.ceil(startsPerSecond * seconds));
  const sizes = {
    hosts,
    workspaces,
    online,
    idle,
    newcomers,
    runs: Math.min(runs, online * 10),
    waiting: 0,
    expired: 0,
  };
  return { busy, online, startsPerSecond, sizes };
}

const countFailed = ({ failed }: Told) => Object.values(failed).reduce((sum, count) => sum + count, 0);

/** The gateway's CPU, and the time that went by. */
async function spent({ gateway }: Scene, work: () => Promise<unknown>) {
  const [cpu, from] = [gateway.cpuSeconds(), performance.now()];
  await work();
  return { cpuSeconds: gateway.cpuSeconds() - cpu, seconds: (performance.now() - from) / 1000 };
}

/** CPU in milliseconds of a host's first report, and cores for the heartbeats of all of them. */
async function reportFirst(scene: Scene, hosts: number, life: { busy: number; runMs: number }) {
  const whole = await spent(scene, () => scene.hosts("report", { life, overMs: hosts * 60 }));
  // One host after the other has begun to send heartbeats too: half of them at a time, on average.
  const beats = await spentIdle(scene);
  return { beats, first: (1000 * (whole.cpuSeconds - (beats * whole.seconds) / 2)) / hosts };
}

/** Cores for what hosts tell by themselves. */
async function spentIdle(scene: Scene): Promise<number> {
  const { cpuSeconds, seconds } = await spent(scene, () => new Promise((resolve) => setTimeout(resolve, 10_000)));
  return cpuSeconds / seconds;
}

/** First runs of users who have no host yet, one after the other; what the hosts cost meanwhile is taken off. */
async function place(scene: Scene) {
  const { world, gateway } = scene;
  const beats = await spentIdle(scene);
  let times: number[] = [];
  const one = { ...start, path: "/v1/agents/AGENT/runs" };
  const asked = { url: gateway.url, tokens: world.newcomerTokens, one, agents: "agt_new" };
  const all = await spent(scene, async () => (times = await scene.users<number[]>("inTurn", asked)));
  return { times, cpuMs: ((all.cpuSeconds - beats * all.seconds) * 1000) / world.newcomerTokens.length };
}
