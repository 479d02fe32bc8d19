/** Ended means ended: nothing that an agent started survives the end of its run, its terminal, itself or its user. */
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { WebSocket } from "ws";
import type { Agent, Run } from "@berth/shared/resources";
import type { Client } from "./harness/client.ts";
import { until } from "../gateway/test/wait.ts";
import { startChains, stepsOf } from "./harness/fork-chain.ts";
import { type Berth, engine, startBerth, userIdOf } from "./harness/harness.ts";

const cancels = Number(process.env["BERTH_TEST_CANCELS"] ?? 8);

let berth: Berth;
let admin: Client;
let alice: Client;
let bob: Client;
let agent: Agent;
let clock: Agent;
let neighbour: Run;
beforeAll(async () => {
  berth = await startBerth({ BERTH_IDLE_SECONDS: "600", BERTH_RUN_TIMEOUT_SECONDS: "600" });
  admin = await berth.client("admin", { admin: true });
  alice = await berth.client("alice");
  bob = await berth.client("bob");
  clock = await bob.createAgent("clock", { runtime: "shell" });
  agent = await alice.createAgent("chains", { runtime: "shell" });
  neighbour = await alice.send((await alice.createAgent("neighbour", { runtime: "shell" })).id, "exec sleep 3000");
});
afterAll(() => berth?.close());

async function chained(script = "exec sleep 1000"): Promise<Run> {
  const run = await alice.send(agent.id, `${startChains(agent.id)}; ${script}`);
  await alice.firstLine(run.id);
  return run;
}

/** While another user's whole run goes by, thousands of steps would be made. */
async function expectNoStep(of = agent): Promise<void> {
  const steps = await stepsOf(berth, alice, of.id);
  expect(steps).toBeGreaterThan(0n);
  await bob.runToEnd(clock.id, "sleep 0.2");
  expect(await stepsOf(berth, alice, of.id)).toBe(steps);
}

test("the chains live as long as nobody ends them", async () => {
  const run = await chained();
  const steps = await stepsOf(berth, alice, agent.id);
  await until(async () => (await stepsOf(berth, alice, agent.id)) > steps + 1000n, "the chains go on");
  expect(await alice.ok<Run>("POST", `/v1/runs/${run.id}/cancel`)).toMatchObject({ status: "cancelled" });
});

test("no chain survives a cancel", async () => {
  for (let trial = 0; trial < cancels; trial++) {
    const run = await chained();
    await until(async () => (await stepsOf(berth, alice, agent.id)) > 0n, "the chains go on");
    expect(await alice.ok<Run>("POST", `/v1/runs/${run.id}/cancel`)).toMatchObject({ status: "cancelled" });
    await expectNoStep();
  }
});

test("no chain survives a run that ends by itself", async () => {
  const run = await chained("exit 0");
  expect((await alice.finish(run.id)).run).toMatchObject({ reason: "completed", exitCode: 0 });
  await expectNoStep();
});

test("a process whose first thread has ended ends with its run", async () => {
  const run = await alice.send(
    agent.id,
    `exec python3 -c '
import ctypes, threading, time
def live():
    for step in range(10**6): print(step, flush=True); time.sleep(0.01)
threading.Thread(target=live).start()
ctypes.CDLL(None).pthread_exit(0)'`,
  );
  await alice.firstLine(run.id);
  await alice.ok<Run>("POST", `/v1/runs/${run.id}/cancel`);
  const left = (await berth.processes(await userIdOf(alice))).filter(({ command }) => command.includes("python3"));
  expect(left).toEqual([]);
});

/** A terminal of the agent that was told this line, and shows that. */
async function openTerminal(of: Agent, line: string, shows: RegExp): Promise<WebSocket> {
  const ws = new WebSocket(`${alice.url.replace("http", "ws")}/v1/agents/${of.id}/terminal`, ["berth.v1"], {
    headers: { authorization: `Bearer ${alice.token}` },
  });
  let screen = "";
  ws.on("message", (data: Buffer) => (screen += data.toString()));
  await once(ws, "open");
  ws.send(Buffer.from(`${line}\n`));
  await until(() => shows.test(screen) || ws.readyState !== ws.OPEN, `the terminal shows ${shows}`);
  expect(screen).toMatch(shows);
  return ws;
}
const openChained = (of: Agent) => openTerminal(of, startChains(of.id), /^chained/m);

test("no chain survives its terminal", async () => {
  const ws = await openChained(agent);
  ws.close();
  const ended = () => berth.host.log().includes("terminal.ended");
  await until(ended, "the terminal has ended");
  await expectNoStep();
});

test("no chain survives its agent", async () => {
  const doomed = await alice.createAgent("doomed", { runtime: "shell" });
  await openChained(doomed);
  await until(async () => (await stepsOf(berth, alice, doomed.id)) > 0n, "the chains go on");
  await alice.ok("DELETE", `/v1/agents/${doomed.id}`);
  await expectNoStep(doomed);
});

/** Of alice's container: lets it stand still, or go on. */
async function freezerOf(): Promise<(isFrozen: boolean) => void> {
  const userId = await userIdOf(alice);
  const [container] = (await berth.containers()).filter(({ Labels }) => Labels["berth.user"] === userId);
  const { Pid } = (await engine.getContainer(container!.Id).inspect()).State;
  const path = (name: string) =>
    new RegExp(`^\\d+:${name}:(.*)$`, "m").exec(readFileSync(`/proc/${Pid}/cgroup`, "utf8"))?.[1];
  const [file, on, off] = path("freezer")
    ? [`/sys/fs/cgroup/freezer${path("freezer")}/freezer.state`, "FROZEN", "THAWED"]
    : [`/sys/fs/cgroup${path("")}/cgroup.freeze`, "1", "0"];
  return (isFrozen) => writeFileSync(file, isFrozen ? on : off);
}

test("a container that a killed host agent left frozen goes on", async () => {
  const freeze = await freezerOf();
  await berth.host.kill("SIGKILL");
  freeze(true);
  await berth.host.start();
  expect((await alice.runToEnd(agent.id, "echo goes on")).run).toMatchObject({ result: "goes on\n" });
});

test("a terminal opens though its container stands still when it comes, as for the end of another", async () => {
  const freeze = await freezerOf();
  const before = berth.host.log().length;
  freeze(true);
  const opening = openTerminal(agent, "echo op''en", /^open/m);
  const tried = until(() => berth.host.log().slice(before).includes("exec.start_retry"), "a start was tried");
  await Promise.race([opening, tried]).finally(() => freeze(false));
  (await opening).close();
});

test("no chain survives its user, who is disabled", async () => {
  expect(await alice.run(neighbour.id)).toMatchObject({ status: "running" });
  await chained();
  const user = `/v1/admin/users/${await userIdOf(alice)}`;
  await admin.ok("PATCH", user, { disabled: true, cancelRuns: true });
  await admin.ok("PATCH", user, { disabled: false });
  await expectNoStep();
});

test("no process of a run survives its time limit, in whatever session, deaf or forking", async () => {
  await berth.host.kill("SIGTERM");
  await berth.host.start({ BERTH_RUN_TIMEOUT_SECONDS: "3" });
  const deaf = `trap "" TERM; while :; do sleep 1; done`;
  const tree = `setsid sh -c '${deaf}' & (setsid nohup sh -c '(${deaf}) & ${deaf}' >/dev/null 2>&1 &)`;
  const run = await chained(`${tree}; ${deaf}`);
  const { run: ended } = await alice.finish(run.id);
  expect(ended).toMatchObject({ status: "failed", reason: "timed_out" });
  const left = (await berth.processes(await userIdOf(alice))).filter(({ uid }) => uid >= 20_000);
  expect(left).toEqual([]);
  await expectNoStep();
});
