/** A container that is full of processes: nothing can be started in it for as long. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Agent } from "@berth/shared/resources";
import type { Client } from "./harness/client.ts";
import { until } from "../gateway/test/wait.ts";
import { type Berth, engine, startBerth } from "./harness/harness.ts";

const full = 40;

let berth: Berth;
let alice: Client;
let late: Agent;
let hogs: string[];
beforeAll(async () => {
  berth = await startBerth({ BERTH_IDLE_SECONDS: "600", BERTH_PIDS: String(full) });
  alice = await berth.client("alice");
  late = await alice.createAgent("late", { runtime: "shell" });
  hogs = [await startHog("one"), await startHog("two")];
});
afterAll(() => berth?.close());

/** Takes every process that its agent may have, which is less than two agents find; says so once there is none left. */
const hog = `exec python3 -c '
import os, time
told = False
while True:
    try:
        if os.fork() == 0: time.sleep(1000)
    except OSError:
        if not told: print("full", flush=True)
        told = True
        time.sleep(0.05)'`;

async function startHog(name: string): Promise<string> {
  const agent = await alice.createAgent(name, { runtime: "shell" });
  const run = await alice.send(agent.id, hog);
  await alice.firstLine(run.id);
  return run.id;
}

/** How many processes the container may have: what is there stays, and who waits for one finds either none or all. */
async function allow(processes: number): Promise<void> {
  for (const { Id } of await berth.containers()) await engine.getContainer(Id).update({ PidsLimit: processes });
}

test("a run that cannot be started for want of processes starts once there are some, and runs once", async () => {
  const run = await alice.send(late.id, "echo run >> starts; cat starts");
  // The engine cannot start it, or starts the wrapper, which can start nothing.
  const hasBegun = async () => (await alice.run(run.id)).status === "running";
  await until(async () => berth.host.log().includes("run.start_retry") || (await hasBegun()), "a start was tried");
  await allow(10 * full);
  expect((await alice.finish(run.id)).run).toMatchObject({ reason: "completed", result: "run\n" });
});

test("a run that could not be started at all says so with the exit code of a command that was not run", async () => {
  await allow(full);
  const run = await alice.send(late.id, "echo never");
  expect((await alice.finish(run.id)).run).toMatchObject({ reason: "nonzero_exit", exitCode: 126, result: "" });
  for (const id of hogs) await alice.ok("POST", `/v1/runs/${id}/cancel`);
  expect((await alice.runToEnd(late.id, "echo again")).run.result).toBe("again\n");
});
