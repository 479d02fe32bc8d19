import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Agent, Workspace } from "@berth/shared/resources";
import { type Client, connectClient, textOf } from "./harness/client.ts";
import { until } from "../gateway/test/wait.ts";
import { type Berth, startBerth } from "./harness/harness.ts";
import { type PrivateEngine, startPrivateEngine } from "./engines/private-engine.ts";
import { makeOwnDirectory } from "@berth/shared/node/own-directory";

let engine: PrivateEngine;
let berth: Berth;
let alice: Client;
let agent: Agent;
beforeAll(async () => {
  engine = await startPrivateEngine("berth-workspace", "--live-restore");
  berth = await startBerth({ DOCKER_HOST: engine.host, BERTH_IDLE_SECONDS: "600" });
  alice = await berth.client("alice");
  agent = await alice.createAgent("shell", { runtime: "shell" });
});
afterAll(async () => {
  await berth?.close();
  await engine?.close();
});

const counting = "for i in $(seq 1 400); do echo $i; sleep 0.01; done; exit 6";
const start = async (script = counting) => {
  const run = await alice.send(agent.id, script);
  await until(async () => (await alice.run(run.id)).status === "running", "the run is running");
  return run;
};

test("a run goes on through a restart of an engine with live-restore", async () => {
  const run = await start();
  await engine.end("SIGTERM");
  await engine.start("--live-restore");
  const { lines, run: ended } = await alice.finish(run.id);
  expect(lines.map(textOf)).toEqual(Array.from({ length: 400 }, (_, at) => String(at + 1)));
  expect(ended).toMatchObject({ reason: "nonzero_exit", exitCode: 6 });
});

test("a run goes on through the death of an engine with live-restore, with the host agent killed meanwhile", async () => {
  const run = await start();
  await engine.end("SIGKILL");
  await berth.host.kill();
  await engine.start("--live-restore");
  await berth.host.start();
  const { lines, run: ended } = await alice.finish(run.id);
  expect(lines).toHaveLength(400);
  expect(ended).toMatchObject({ reason: "nonzero_exit", exitCode: 6 });
});

test("a message works again after an engine was away, and is refused with a sentence while it is", async () => {
  await alice.ok("POST", "/v1/workspace/stop");
  await engine.end("SIGTERM");
  const refused = await alice.call("POST", `/v1/agents/${agent.id}/runs`, { prompt: "echo hi" });
  expect(refused).toMatchObject({ status: 503, body: { code: "host_unavailable" } });
  expect(refused.headers.get("retry-after")).toMatch(/^\d+$/);
  await engine.start("--live-restore");
  expect((await alice.runToEnd(agent.id, "echo hi")).run).toMatchObject({ status: "completed", result: "hi\n" });
});

test("a hanging engine lengthens no token's life, and a workspace that it did not remove goes on", async () => {
  const idle = await startBerth({ DOCKER_HOST: engine.host, BERTH_IDLE_SECONDS: "1" });
  try {
    const [bob, carol] = [await idle.client("bob"), await idle.client("carol")];
    const workspace = () => bob.ok<Workspace>("GET", "/v1/workspace");
    const [his, hers] = await Promise.all([bob.connect(), carol.connect()]);
    const { containerId } = await bob.ok<Workspace>("POST", "/v1/workspace/start");
    await carol.ok("POST", "/v1/workspace/start");
    const socket = await connectClient(idle.url, idle.cli("token", "carol", "--ttl", "10s")).connect();
    engine.signal("SIGSTOP");
    await his.close();
    await until(async () => (await workspace()).status === "stopping", "the host asks the engine to remove it");
    expect(await socket.closed).toBe(4001);
    expect(idle.host.log()).not.toContain("workspace.remove_failed");
    const back = await bob.connect();
    await until(() => idle.host.log().includes("workspace.remove_failed"), "the host gives up");
    engine.signal("SIGCONT");
    await until(async () => (await workspace()).status === "running", "it runs still");
    expect((await workspace()).containerId).toBe(containerId);
    await Promise.all([back.close(), hers.close()]);
  } finally {
    engine.signal("SIGCONT");
    await idle.close();
  }
});

test("a run ends as container_lost when an engine without live-restore takes its container along, and the next message works", async () => {
  await alice.ok("POST", "/v1/workspace/stop");
  await engine.end("SIGTERM");
  await engine.start();
  const run = await start("for ((i = 1; ; i++)); do echo $i; sleep 0.01; done");
  await engine.end("SIGTERM");
  await engine.start();
  const { lines, run: ended } = await alice.finish(run.id);
  expect(ended).toMatchObject({ status: "failed", reason: "container_lost" });
  expect(lines.map(textOf)).toEqual(Array.from({ length: lines.length }, (_, at) => String(at + 1)));
  expect((await alice.runToEnd(agent.id, "echo again")).run).toMatchObject({ status: "completed", result: "again\n" });
});

test("an engine killed while it starts a container leaves no process of it once the user's workspace was used and closed", async () => {
  for (let round = 0; round < 2; round++) {
    await alice.ok("POST", "/v1/workspace/stop");
    const asked = alice.call("POST", "/v1/workspace/start");
    await until(async () => (await engine.docker.listContainers({ all: true })).length > 0, "the container is made");
    await until(() => engine.processes().length > 0, "its first process is there");
    await engine.end("SIGKILL");
    await asked;
    await engine.start("--live-restore");
    expect((await alice.runToEnd(agent.id, "echo here")).run).toMatchObject({ status: "completed", result: "here\n" });
  }
  await alice.ok("POST", "/v1/workspace/stop");
  await until(() => engine.processes().length === 0, "no process is left").catch(() => undefined);
  expect(engine.processes()).toEqual([]);
});

test("a container that this machine cannot bound runs nothing of an agent, and says why until it can", async () => {
  const bin = makeOwnDirectory("bin");
  const mount = join(bin, "mount");
  const script = `#!/bin/sh\ncase $1 in -N) echo "no such option" >&2; exit 3;; esac\nexec /bin/mount "$@"\n`;
  writeFileSync(mount, script, { mode: 0o755 });
  const other = await startBerth({ PATH: `${bin}:${process.env["PATH"]}`, BERTH_IDLE_SECONDS: "600" });
  try {
    const bob = await other.client("bob");
    const { id } = await bob.createAgent("shell", { runtime: "shell" });
    await bob.call("POST", "/v1/workspace/start");
    const state = await until(async () => {
      const workspace = await bob.workspace();
      return workspace.status === "failed" ? workspace : null;
    }, "it is told as failed");
    expect(state.reason).toContain("mount ended with 3: no such option");
    const refused = await bob.call("POST", `/v1/agents/${id}/runs`, { prompt: "echo ran" });
    expect(refused).toMatchObject({ status: 503, body: { code: "host_unavailable" } });
    expect(refused.body).toMatchObject({ detail: expect.stringContaining("mount ended with 3: no such option") });
    rmSync(mount);
    expect((await bob.runToEnd(id, "echo ran")).run.result).toBe("ran\n");
  } finally {
    await other.close();
    rmSync(bin, { recursive: true, force: true });
  }
});
