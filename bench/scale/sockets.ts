/** Open sockets: what they cost while nothing happens, and how all come back when the gateway is killed and started again. */
import type { Figure } from "../lib/figures.ts";
import { descriptorLimit } from "@berth/shared/node/descriptors";
import { powers, type Series } from "./growth.ts";
import { openScene, type Options, type Scene, sleep, type Tell } from "./world.ts";

interface State {
  pages: number;
  open: number;
  reopened: number;
  lost: number;
  doubled: number;
  lines: number;
  refused: number;
}
const idleSeconds = 10;
const opensPerSecond = 200;
const backDeadlineMs = 120_000;
/** A page in so many follows a log while the gateway is away. */
const followed = 20;

export async function measureSockets(options: Options, tell: Tell): Promise<{ figures: Figure[]; facts: unknown }> {
  // Each takes two descriptors of the gateway: one of its page, one to its host.
  const most = Math.floor((descriptorLimit() - 2000) / 2);
  const count = Math.min(options.sockets, most);
  if (count < options.sockets) tell(`${count} sockets: a process may have ${descriptorLimit()} descriptors here`);
  const hosts = Math.max(1, Math.min(options.hosts, Math.ceil(count / 100)));
  const workspaces = Math.ceil(count / hosts);
  const sizes = { hosts, workspaces, online: count, newcomers: 0, runs: 0, waiting: 0, expired: 0 };
  const scene = await openScene(sizes, tell);
  try {
    const { world, gateway } = scene;
    await scene.hosts("open", { world, gatewayUrl: gateway.url, dir: scene.dir });
    await scene.hosts("report", { life: { busy: 1, runMs: 600_000 }, overMs: hosts * 20 });
    const bare = await idle(scene);
    const pages = scene.open("sockets-process.ts");
    const { opened, growth } = await openPages(scene, pages, { count, bare, tell });
    const last = (name: string) => growth[name]!.at(-1)![1];
    await pages("follow", Math.ceil(count / followed));
    await sleep(2000);
    const before = await pages<State>("state");
    await gateway.kill();
    const killedAt = performance.now();
    await gateway.start();
    const upMs = performance.now() - killedAt;
    await scene.hosts("answered");
    const back = await whenAllOpen(pages, count, backDeadlineMs);
    const backMs = performance.now() - killedAt;
    const backCpuMs = gateway.cpuSeconds() * 1000;
    tell(`back: ${JSON.stringify(back)} after ${backMs.toFixed(0)} ms`);
    await sleep(15_000);
    const hostsBack = await scene.hosts<number>("answered");
    const after = await pages<State>("state");
    const figures: Figure[] = [
      { name: "open sockets", ours: opened.open, unit: "" },
      {
        name: "gateway's CPU while they are idle",
        ours: last("% of a core") / 100,
        unit: "cores",
        target: { bound: 0.3 },
      },
      { name: "gateway's memory", ours: last("MiB of memory"), unit: "MiB" },
      { name: "gateway killed and started, until it answers", ours: upMs / 1000, unit: "s" },
      { name: "until all sockets are open again", ours: backMs / 1000, unit: "s", target: { bound: 30 } },
      { name: "gateway's CPU for each, from its start", ours: backCpuMs / count, unit: "ms" },
      {
        name: "sockets that opened more than once again",
        ours: after.reopened - before.reopened - count,
        unit: "",
        target: { bound: 0 },
      },
      { name: "calls refused meanwhile, for each", ours: (after.refused - before.refused) / count, unit: "" },
      { name: "hosts that reported again", ours: hostsBack, unit: "", target: { bound: hosts, from: "below" } },
      { name: "lines lost", ours: after.lost, unit: "", target: { bound: 0 } },
      { name: "lines doubled", ours: after.doubled, unit: "", target: { bound: 0 } },
    ];
    return { figures, facts: { count, hosts, opened, before, back, after, bare, growth } };
  } finally {
    await scene.close();
  }
}

type Pages = ReturnType<Scene["open"]>;

/** Opens them in steps, ten times as many each, and what they cost by how many are open. */
async function openPages(
  scene: Scene,
  pages: Pages,
  { count, bare, tell }: { count: number; bare: number; tell: Tell },
) {
  const { world, gateway } = scene;
  const growth: Series = { "% of a core": [], "MiB of memory": [] };
  let opened = await pages<State>("state");
  for (const most of [...powers(count - 1, 1), count]) {
    const tokens = world.tokens.slice(opened.pages, most);
    await pages("open", { url: gateway.url, tokens, first: opened.pages, perSecond: opensPerSecond });
    opened = await whenAllOpen(pages, most, (most * 1000) / opensPerSecond + backDeadlineMs);
    growth["% of a core"]!.push([most, Math.max(0.1, ((await idle(scene)) - bare) * 100)]);
    growth["MiB of memory"]!.push([most, gateway.memoryBytes() / 2 ** 20]);
    tell(`open: ${JSON.stringify({ opened, growth })}`);
  }
  return { opened, growth };
}

/** Cores that the gateway takes. */
async function idle({ gateway }: Scene): Promise<number> {
  const [cpu, from] = [gateway.cpuSeconds(), performance.now()];
  await sleep(idleSeconds * 1000);
  return ((gateway.cpuSeconds() - cpu) * 1000) / (performance.now() - from);
}

async function whenAllOpen(pages: Pages, count: number, withinMs: number): Promise<State> {
  for (const from = performance.now(); ; await sleep(100)) {
    const state = await pages<State>("state");
    if (state.open === count || performance.now() - from > withinMs) return state;
  }
}
