/** What only many of a thing show: hundreds of deliveries with a run each, and a hundred workspaces at once. */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Agent, Run } from "@berth/shared/resources";
import { type Client, textOf } from "./harness/client.ts";
import { until } from "../gateway/test/wait.ts";
import { type Berth, engine, startBerth, userIdOf } from "./harness/harness.ts";
import { type Accepted, createTrigger, headersOf, type Scheme, type Trigger } from "./harness/sender.ts";
import { makeUsers } from "./harness/users.ts";

const deliveries = 500;
const users = 5;
const agentsEach = 4;
const workspaces = 100;
const mebibyte = 2 ** 20;

/** Other suites use the engine meanwhile. What every run left would be one for each delivery. */
const allowed = (name: string) => (name === "engine" ? deliveries / 4 : 20);

const enginePid = Number(readFileSync("/var/run/docker.pid", "utf8"));
const inspectExec = (id: string) =>
  engine
    .getExec(id)
    .inspect()
    .catch(() => null);
const descriptorsOf = (pid: number) => readdirSync(`/proc/${pid}/fd`).length;

interface Target {
  client: Client;
  agent: Agent;
  scheme: Scheme;
  trigger: Trigger;
}

describe("a storm of five hundred deliveries, 150 of them twice, 50 at once, over a gateway killed twice", () => {
  let berth: Berth;
  beforeAll(async () => {
    berth = await startBerth({ BERTH_IDLE_SECONDS: "600" });
  });
  afterAll(() => berth?.close());

  const descriptors = () => ({
    gateway: berth.gateway.descriptors(),
    host: berth.host.descriptors(),
    engine: descriptorsOf(enginePid),
  });

  test(
    "runs each exactly once, and leaves no descriptor, process or memory behind",
    { timeout: 1_200_000 },
    async () => {
      const targets = await makeTargets(berth);
      const clients = [...new Set(targets.map(({ client }) => client))];
      // Each agent: what its host listens on for it stays as long as its workspace.
      await Promise.all(
        clients.map(async (client) => {
          for (const { agent } of targets.filter((target) => target.client === client))
            await client.runToEnd(agent.id, "echo warm");
        }),
      );
      const before = descriptors();

      const runIds = new Map<number, Set<string>>();
      const numbers = [
        ...Array.from({ length: deliveries }, (_, n) => n),
        ...Array.from({ length: 0.3 * deliveries }, (_, n) => n * 3),
      ].sort((a, b) => ((a * 7919) % 1013) - ((b * 7919) % 1013));
      const total = numbers.length;
      const killing = (async () => {
        for (const left of [total * 0.75, total * 0.35]) {
          await until(() => numbers.length <= left, "a part is sent", 300_000);
          await berth.gateway.kill();
          await berth.gateway.start();
        }
      })();
      const readings: Promise<Run>[] = [];
      const senders = Array.from({ length: 50 }, async () => {
        for (let n = numbers.shift(); n !== undefined; n = numbers.shift()) {
          const target = targets[n % targets.length]!;
          const runId = await send(berth, target, n);
          runIds.set(n, (runIds.get(n) ?? new Set()).add(runId));
          // Every tenth one is read to its end; nobody ever reads the others.
          if (n % 10 === 0) readings.push(target.client.finish(runId).then(({ run }) => run));
        }
      });
      await Promise.all([...senders, killing]);
      expect(runIds.size).toBe(deliveries);
      expect([...runIds.values()].filter((ids) => ids.size !== 1)).toEqual([]);

      for (const client of clients) await until(() => isQuiet(client), "every run has ended", 1_000_000);
      expect(new Set((await Promise.all(readings)).map(({ status }) => status))).toEqual(new Set(["completed"]));
      for (const client of clients) {
        const runs = (await allRuns(client)).filter(({ trigger }) => trigger.kind === "webhook");
        expect(runs).toHaveLength(deliveries / users);
        expect(runs.filter(({ status }) => status !== "completed")).toEqual([]);
        expect(mostAtOnce(runs)).toBeLessThanOrEqual(3);
      }
      for (const [at, { client, agent }] of targets.entries()) {
        const seen = (await client.runToEnd(agent.id, "sort -n seen")).lines.map((line) => Number(textOf(line)));
        expect(seen).toEqual(
          Array.from({ length: deliveries / targets.length }, (_, row) => row * targets.length + at),
        );
      }

      // The gateway and the host agent keep a connection for a next call for 75 s.
      const grown = () =>
        Object.entries(descriptors()).filter(
          ([name, now]) => now >= before[name as keyof typeof before] + allowed(name),
        );
      await until(() => grown().length === 0, "descriptors are as before").catch(() => undefined);
      expect({ before, grown: grown() }).toEqual({ before, grown: [] });
      for (const client of clients)
        expect((await berth.processes(await userIdOf(client))).filter(({ uid }) => uid >= 20_000)).toEqual([]);
      const containers = await berth.containers();
      expect(containers).toHaveLength(users);
      // One that was made and never started, for the call that made it came to its deadline, goes with its container.
      const execs = async ({ Id }: { Id: string }) => (await engine.getContainer(Id).inspect()).ExecIDs ?? [];
      const living = async () => {
        const held = await Promise.all((await Promise.all(containers.map(execs))).flat().map(inspectExec));
        return held.filter((exec) => exec?.Running && existsSync(`/proc/${exec.Pid}`));
      };
      await until(async () => (await living()).length === 0, "no exec of a run lives").catch(() => undefined);
      expect(await living()).toEqual([]);
      expect(berth.gateway.memoryBytes()).toBeLessThan(150 * mebibyte);
      expect(berth.host.memoryBytes()).toBeLessThan(150 * mebibyte);
    },
  );
});

describe("a hundred workspaces", () => {
  let berth: Berth;
  beforeAll(async () => {
    berth = await startBerth({ BERTH_IDLE_SECONDS: "1", BERTH_MAX_WORKSPACES: String(workspaces) });
  });
  afterAll(() => berth?.close());

  test(
    "stand and answer a run each at once, and idle removal takes them all away with their volumes' mounts",
    { timeout: 1_200_000 },
    async () => {
      const clients = await makeUsers(berth, "many", workspaces + 1);
      const late = clients.pop()!;
      const sockets = await inTurns(clients, 4, async (client) => {
        const socket = await client.connect();
        await until(() => socket.frames.length > 0, "hello comes");
        return socket;
      });
      expect((await berth.containers()).filter(({ State }) => State === "running")).toHaveLength(workspaces);
      expect(await late.call("POST", "/v1/workspace/start")).toMatchObject({ status: 503, body: { code: "no_host" } });
      const results = await inTurns(clients, 8, async (client) => {
        const agent = await client.createAgent("shell", { runtime: "shell" });
        return (await client.runToEnd(agent.id, "echo here")).run.result;
      });
      expect(results).toEqual(Array.from({ length: workspaces }, () => "here\n"));
      expect(berth.host.memoryBytes()).toBeLessThan(150 * mebibyte);
      await Promise.all(sockets.map((socket) => socket.close()));
      await until(async () => (await berth.containers()).length === 0, "every container is removed", 500_000);
      await until(() => mountsBelow(berth.hostDir) === 0, "every volume is unmounted");
      expect((await clients[0]!.call("GET", "/v1/runs")).status).toBe(200);
    },
  );
});

/** Agents of all users, each with a trigger; the schemes in turn. */
async function makeTargets(berth: Berth): Promise<Target[]> {
  const schemes: Scheme[] = ["token", "github", "standard"];
  const clients = await makeUsers(berth, "storm", users);
  const perUser = clients.map((client, at) =>
    Promise.all(
      Array.from({ length: agentsEach }, async (_, number) => {
        const agent = await client.createAgent(`shell${number}`, { runtime: "shell" });
        const scheme = schemes[(at + number) % 3]!;
        const template = "echo {{payload.n}} >> seen; echo out; echo err >&2";
        return { client, agent, scheme, trigger: await createTrigger(client, agent, template, scheme) };
      }),
    ),
  );
  return (await Promise.all(perUser)).flat();
}

/** As a sender does: again until somebody says that it was taken. Answers the run. */
async function send(berth: Berth, { trigger, scheme }: Target, n: number): Promise<string> {
  const body = JSON.stringify({ n });
  for (;;) {
    const headers = await headersOf(scheme, trigger.secret, `delivery-${n}`, body);
    const answer = await fetch(`${berth.url}/hooks/${trigger.id}`, { method: "POST", body, headers }).catch(() => null);
    const said = await answer?.json().catch(() => null);
    if (answer?.ok && said) return (said as Accepted).runId;
    if (answer && answer.status < 500 && answer.status !== 429 && !answer.ok)
      throw new Error(`refused with ${answer.status}: ${JSON.stringify(said)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function isQuiet(client: Client): Promise<boolean> {
  const of = (status: string) => client.ok<{ items: Run[] }>("GET", `/v1/runs?limit=1&status=${status}`);
  return (await Promise.all(["pending", "starting", "running"].map(of))).every(({ items }) => items.length === 0);
}

async function allRuns(client: Client): Promise<Run[]> {
  const runs: Run[] = [];
  for (let cursor: string | null = ""; cursor !== null;) {
    const page: { items: Run[]; nextCursor: string | null } = await client.ok(
      "GET",
      `/v1/runs?limit=200${cursor && `&cursor=${cursor}`}`,
    );
    runs.push(...page.items);
    cursor = page.nextCursor;
  }
  return runs;
}

/** How many of these runs were going on at the same time, by the host's own clock. */
function mostAtOnce(runs: Run[]): number {
  const edges = runs.flatMap(({ startedAt, endedAt }) => [[startedAt!, 1] as const, [endedAt!, -1] as const]);
  edges.sort(([a, up], [b, down]) => (a < b ? -1 : a > b ? 1 : up - down));
  let now = 0;
  return Math.max(...edges.map(([, step]) => (now += step)));
}

/** The work for each item, at most `atOnce` of them at a time; answers in the items' order. */
async function inTurns<T, R>(items: T[], atOnce: number, work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const turn = async () => {
    for (let at = next++; at < items.length; at = next++) results[at] = await work(items[at]!);
  };
  await Promise.all(Array.from({ length: atOnce }, turn));
  return results;
}

const mountsBelow = (dir: string) =>
  readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => line.split(" ")[4]?.startsWith(`${dir}/`)).length;
