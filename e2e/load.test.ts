import { readFileSync, readdirSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Agent, Run } from "@berth/shared/resources";
import type { Client } from "./client.ts";
import { type Berth, engine, startBerth, until, userIdOf } from "./harness.ts";
import { makeUsers } from "./users.ts";

const runs = 1000;
const users = 4;
const agentsEach = 2;
const workspaces = 100;
const mebibyte = 2 ** 20;

const enginePid = Number(readFileSync("/var/run/docker.pid", "utf8"));
const descriptorsOf = (pid: number) => readdirSync(`/proc/${pid}/fd`).length;

describe("a thousand runs", () => {
  let berth: Berth;
  beforeAll(async () => {
    berth = await startBerth({ BERTH_IDLE_SECONDS: "600" });
  });
  afterAll(() => berth?.close());

  const count = () => ({
    gateway: berth.gateway.descriptors(),
    host: berth.host.descriptors(),
    engine: descriptorsOf(enginePid),
  });

  test("leave no descriptor, process or memory behind", { timeout: 600_000 }, async () => {
    const agents = await makeAgents(berth);
    await Promise.all(agents.map(([client, agent]) => client.runToEnd(agent.id, "echo warm")));
    const before = count();
    let started = 0;
    let completed = 0;
    await Promise.all(
      agents.map(async ([client, agent]) => {
        while (started++ < runs) {
          // Every third one is read to its end; nobody ever reads the others.
          const { status } = await (started % 3 === 0 ? readToEnd(client, agent) : endUnread(client, agent));
          if (status === "completed") completed++;
        }
      }),
    );
    expect(completed).toBe(runs);
    // Connections that are kept for a next call close within some seconds.
    const grown = () =>
      Object.entries(count()).filter(([name, now]) => now >= before[name as keyof typeof before] + 20);
    await until(() => grown().length === 0, `descriptors as before: ${JSON.stringify([before, count()])}`, 60_000);
    for (const [client] of agents)
      expect((await berth.processes(await userIdOf(client))).filter(({ uid }) => uid >= 20_000)).toEqual([]);
    const containers = await berth.containers();
    expect(containers).toHaveLength(users);
    const execs = async ({ Id }: { Id: string }) => (await engine.getContainer(Id).inspect()).ExecIDs ?? [];
    await until(
      async () => (await Promise.all(containers.map(execs))).flat().length === 0,
      "the engine holds no exec of a run",
    );
    expect(berth.gateway.memoryBytes()).toBeLessThan(150 * mebibyte);
    expect(berth.host.memoryBytes()).toBeLessThan(150 * mebibyte);
  });
});

describe("a hundred workspaces", () => {
  let berth: Berth;
  beforeAll(async () => {
    berth = await startBerth({ BERTH_IDLE_SECONDS: "2", BERTH_MAX_WORKSPACES: String(workspaces) });
  });
  afterAll(() => berth?.close());

  test(
    "stand and answer a run each at once, and idle removal takes them all away with their volumes' mounts",
    { timeout: 600_000 },
    async () => {
      const clients = await makeUsers(berth, "many", workspaces + 1);
      const late = clients.pop()!;
      const sockets = await inTurns(clients, 4, async (client) => {
        await client.ok("POST", "/v1/workspace/start");
        return client.connect();
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
      await until(async () => (await berth.containers()).length === 0, "every container is removed", 120_000);
      await until(() => mountsBelow(berth.hostDir) === 0, "every volume is unmounted", 60_000);
      expect((await clients[0]!.call("GET", "/v1/runs")).status).toBe(200);
    },
  );
});

async function makeAgents(berth: Berth): Promise<[Client, Agent][]> {
  const clients = await makeUsers(berth, "leak", users);
  const made = await Promise.all(
    clients.map((client) =>
      Promise.all(
        Array.from(
          { length: agentsEach },
          async (_, at) => [client, await client.createAgent(`shell ${at}`, { runtime: "shell" })] as [Client, Agent],
        ),
      ),
    ),
  );
  return made.flat();
}

const prompt = "echo out; echo err >&2";
const readToEnd = async (client: Client, agent: Agent) => (await client.runToEnd(agent.id, prompt)).run;

/** A run that is only asked after, never read. */
async function endUnread(client: Client, agent: Agent): Promise<Run> {
  const { id } = await client.send(agent.id, prompt);
  return until(async () => {
    const run = await client.run(id);
    return run.endedAt ? run : null;
  }, "the run has ended");
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
