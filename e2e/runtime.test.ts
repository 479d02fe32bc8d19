import { chmodSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../gateway/test/wait.ts";
import type { Client } from "./harness/client.ts";
import { type Berth, startBerth } from "./harness/harness.ts";
import { type PrivateEngine, startPrivateEngine } from "./engines/private-engine.ts";
import { makeOwnDirectory } from "@berth/shared/node/own-directory";

/** An OCI runtime beside the engine's own: a program that writes down what it is asked for, and has runc do it. */
const name = "noted";
let dir: string;
let engine: PrivateEngine;
let berth: Berth;
let alice: Client;
beforeAll(async () => {
  dir = makeOwnDirectory("runtime");
  const program = join(dir, name);
  writeFileSync(program, `#!/bin/sh\necho "$@" >> ${dir}/asked\nexec runc "$@"\n`);
  chmodSync(program, 0o755);
  engine = await startPrivateEngine("berth-workspace", "--add-runtime", `${name}=${program}`);
  berth = await startBerth({ DOCKER_HOST: engine.host, BERTH_RUNTIME: name, BERTH_IDLE_SECONDS: "600" });
  alice = await berth.client("alice");
});
afterAll(async () => {
  await berth?.close();
  await engine?.close();
  rmSync(dir, { recursive: true });
});

const runtimeNow = async () => {
  const { containerId } = await alice.workspace();
  return (await engine.docker.getContainer(containerId!).inspect()).HostConfig.Runtime;
};

test("workspaces are made and entered by the runtime that BERTH_RUNTIME names", async () => {
  const agent = await alice.createAgent("a", { runtime: "shell" });
  expect((await alice.runToEnd(agent.id, "echo hi")).run).toMatchObject({ status: "completed", result: "hi\n" });
  expect(await runtimeNow()).toBe(name);
  expect(readFileSync(join(dir, "asked"), "utf8")).toMatch(/ create [^]* exec /);
});

test("a workspace of another runtime is made anew once nothing runs in it", async () => {
  const [agent] = (await alice.ok<{ items: { id: string }[] }>("GET", "/v1/agents")).items;
  const run = await alice.send(agent!.id, "echo up; exec sleep 600");
  await alice.firstLine(run.id);
  await berth.host.kill("SIGTERM");
  await berth.host.start({ BERTH_RUNTIME: "" });
  await until(() => berth.host.log().includes('"isOutdated":true'), "the container is adopted as an older one");
  expect(await runtimeNow()).toBe(name);
  await alice.call("POST", `/v1/runs/${run.id}/cancel`);
  await until(async () => (await alice.workspace()).status === "absent", "the older one is removed");
  expect((await alice.runToEnd(agent!.id, "echo hi")).run.status).toBe("completed");
  expect(await runtimeNow()).toBe("runc");
});

test("a runtime that the engine does not know stops the start with one sentence", async () => {
  await berth.host.kill("SIGTERM");
  await expect(berth.host.start({ BERTH_RUNTIME: "runsk" })).rejects.toThrow(
    /ended with 2: [^]*BERTH_RUNTIME is runsk, and the engine knows .*noted.*: add it to the engine's configuration/,
  );
});
