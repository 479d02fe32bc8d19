/** A container that is full of processes: nothing can be started in it for as long. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Agent } from "@berth/shared/resources";
import type { Client } from "./client.ts";
import { type Berth, startBerth, until } from "./harness.ts";

let berth: Berth;
let alice: Client;
let agents: Agent[];
beforeAll(async () => {
  berth = await startBerth({ BERTH_IDLE_SECONDS: "600", BERTH_PIDS: "40" });
  alice = await berth.client("alice");
  agents = await Promise.all(["one", "two", "late"].map((name) => alice.createAgent(name, { runtime: "shell" })));
});
afterAll(() => berth?.close());

/** Takes every process that it may have, says so, and lets go after that many seconds. */
const hog = (seconds: number) => `exec python3 -c '
import os, time
try:
    while True:
        if os.fork() == 0: time.sleep(1000)
except OSError: print("full", flush=True)
time.sleep(${seconds})'`;

async function fill(seconds: number): Promise<string[]> {
  const runs = [];
  for (const { id } of agents.slice(0, 2)) {
    const run = await alice.send(id, hog(seconds));
    for await (const { event } of alice.events(run.id)) if (event === "output") break;
    runs.push(run.id);
  }
  return runs;
}

test("a run that cannot be started for want of processes starts once there are some, and runs once", async () => {
  await fill(4);
  const late = await alice.send(agents[2]!.id, "echo run >> starts; cat starts");
  await until(() => /"run.start_retry".*/.test(berth.host.log()), "the engine could not start it");
  expect((await alice.finish(late.id)).run).toMatchObject({ reason: "completed", result: "run\n" });
});

test("a run that could not be started for a minute says so with the exit code of a command that was not run", async () => {
  const runs = await fill(600);
  const late = await alice.send(agents[2]!.id, "echo never");
  expect((await alice.finish(late.id)).run).toMatchObject({ reason: "nonzero_exit", exitCode: 126, result: "" });
  for (const id of runs) await alice.ok("POST", `/v1/runs/${id}/cancel`);
  expect((await alice.runToEnd(agents[2]!.id, "echo again")).run.result).toBe("again\n");
});
