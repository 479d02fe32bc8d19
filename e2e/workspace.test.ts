import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Agent, Run, ServerFrame, Workspace } from "@berth/shared/resources";
import type { Client, Socket } from "./harness/client.ts";
import { pass, until } from "../gateway/test/wait.ts";
import { type Berth, engine, startBerth, userIdOf } from "./harness/harness.ts";

let berth: Berth;
let alice: Client;
let agent: Agent;
beforeAll(async () => {
  berth = await startBerth({
    BERTH_IDLE_SECONDS: "1",
    BERTH_POLL_SECONDS: "0.2",
    BERTH_MEMORY_BYTES: String(256 * 2 ** 20),
    BERTH_MEMORY_WARN_BYTES: "150000000",
    BERTH_RUN_MEMORY_BYTES: String(48 * 2 ** 20),
  });
  alice = await berth.client("alice");
  agent = await alice.createAgent("shell", { runtime: "shell" });
});
afterAll(() => berth?.close());

const containersOf = async (userId: string) =>
  (await berth.containers()).filter(({ Labels }) => Labels["berth.user"] === userId);
const isGone = async (client: Client) =>
  (await client.workspace()).status === "absent" && (await containersOf(await userIdOf(client))).length === 0;
/** While nothing happens, for longer than a workspace may be idle. */
async function idleTimeTwice(): Promise<void> {
  await pass(2000);
}
const workspacesIn = (frames: ServerFrame[]) =>
  frames.flatMap((frame) => (frame.type === "workspace" || frame.type === "hello" ? [frame.workspace] : []));

describe("a workspace", () => {
  test("is absent until it is needed, and creating an agent starts nothing", async () => {
    expect(await alice.workspace()).toMatchObject({
      status: "absent",
      containerId: null,
      activeRuns: 0,
      connections: 0,
    });
    expect(await berth.containers()).toEqual([]);
  });

  test("is one container when 20 first connections, runs and starts race", async () => {
    const user = await berth.client("racer");
    const agents = await Promise.all([1, 2, 3].map((at) => user.createAgent(`a${at}`, { runtime: "shell" })));
    const sockets = Promise.all(Array.from({ length: 10 }, () => user.connect()));
    const starts = Promise.all(Array.from({ length: 7 }, () => user.ok<Workspace>("POST", "/v1/workspace/start")));
    const runs = Promise.all(agents.map(({ id }) => user.runToEnd(id, "echo hi")));
    for (const { status } of await starts) expect(status).toBe("running");
    for (const { run } of await runs) expect(run.status).toBe("completed");
    const opened = await sockets;
    expect(await containersOf(await userIdOf(user))).toHaveLength(1);
    await until(async () => (await user.workspace()).connections === 10, "all ten connections count");
    await Promise.all(opened.map((socket) => socket.close()));
    await until(() => isGone(user), "the workspace is removed when idle");
  });

  test("has the shape that keeps agents in", async () => {
    const socket = await alice.connect();
    await alice.ok("POST", "/v1/workspace/start");
    const { containerId, startedAt } = await alice.workspace();
    const { HostConfig, Config, NetworkSettings, State } = await engine.getContainer(containerId!).inspect();
    expect(startedAt).toBe(new Date(State.StartedAt).toISOString());
    expect(HostConfig).toMatchObject({
      NetworkMode: "none",
      Init: true,
      ReadonlyRootfs: true,
      CapDrop: ["ALL"],
      SecurityOpt: ["no-new-privileges", expect.stringMatching(/^seccomp=\{"defaultAction":"SCMP_ACT_ERRNO"/)],
      Privileged: false,
      Memory: 268_435_456,
      MemorySwap: 268_435_456,
      NanoCpus: 1_000_000_000,
      PidsLimit: 512,
      OomScoreAdj: 500,
    });
    expect(Config.Labels).toMatchObject({ "berth.host": berth.hostId, "berth.user": await userIdOf(alice) });
    expect(Object.keys(NetworkSettings.Networks)).toEqual(["none"]);
    await socket.close();
  });

  test("stays while a quiet run goes on, is removed after it, and keeps the files", async () => {
    const run = await alice.send(agent.id, "echo kept > file; echo up; until [ -e over ]; do sleep 0.1; done");
    await alice.firstLine(run.id);
    const { containerId } = await alice.workspace();
    await idleTimeTwice();
    expect((await alice.workspace()).containerId).toBe(containerId);
    const home = join(berth.hostDir, "mnt", await userIdOf(alice), "workspace", `agent-${agent.id}`);
    writeFileSync(join(home, "over"), "");
    expect((await alice.finish(run.id)).run.status).toBe("completed");
    await until(() => isGone(alice), "it is removed when idle");
    expect((await alice.runToEnd(agent.id, "cat file")).run.result).toBe("kept\n");
    expect((await alice.workspace()).containerId).not.toBe(containerId);
  });

  test("never loses a run that comes while it is being removed", async () => {
    for (let round = 0; round < 12; round++) {
      expect((await alice.runToEnd(agent.id, "echo hi")).run).toMatchObject({ status: "completed" });
      // A moment after the idle time is over, at another point of the removal in each round.
      await pass(950 + round * 25);
    }
    expect((await containersOf(await userIdOf(alice))).length).toBeLessThanOrEqual(1);
  });

  test("is adopted by a host agent that starts anew, and still removed when idle", async () => {
    const socket = await alice.connect();
    const { containerId } = await until(async () => {
      const workspace = await alice.workspace();
      return workspace.status === "running" ? workspace : null;
    }, "it runs");
    await berth.host.kill();
    await socket.closed;
    await berth.host.start();
    const adopted = new RegExp(`"workspace.adopted".*"${containerId}"`);
    await until(() => adopted.test(berth.host.log()), "it is the same container");
    await until(() => isGone(alice), "it is removed when idle");
  });

  test("keeps the limits it was made with until nothing runs in it, says them, and has the new ones after", async () => {
    const limit = async () => (await alice.workspace()).memory.limitBytes;
    const run = await alice.send(agent.id, "sleep 1000");
    await until(async () => (await alice.run(run.id)).status === "running", "the run is running");
    await berth.host.kill();
    await berth.host.start({ BERTH_MEMORY_BYTES: String(320 * 2 ** 20) });
    await until(() => berth.host.log().includes('"isOutdated":true'), "the container is adopted as an older one");
    const socket = await alice.connect();
    expect([await limit(), (await alice.run(run.id)).status]).toEqual([256 * 2 ** 20, "running"]);
    await alice.call("POST", `/v1/runs/${run.id}/cancel`);
    await until(async () => (await alice.workspace()).status === "absent", "it goes though somebody is connected");
    expect((await alice.runToEnd(agent.id, "echo hi")).run.result).toBe("hi\n");
    expect(await limit()).toBe(320 * 2 ** 20);
    await socket.close();
    await berth.host.kill();
    await berth.host.start();
  });

  test("that somebody paused goes on", async () => {
    const run = await alice.send(agent.id, "for i in $(seq 20); do echo $i; sleep 0.05; done");
    await alice.firstLine(run.id);
    const [container] = await containersOf(await userIdOf(alice));
    await engine.getContainer(container!.Id).pause();
    expect((await alice.finish(run.id)).run).toMatchObject({ status: "completed", exitCode: 0 });
  });

  test("cannot start without its image, and says in one sentence what builds it", async () => {
    await until(() => isGone(alice), "it is removed when idle");
    const tag = `gone-${process.pid}`;
    const name = `berth-workspace:${tag}`;
    await engine.getImage("berth-workspace").tag({ repo: "berth-workspace", tag });
    await berth.host.kill();
    await berth.host.start({ BERTH_IMAGE: name });
    await engine.getImage(name).remove();
    const refused = await alice.call("POST", `/v1/agents/${agent.id}/runs`, { prompt: "echo hi" });
    expect(refused).toMatchObject({
      status: 503,
      body: { detail: `This host's engine has no image ${name}: npm start or npm run doctor builds it there.` },
    });
    const ready = () => alice.call<{ reason: string }>("GET", "/readyz");
    await until(async () => (await ready()).status === 503, "the gateway is not ready without a host that can");
    expect((await ready()).body.reason).toContain(`no image ${name}`);
    await berth.host.kill();
    await berth.host.start();
    expect((await alice.runToEnd(agent.id, "echo hi")).run.status).toBe("completed");
  });

  test("is stopped on demand with its runs, and starts again", async () => {
    const run = await alice.send(agent.id, "sleep 1000");
    expect(await alice.ok<Workspace>("POST", "/v1/workspace/stop")).toMatchObject({
      status: "absent",
      containerId: null,
      activeRuns: 0,
    });
    await until(async () => (await alice.run(run.id)).status === "cancelled", "the run's end is told");
    expect((await alice.ok<Workspace>("POST", "/v1/workspace/start")).status).toBe("running");
  });
});

describe("the socket", () => {
  test("says hello, tells samples, runs and output, and counts as presence", async () => {
    const socket = await alice.connect();
    const hello = await until(() => socket.frames[0], "hello comes");
    expect(hello).toMatchObject({ type: "hello", runs: [], workspace: { status: "running", connections: 1 } });
    const run = await alice.send(agent.id, "for i in 1 2 3; do echo $i; done");
    await until(
      () =>
        socket.frames.some((frame) => frame.type === "run" && frame.run.id === run.id && frame.run.endedAt !== null),
      "the end is told",
    );
    const outputs = socket.frames.flatMap((frame) =>
      frame.type === "output" && frame.runId === run.id ? [frame] : [],
    );
    expect(outputs.map(({ data, offset, agentId }) => [data, offset, agentId])).toEqual(
      [1, 2, 3].map((n) => [{ type: "line", text: String(n) }, n * 2, agent.id]),
    );
    await until(() => workspacesIn(socket.frames).filter(({ sampledAt }) => sampledAt).length > 3, "samples come");
    const { containerId } = await alice.workspace();
    await until(() => workspacesIn(socket.frames).at(-1)!.memory.usedBytes > 0, "memory is told");
    await idleTimeTwice();
    expect((await alice.workspace()).containerId).toBe(containerId);
    await socket.close();
    await until(() => isGone(alice), "it is removed when the last socket is gone");
  });

  test("gives a run in progress to whoever subscribes, from any offset, with nothing lost or doubled", async () => {
    const run = await alice.send(agent.id, "for i in $(seq 1 200); do echo $i; sleep 0.01; done");
    const seen: string[] = [];
    let after = 0;
    for (let round = 0; round < 4; round++) {
      const socket = await alice.connect();
      await until(() => socket.frames.length > 0, "hello comes");
      socket.ws.send(JSON.stringify({ type: "subscribe", runId: run.id, after }));
      // The end may be told before the lines that were asked for.
      const hasAll = ({ logBytes }: Run) =>
        logBytes === (socket.frames.findLast((frame) => frame.type === "output")?.offset ?? after);
      const isOver = () =>
        socket.frames.some((frame) => frame.type === "run" && frame.run.endedAt !== null && hasAll(frame.run));
      await until(
        () => socket.frames.filter(({ type }) => type === "output").length > 30 || isOver(),
        "some output comes",
      );
      if (round === 3) await until(isOver, "the end comes");
      socket.ws.terminate();
      for (const frame of socket.frames) {
        if (frame.type !== "output") continue;
        seen.push((frame.data as { text: string }).text);
        after = frame.offset;
      }
    }
    expect(seen).toEqual(Array.from({ length: 200 }, (_, at) => String(at + 1)));
  });

  test("answers a bad frame and another user's run with an error, and stays open", async () => {
    const mallory = await berth.client("mallory");
    const { run } = await alice.runToEnd(agent.id, "echo secret");
    const socket = await mallory.connect();
    for (const frame of [
      "{",
      JSON.stringify({ type: "subscribe", runId: run.id, after: 0 }),
      JSON.stringify({ type: "nonsense" }),
    ])
      socket.ws.send(frame);
    await until(() => socket.frames.filter(({ type }) => type === "error").length === 3, "three errors come");
    expect(socket.frames.flatMap((frame) => (frame.type === "error" ? [frame.code] : []))).toEqual([
      "invalid_request",
      "not_found",
      "invalid_request",
    ]);
    expect(JSON.stringify(socket.frames)).not.toContain("secret");
    await socket.close();
  });

  test("closes with 4001 within 10 s once its token is revoked, while runs go on", async () => {
    const made = await alice.ok<{ id: string; token: string }>("POST", "/v1/tokens", {
      name: "short",
      expiresInSeconds: 600,
    });
    const { connectClient } = await import("./harness/client.ts");
    const other = connectClient(berth.url, made.token);
    const socket = await other.connect();
    const run = await alice.send(agent.id, "sleep 60; echo done");
    const stream = other.events(run.id);
    expect((await stream.next()).value).toMatchObject({ event: "run" });
    await until(() => socket.frames.length > 0, "hello comes");
    const revoked = performance.now();
    await alice.ok("DELETE", `/v1/tokens/${made.id}`);
    const rest = (async () => {
      const events: string[] = [];
      for await (const { event } of stream) events.push(event);
      return events;
    })().catch(() => []);
    expect(await socket.closed).toBe(4001);
    expect(await rest).not.toContain("output");
    expect(performance.now() - revoked).toBeLessThan(10_000);
    expect((await alice.run(run.id)).endedAt).toBeNull();
    await alice.ok("POST", `/v1/runs/${run.id}/cancel`);
    expect((await alice.finish(run.id)).run.status).toBe("cancelled");
    expect((await other.call("GET", "/v1/me")).status).toBe(401);
  });

  test("closes a client that takes nothing for 20 s with 4008, and drops nothing", async () => {
    const slow = await alice.connect();
    await until(() => slow.frames.length > 0, "it says hello");
    const lines = 600;
    const script = `python3 -c 'for i in range(1, ${lines + 1}): print("x" * 100000 + str(i), flush=True)'`;
    const run = await alice.send(agent.id, script);
    const outputs = (socket: Socket) => socket.frames.filter((frame) => frame.type === "output");
    await until(() => outputs(slow).length > 0, "output comes");
    slow.ws.pause();
    await until(async () => (await alice.run(run.id)).endedAt, "there is more than all buffers on the way hold");
    await pass(25_000);
    slow.ws.resume();
    expect(await slow.closed).toBe(4008);
    const next = await alice.connect();
    const { offset: after } = outputs(slow).at(-1)!;
    next.ws.send(JSON.stringify({ type: "subscribe", runId: run.id, after }));
    await until(
      () =>
        next.frames.some((frame) => frame.type === "run" && frame.run.endedAt) &&
        outputs(slow).length + outputs(next).length >= lines,
      "all of it came",
    );
    const texts = [slow, next].flatMap(outputs).map(({ data }) => (data as { text: string }).text.replaceAll("x", ""));
    expect(texts).toEqual(Array.from({ length: lines }, (_, at) => String(at + 1)));
    await next.close();
  });

  test("closes with 1012 when the host agent ends, which leaves the run going", async () => {
    const run = await alice.send(agent.id, "sleep 2; echo done");
    const socket = await alice.connect();
    await until(() => socket.frames.length > 0, "hello comes");
    const code = berth.host.kill("SIGTERM");
    expect(await socket.closed).toBe(1012);
    expect(await code).toBe(0);
    await berth.host.start();
    expect((await alice.finish(run.id)).run).toMatchObject({ status: "completed", result: "done\n" });
  });
});

describe("memory", () => {
  test("above the mark is a warning, told once per crossing", async () => {
    const hold = "python3 -c 'import time; x = bytearray(170_000_000); time.sleep(600)'";
    const socket = await alice.connect();
    for (let crossing = 1; crossing <= 2; crossing++) {
      const run = await alice.send(agent.id, hold);
      await until(async () => (await alice.workspace()).memory.warning, "the warning is on");
      await alice.ok("POST", `/v1/runs/${run.id}/cancel`);
      await until(async () => !(await alice.workspace()).memory.warning, "the warning is off");
      const warnings = berth.host
        .log()
        .split("\n")
        .filter((line) => line.includes('"memory.warning"'));
      expect(warnings).toHaveLength(crossing);
    }
    expect(workspacesIn(socket.frames).some(({ memory }) => memory.warning && memory.usedBytes > 150_000_000)).toBe(
      true,
    );
    await socket.close();
  });

  test("that is not free lets no run begin beside another: it is refused with the reason, or waits with it", async () => {
    const hold = "python3 -c 'held = bytearray(200 << 20); print(1, flush=True); import time; time.sleep(600)'";
    const holding = await alice.send(agent.id, hold);
    await alice.firstLine(holding.id);
    const next = await alice.createAgent("next", { runtime: "shell" });
    const path = `/v1/agents/${next.id}/runs`;
    const refused = await alice.call("POST", path, { prompt: "echo hi" });
    expect(refused).toMatchObject({ status: 429, body: { code: "run_limit", waitsFor: "memory" } });
    const waiting = await alice.ok<Run>("POST", path, { prompt: "echo hi", ifBusy: "queue" });
    expect(waiting).toMatchObject({ status: "pending", waitingFor: { kind: "memory" } });
    await alice.ok("POST", `/v1/runs/${holding.id}/cancel`);
    expect((await alice.finish(waiting.id)).run).toMatchObject({ status: "completed", waitingFor: null });
    expect((await alice.runToEnd(agent.id, "tail -c 220M /dev/zero | wc -c")).run.result).toBe("230686720\n");
  });

  test("that runs out ends the run that took it, and leaves the others and the workspace alive", async () => {
    const neighbour = await alice.createAgent("neighbour", { runtime: "shell" });
    const counting = await alice.send(neighbour.id, "for i in $(seq 1 40); do echo $i; sleep 0.05; done");
    const { run } = await alice.runToEnd(agent.id, "tail /dev/zero");
    expect(run).toMatchObject({ status: "failed", reason: "out_of_memory", oomKills: 1 });
    const survived = await alice.runToEnd(agent.id, "tail /dev/zero; echo survived");
    expect(survived.run).toMatchObject({ status: "completed", oomKills: 1, result: "survived\n" });
    expect((await alice.finish(counting.id)).run).toMatchObject({ status: "completed", oomKills: 0 });
  });
});

describe("the gateway's copy", () => {
  test("is complete again after it was away and came back with an older database", async () => {
    const { copyFileSync, rmSync } = await import("node:fs");
    const file = `${berth.dir}/${(await import("node:fs")).readdirSync(berth.dir).find((name) => /gateway.*\.(db|sqlite)$/.test(name))!}`;
    await berth.gateway.kill("SIGTERM");
    copyFileSync(file, `${file}.old`);
    await berth.gateway.start();
    const run: Run = (await alice.runToEnd(agent.id, "echo after the copy")).run;
    await berth.gateway.kill();
    for (const suffix of ["-wal", "-shm"]) rmSync(file + suffix, { force: true });
    copyFileSync(`${file}.old`, file);
    await berth.gateway.start();
    expect(
      await until(async () => {
        const answer = await alice.call<Run>("GET", `/v1/runs/${run.id}`);
        return answer.status === 200 ? answer.body : null;
      }, "the run is told again"),
    ).toEqual(run);
  });
});

test("of a run's standard error the last MiB is told, and 4 KiB with the run", async () => {
  const { run } = await alice.runToEnd(agent.id, "seq 200000 >&2; echo end >&2; exit 1");
  expect(run).toMatchObject({ reason: "nonzero_exit", exitCode: 1 });
  const told = (await alice.call<string>("GET", `/v1/runs/${run.id}/stderr`)).body;
  for (const [text, bytes] of [
    [told, 2 ** 20],
    [run.stderrTail!, 4096],
  ] as const)
    expect([text.length, text.slice(-11)]).toEqual([bytes, "200000\nend\n"]);
});
