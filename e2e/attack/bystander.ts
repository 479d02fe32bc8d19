/**
 * What somebody else notices of an attack: bob's calls while nothing but a busy container is there (control), and while the
 * attack goes on. What counts is the ratio of the two on the same machine at the same time, and how busy Berth's own
 * main threads are, for that is what everybody shares.
 */
import { once } from "node:events";
import { readFileSync, statSync } from "node:fs";
import { get, type IncomingMessage } from "node:http";
import { join } from "node:path";
import type { Agent, Run } from "@berth/shared/resources";
import { pass, until } from "../../gateway/test/wait.ts";
import { userIdOf, type Daemon } from "../harness/harness.ts";
import type { Client } from "../harness/client.ts";
import type { Attempt, Finding, Stage } from "./attempt.ts";

/** Milliseconds of each call, and what the processes took meanwhile. */
interface Seen {
  gatewayHealth: number[];
  hostHealth: number[];
  echo: number[];
  cancel: number[];
  /** Share of a core that the main threads used. */
  gatewayLoop: number;
  hostLoop: number;
  /** The most that was seen, in MB. */
  memory: number;
  force: number;
}

/** Enough for a median; beside other suites, for a call that nothing else held up. */
const rounds = { alone: 5, shared: 2 };
/** How often an attack under which bob was slow is made before that counts. */
const mostTries = { alone: 1, shared: 3 };
/** An attack that has not come to its force after so long has not taken place. */
const mostMs = 60_000;
const healthChecks = 6;
/** Below this a difference is the machine's noise. */
const noiseMs = { gatewayHealth: 50, hostHealth: 50, echo: 400, cancel: 400 };
const memoryMb = 200;
const mostCallMs = 1000;
/** A call that takes so long was held up, however busy the machine is. */
const stillMs = 20_000;
/** The share of a core from which on a loop may be what bob waits for. */
const busy = 0.25;

/** What was seen in the quiet after the last attack. */
const quietOf = new WeakMap<Stage, Seen>();

/** An attack under way. */
export interface Attack {
  /** Ends it, with every process and connection that it has. */
  end(): Promise<void>;
  /** How much of it there was, asked before its end: an attack that did not take place proves nothing. */
  force(): Promise<number>;
}

/**
 * An attempt that holds where bob goes on as in the quiet, memory stays bounded, and nothing is left afterwards. It was made
 * where its force was at least so much.
 */
export function beside(name: string, leastForce: number, begin: (stage: Stage) => Promise<Attack>): Attempt {
  return {
    name,
    async make(stage) {
      // What is held up by the attack is so each time; by the machine, which other suites share, now and then.
      for (let left = mostTries[stage.bar]; ; left--) {
        const { slow, wrong, figures } = await once(stage);
        if (left <= 1 || slow.length === 0 || wrong.length > 0) return { wrong: [...slow, ...wrong], figures };
      }
    },
  };

  async function once(stage: Stage) {
    const bob = await bobOf(stage);
    const before = quietOf.get(stage) ?? (await during(stage, () => spin(stage), bob));
    const descriptors = stage.berth.host.descriptors() + stage.berth.gateway.descriptors();
    const under = await during(stage, () => begin(stage), bob, leastForce);
    const after = await during(stage, () => spin(stage), bob);
    quietOf.set(stage, after);
    const { slow, wrong, figures } = await judge(stage, [before, after], under, descriptors);
    if (under.force < leastForce) wrong.push(`the attack had a force of ${under.force}, not of ${leastForce}`);
    return { slow, wrong, figures: `force ${under.force}, ${figures}` };
  }
}

/** The same, made by `npm run attack` alone. */
export const extra = (...attempt: Parameters<typeof beside>): Attempt => ({ ...beside(...attempt), isExtra: true });

/** What took bob too long, apart from what is wrong however busy the machine is. */
async function judge(
  stage: Stage,
  quiet: Seen[],
  under: Seen,
  descriptors: number,
): Promise<Finding & { slow: string[] }> {
  const [slow, wrong]: [string[], string[]] = [[], []];
  const words: string[] = [];
  for (const what of ["gatewayHealth", "hostHealth", "echo", "cancel"] as const) {
    const base = median(quiet.flatMap((seen) => seen[what]));
    words.push(
      `${what} ${base.toFixed(0)} → ${median(under[what]).toFixed(0)} (max ${Math.max(...under[what]).toFixed(0)}) ms`,
    );
    const { now, most } = bars[stage.bar](under[what], base, noiseMs[what], under);
    if (Math.max(...under[what]) > stillMs) wrong.push(`one of ${what} stood still`);
    if (now > most) slow.push(`${what} took ${now.toFixed(0)} ms, ${base.toFixed(0)} in the quiet`);
  }
  words.push(
    `loops gateway ${under.gatewayLoop.toFixed(2)}, host ${under.hostLoop.toFixed(2)}`,
    `${under.memory.toFixed(0)} MB`,
  );
  if (under.memory > memoryMb) wrong.push(`a process took ${under.memory.toFixed(0)} MB`);
  wrong.push(...(await leftBehind(stage, descriptors)));
  return { slow, wrong, figures: words.join(", ") };
}

/** What bob's calls of one kind took, and the most that they may. */
const bars = {
  alone: (took: number[], base: number, noise: number) => ({
    now: median(took),
    most: Math.min(Math.max(3 * base, noise), mostCallMs),
  }),
  // With both loops at leisure, what is slow now and then is the machine, which other suites share: a loop that is blocked by
  // something else than work is so at each call.
  shared: (took: number[], base: number, noise: number, { gatewayLoop, hostLoop }: Seen) =>
    Math.max(gatewayLoop, hostLoop) > busy
      ? { now: median(took), most: 3 * base + noise }
      : { now: Math.min(...took), most: 10 * base + noise },
};

/** Runs, processes and descriptors that an attack leaves. */
async function leftBehind({ berth, mallory }: Stage, descriptors: number): Promise<string[]> {
  const userId = await userIdOf(mallory);
  const left: string[] = [];
  const { activeRuns } = await mallory.workspace();
  if (activeRuns > 0) left.push(`${activeRuns} runs are left`);
  const processes = (await berth.processes(userId)).filter(({ uid }) => uid >= 20_000);
  if (processes.length > 0) left.push(`${processes.length} processes are left`);
  const count = () => berth.host.descriptors() + berth.gateway.descriptors();
  // Kept connections are let go after a while.
  await until(() => count() <= descriptors + 30, "descriptors are given back", 20_000).catch(() =>
    left.push(`${count() - descriptors} descriptors are left`),
  );
  return left;
}

/** What bob and the processes see while something goes on, until it has come to its force. */
async function during(stage: Stage, begin: () => Promise<Attack>, bob: Bob, leastForce = 0): Promise<Seen> {
  const { gateway, host } = stage.berth;
  const attack = await begin();
  const seen: Seen = {
    gatewayHealth: [],
    hostHealth: [],
    echo: [],
    cancel: [],
    gatewayLoop: 0,
    hostLoop: 0,
    memory: 0,
    force: 0,
  };
  try {
    const [startedAt, gatewayCpu, hostCpu] = [performance.now(), mainThreadMs(gateway), mainThreadMs(host)];
    const isOver = async (round: number) => {
      seen.force = await attack.force();
      return round >= rounds[stage.bar] && (seen.force >= leastForce || performance.now() - startedAt > mostMs);
    };
    for (let round = 0; !(await isOver(round)); round++) {
      for (let check = 0; check < healthChecks; check++) {
        seen.gatewayHealth.push(await timed(() => answered(`${stage.berth.url}/healthz`)));
        seen.hostHealth.push(
          await timed(() => answered(`http://127.0.0.1:${stage.berth.env["BERTH_HOST_PORT"]}/healthz`)),
        );
      }
      seen.echo.push(await timed(() => bob.client.runToEnd(bob.agent.id, "echo hi")));
      const run = await bob.client.send(bob.agent.id, "echo up; exec sleep 600");
      await bob.client.firstLine(run.id);
      seen.cancel.push(await timed(() => bob.client.ok<Run>("POST", `/v1/runs/${run.id}/cancel`)));
      for (const { memoryBytes } of [gateway, host]) seen.memory = Math.max(seen.memory, memoryBytes() / 1e6);
    }
    const elapsed = performance.now() - startedAt;
    seen.gatewayLoop = (mainThreadMs(gateway) - gatewayCpu) / elapsed;
    seen.hostLoop = (mainThreadMs(host) - hostCpu) / elapsed;
  } finally {
    await attack.end();
  }
  return seen;
}

interface Bob {
  client: Client;
  agent: Agent;
}
async function bobOf({ bob }: Stage): Promise<Bob> {
  const { items } = await bob.ok<{ items: Agent[] }>("GET", "/v1/agents");
  const agent = items[0] ?? (await bob.createAgent("bob", { runtime: "shell" }));
  await bob.runToEnd(agent.id, "true");
  return { client: bob, agent };
}

/** The control: mallory's container takes its share of the processor, and nothing else. */
export const spin = (stage: Stage) => runs(stage, ["echo up; while :; do :; done"]);

/**
 * These scripts as runs of agents of mallory's, each once it has said its first line; they end with their agents. Their force is
 * the bytes of their logs after that.
 */
export async function runs(
  { mallory, berth }: Stage,
  scripts: string[],
  runtime: "shell" | "claude" = "shell",
): Promise<Attack & { runIds: string[] }> {
  const started = await Promise.all(
    scripts.map(async (script, at) => {
      const agent = await mallory.createAgent(`attacker-${at}`, { runtime });
      const run = await mallory.send(agent.id, script);
      const { id: offset } = await mallory.firstLine(run.id);
      return { agent, run, offset: Number(offset) };
    }),
  );
  await pass(500);
  const volume = join(berth.hostDir, "mnt", await userIdOf(mallory), "runs");
  return {
    force: async () =>
      Math.max(...started.map(({ run, offset }) => statSync(join(volume, run.id, "out")).size - offset)),
    runIds: started.map(({ run }) => run.id),
    async end() {
      await Promise.all(started.map(({ agent }) => mallory.ok("DELETE", `/v1/agents/${agent.id}`)));
    },
  };
}

/**
 * The same for what is done once: the attack is a run that ends by itself, and no health check of the host meanwhile, nor in what
 * follows its end, may take a second.
 */
export function atTheEnd(name: string, script: string): Attempt {
  return {
    name,
    isExtra: true,
    async make({ mallory, berth }) {
      const agent = await mallory.createAgent("attacker", { runtime: "shell" });
      const run = mallory.runToEnd(agent.id, script).then(() => mallory.runToEnd(agent.id, "true"));
      const took: number[] = [];
      for (let isOver = false; !isOver; isOver = await Promise.race([run.then(() => true), pass(20).then(() => false)]))
        took.push(await timed(() => answered(`http://127.0.0.1:${berth.env["BERTH_HOST_PORT"]}/healthz`)));
      await mallory.ok("DELETE", `/v1/agents/${agent.id}`);
      const most = Math.max(...took);
      const wrong = most > mostCallMs ? [`a health check of the host took ${most.toFixed(0)} ms`] : [];
      return { wrong, figures: `hostHealth ${median(took).toFixed(0)} (max ${most.toFixed(0)}) ms` };
    },
  };
}

/** Over a new connection, as of somebody who comes just now. */
async function answered(url: string): Promise<void> {
  const asked = get(url, { agent: false, signal: AbortSignal.timeout(60_000) });
  const [answer] = (await once(asked, "response")) as [IncomingMessage];
  await once(answer.resume(), "end");
}

export async function timed(job: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await job();
  return performance.now() - startedAt;
}

/** Processor time of a process's main thread, whose loop all users share. */
function mainThreadMs({ pid }: Daemon): number {
  const stat = readFileSync(`/proc/${pid}/task/${pid}/stat`, "utf8");
  const [user, system] = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .slice(11, 13);
  return (Number(user) + Number(system)) * 10;
}

export function median(values: number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)]!;
}
