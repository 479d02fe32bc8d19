import { execFileSync } from "node:child_process";
import { existsSync, renameSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { Agent, Run } from "@berth/shared/resources";
import { type Client, textOf } from "./harness/client.ts";
import { openWire } from "./harness/wire.ts";
import { until } from "../gateway/test/wait.ts";
import { type Berth, engine, startBerth, userIdOf } from "./harness/harness.ts";
import { unmountBelow } from "./harness/traces.ts";

let berth: Berth;
let alice: Client;
let agent: Agent;
beforeAll(async () => {
  berth = await startBerth({ BERTH_IDLE_SECONDS: "600", BERTH_DISK_BYTES: String(2 ** 31) });
  alice = await berth.client("alice");
  agent = await alice.createAgent("shell", { runtime: "shell" });
});
afterAll(() => berth?.close());

const numbers = (count: number) => Array.from({ length: count }, (_, at) => String(at + 1));
/** A file in the agent's directory, as the machine sees it. */
const inHome = (userId: string, name: string) =>
  join(berth.hostDir, "mnt", userId, "workspace", `agent-${agent.id}`, name);
const hasProcesses = async (userId: string) => (await berth.processes(userId)).some(({ uid }) => uid >= 20_000);

describe("a run whose keepers are killed", () => {
  test("goes on while host agent and gateway are killed, and its reader has every line exactly once", async () => {
    const script = "for ((i = 1; ; i++)); do echo $i; [ -e over ] && break; sleep 0.003; done; exit 5";
    const run = await alice.send(agent.id, script);
    const finished = alice.finish(run.id);
    for (const daemon of [berth.host, berth.gateway, berth.host, berth.gateway]) {
      const before = (
        await until(
          async () => (await alice.call<Run>("GET", `/v1/runs/${run.id}`).catch(() => null))?.body,
          "the gateway answers",
        )
      ).status;
      expect(["starting", "running"]).toContain(before);
      await daemon.kill();
      await daemon.start();
    }
    writeFileSync(inHome(await userIdOf(alice), "over"), "");
    const { lines, run: ended } = await finished;
    expect(lines.map(textOf)).toEqual(numbers(lines.length));
    expect(ended).toMatchObject({ status: "failed", reason: "nonzero_exit", exitCode: 5 });
  });

  test("ends while the host agent is down, and the true end is told after its start", async () => {
    const userId = await userIdOf(alice);
    const run = await alice.send(agent.id, "until [ -e down ]; do sleep 0.1; done; echo done; exit 4");
    await until(async () => (await alice.run(run.id)).status === "running", "the run is running");
    await berth.host.kill();
    writeFileSync(inHome(userId, "down"), "");
    await until(async () => !(await hasProcesses(userId)), "the run's processes are gone");
    await berth.host.start();
    expect((await alice.finish(run.id)).run).toMatchObject({ status: "failed", exitCode: 4, result: "done\n" });
  });

  test("never starts again, though its volume has lost the traces of its start", async () => {
    const userId = await userIdOf(alice);
    const run = await alice.send(agent.id, "echo run >> starts; echo up; exec sleep 1000");
    await alice.firstLine(run.id);
    await until(async () => (await alice.run(run.id)).status === "running", "the run is running");
    await berth.host.kill();
    const [container] = (await berth.containers()).filter(({ Labels }) => Labels["berth.user"] === userId);
    await engine.getContainer(container!.Id).remove({ force: true });
    // As when a volume is mended whose last writes a full disk did not take.
    const files = join(berth.hostDir, "mnt", userId, "runs", run.id);
    execFileSync("chattr", ["-R", "-a", "-i", files]);
    rmSync(files, { recursive: true });
    await berth.host.start();
    expect((await alice.finish(run.id)).run).toMatchObject({ status: "failed", reason: "container_lost" });
    expect((await alice.runToEnd(agent.id, "wc -l < starts")).run.result).toBe("1\n");
  });

  test("keeps its exit code when it ends while the host agent is down and its container goes as well", async () => {
    const userId = await userIdOf(alice);
    const run = await alice.send(agent.id, "until [ -e gone ]; do sleep 0.1; done; echo all done");
    await until(async () => (await alice.run(run.id)).status === "running", "the run is running");
    await berth.host.kill();
    writeFileSync(inHome(userId, "gone"), "");
    await until(async () => !(await hasProcesses(userId)), "the run's processes are gone");
    const [container] = (await berth.containers()).filter(({ Labels }) => Labels["berth.user"] === userId);
    await engine.getContainer(container!.Id).remove({ force: true });
    await berth.host.start();
    const { run: ended } = await alice.finish(run.id);
    expect(ended).toMatchObject({ status: "completed", reason: "completed", exitCode: 0, result: "all done\n" });
  });

  test("is not told as lost, and has none beside it, while the engine cannot say whether its container is there", async () => {
    const userId = await userIdOf(alice);
    const run = await alice.send(agent.id, "rm -f over; until [ -e over ]; do echo tick; sleep 0.1; done; exit 3");
    await alice.firstLine(run.id);
    await berth.host.kill();
    await berth.host.start({ CRASH_AT: "inspectContainer:fails" }, join(import.meta.dirname, "hosts/crashing-host.ts"));
    await until(() => berth.host.log().includes("adopt.failed"), "the container could not be looked at");
    const beside = await alice.call("POST", `/v1/agents/${agent.id}/runs`, { prompt: "echo beside" });
    expect(beside).toMatchObject({ status: 409, body: { code: "agent_busy" } });
    expect((await alice.run(run.id)).status).toBe("running");
    await berth.host.kill();
    await berth.host.start();
    writeFileSync(inHome(userId, "over"), "");
    expect((await alice.finish(run.id)).run).toMatchObject({ status: "failed", reason: "nonzero_exit", exitCode: 3 });
  });

  test("is cancelled after a restart as before it", async () => {
    const run = await alice.send(agent.id, "sleep 1000");
    await until(async () => (await alice.run(run.id)).status === "running", "the run is running");
    await berth.host.kill();
    await berth.host.start();
    await until(
      async () => (await alice.call("POST", `/v1/runs/${run.id}/cancel`)).status === 200,
      "the cancel arrives",
    );
    expect((await alice.run(run.id)).status).toBe("cancelled");
  });

  test("resolves to the same run, which ran once, for a caller who repeats the key after each crash of the host agent", async () => {
    const steps = [
      "createContainer:before",
      "createContainer:after",
      "startContainer:after",
      "createExec:before",
      "createExec:after",
      "startExec:before",
      "startExec:after",
    ];
    for (const step of steps) {
      const user = await berth.client(`crash-${step.replace(":", "-")}`);
      const mine = await user.createAgent("once", { runtime: "shell" });
      await berth.host.kill();
      await berth.host.start({ CRASH_AT: step }, join(import.meta.dirname, "hosts/crashing-host.ts"));
      const send = () =>
        user.call<Run>(
          "POST",
          `/v1/agents/${mine.id}/runs`,
          { prompt: "echo run >> times; wc -l < times" },
          { "idempotency-key": step },
        );
      const first = send();
      await berth.host.ended();
      await first;
      await berth.host.start();
      const again = await until(async () => {
        const answer = await send();
        return answer.status === 202 ? answer.body : null;
      }, `the repeated call is accepted after ${step}`);
      const { lines, run } = await user.finish(again.id);
      expect([step, lines.map(textOf), run.status]).toEqual([step, ["1"], "completed"]);
      expect((await send()).body.id).toBe(again.id);
      const counted = await user.runToEnd(mine.id, "wc -l < times");
      expect([step, counted.run.result]).toEqual([step, "1\n"]);
    }
  });
});

test("a host whose reports do not get through tells the end of a run to whoever asks for it by id or key", async () => {
  const wire = await openWire();
  const other = await startBerth({ BERTH_GATEWAY_URL: wire.url }, (all) => wire.relayTo(Number(all["BERTH_PORT"])));
  try {
    const client = await other.client("alice");
    const mine = await client.createAgent("a", { runtime: "shell" });
    wire.onRequest = () => new Promise(() => undefined);
    const key = { "idempotency-key": "k" };
    const send = () => client.call<Run>("POST", `/v1/agents/${mine.id}/runs`, { prompt: "echo hi" }, key);
    const { id } = (await send()).body;
    const { run: told } = await client.finish(id);
    expect(told).toMatchObject({ status: "completed", result: "hi\n" });
    const known = () => client.ok<Run>("GET", `/v1/runs/${id}`);
    await until(async () => (await known()).status === "completed", "the API knows what its reader was told");
    expect(await known()).toEqual(told);
    expect((await send()).body).toEqual(told);
  } finally {
    wire.close();
    await other.close();
  }
});

describe("a gateway that dies in the middle of a call", () => {
  test.each(["before the host was asked", "after the host answered, before that was recorded"])(
    "%s finds the same run when the call is repeated",
    async (moment) => {
      const wire = await openWire();
      const other = await startBerth({ BERTH_HOST_URL: wire.url }, (settings) =>
        wire.relayTo(Number(settings["BERTH_HOST_PORT"])),
      );
      try {
        const client = await other.client("alice");
        const mine = await client.createAgent("once", { runtime: "shell" });
        const die = async (what: string) => {
          if (what === "POST /v1/runs") await other.gateway.kill();
        };
        if (moment.startsWith("before")) wire.onRequest = die;
        else wire.onAnswer = die;
        const send = () =>
          client.call<Run>(
            "POST",
            `/v1/agents/${mine.id}/runs`,
            { prompt: "echo run >> times; wc -l < times" },
            { "idempotency-key": "k" },
          );
        await expect(send()).rejects.toThrow();
        wire.onRequest = wire.onAnswer = () => undefined;
        await other.gateway.start();
        const again = await until(async () => {
          const answer = await send();
          return answer.status === 202 ? answer.body : null;
        }, "the repeated call is accepted");
        expect((await client.finish(again.id)).run).toMatchObject({ status: "completed", result: "1\n" });
        expect((await client.ok<{ items: Run[] }>("GET", "/v1/runs")).items.map(({ id }) => id)).toEqual([again.id]);
      } finally {
        wire.close();
        await other.close();
      }
    },
  );
});

describe("a container that goes away", () => {
  test("ends its runs as container_lost, and the next message works", async () => {
    const run = await alice.send(agent.id, "echo up; sleep 1000");
    await alice.firstLine(run.id);
    const { containerId } = await alice.workspace();
    await engine.getContainer(containerId!).remove({ force: true });
    expect((await alice.finish(run.id)).run).toMatchObject({
      status: "failed",
      reason: "container_lost",
      result: "up\n",
    });
    expect((await alice.runToEnd(agent.id, "cat times 2>/dev/null; echo files stay")).run.result).toContain(
      "files stay\n",
    );
    const userId = await userIdOf(alice);
    expect((await berth.containers()).filter(({ Labels }) => Labels["berth.user"] === userId)).toHaveLength(1);
  });

  test("outranks the exit code that its end gave the run", async () => {
    const run = await alice.send(agent.id, "echo up; sleep 1000");
    await until(async () => (await alice.run(run.id)).status === "running", "the run is running");
    await engine.getContainer((await alice.workspace()).containerId!).stop({ t: 1 });
    expect((await alice.finish(run.id)).run).toMatchObject({ reason: "container_lost" });
  });

  test("ends when its forwarder ends", async () => {
    const run = await alice.send(agent.id, "echo up; sleep 1000");
    await until(async () => (await alice.run(run.id)).status === "running", "the run is running");
    const forwarder = (await berth.processes(await userIdOf(alice))).find(
      ({ uid, command }) => uid === 19_999 && command.includes("haproxy -db"),
    );
    process.kill(forwarder!.pid, "SIGKILL");
    expect((await alice.finish(run.id)).run.reason).toBe("container_lost");
  });
});

/** Puts something else in the place of a stopped host's volume; the answer puts it back. */
function spoilVolume(userId: string): () => void {
  const image = join(berth.hostDir, "volumes", `${userId}.img`);
  unmountBelow(join(berth.hostDir, "mnt"), userId);
  renameSync(image, `${image}.kept`);
  writeFileSync(image, "no file system");
  truncateSync(image, statSync(`${image}.kept`).size);
  return () => renameSync(`${image}.kept`, image);
}

describe("a volume that cannot be mounted", () => {
  test("is said to its user, ends nothing of anybody else's, and is read to its end once it is back", async () => {
    const userId = await userIdOf(alice);
    const { run } = await alice.runToEnd(agent.id, "seq 5");
    await alice.ok("POST", "/v1/workspace/stop");
    await berth.host.kill();
    const restore = spoilVolume(userId);
    await berth.host.start();
    const socket = await alice.connect();
    socket.ws.send(JSON.stringify({ type: "subscribe", runId: run.id, after: 0 }));
    const errors = () => socket.frames.filter((frame) => frame.type === "error");
    await until(() => errors().length >= 2, "workspace and run are refused");
    expect(errors().map(({ code }) => code)).toEqual(["host_unavailable", "host_unavailable"]);
    const refused = await alice.call("POST", `/v1/agents/${agent.id}/runs`, { prompt: "echo" });
    expect(refused).toMatchObject({ status: 503, body: { code: "host_unavailable" } });
    const bob = await berth.client("bob");
    const his = await bob.createAgent("shell", { runtime: "shell" });
    expect((await bob.runToEnd(his.id, "echo here")).run.result).toBe("here\n");
    await socket.close();

    await berth.host.kill();
    restore();
    await berth.host.start();
    expect((await alice.finish(run.id)).lines.map(textOf)).toEqual(numbers(5));
    expect((await alice.runToEnd(agent.id, "echo again")).run.result).toBe("again\n");
  });
});

describe("a run that is older than the retention", () => {
  test("goes with its files, also where only an earlier database knew it; a volume that cannot be mounted holds nothing up", async () => {
    const carol = await berth.client("carol");
    const hers = await carol.createAgent("shell", { runtime: "shell" });
    const runOf = async (client: Client, { id }: Agent) => (await client.runToEnd(id, "seq 5")).run.id;
    const stuck = await runOf(alice, agent);
    const [old, unknown, young] = [await runOf(carol, hers), await runOf(carol, hers), await runOf(carol, hers)];
    await alice.ok("POST", "/v1/workspace/stop");
    await berth.host.kill();
    const restore = spoilVolume(await userIdOf(alice));
    const longAgo = new Date(Date.now() - 31 * 86_400_000);
    const filesOf = async (runId: string) => join(berth.hostDir, "mnt", await userIdOf(carol), "runs", runId);
    utimesSync(await filesOf(unknown), longAgo, longAgo);
    const database = new Database(join(berth.hostDir, "host.db"));
    const known = () => database.prepare("SELECT id FROM runs").pluck().all();
    database.prepare("UPDATE runs SET ended_at = ? WHERE id IN (?, ?)").run(longAgo.toISOString(), old, stuck);
    database.prepare("DELETE FROM runs WHERE id = ?").run(unknown);
    await berth.host.start();
    for (const id of [old, unknown]) {
      const files = await filesOf(id);
      await until(() => !existsSync(files), "the old run's files are gone");
    }
    expect(known()).not.toContain(old);
    expect(known()).toContain(stuck);
    expect((await carol.finish(young)).lines.map(textOf)).toEqual(numbers(5));
    await berth.host.kill();
    restore();
    await berth.host.start();
    await until(() => !known().includes(stuck), "what was held back goes too");
    database.close();
    expect((await alice.runToEnd(agent.id, "echo again")).run.result).toBe("again\n");
  });
});

describe("a long log", () => {
  test("of 100,000 lines and one of 8 MB arrives whole at five readers while the host agent is killed twice, in little memory", async () => {
    const run = await alice.send(
      agent.id,
      "seq 1 50000; sleep 1; head -c 8000000 /dev/zero | tr '\\0' x; echo; sleep 1; seq 50001 100000; sleep 1; echo end",
    );
    const stalled = new AbortController();
    // Takes the head of the answer and none of its body.
    const stall = () =>
      fetch(`${berth.url}/v1/runs/${run.id}/events`, {
        headers: { authorization: `Bearer ${alice.token}` },
        signal: stalled.signal,
      }).catch(() => undefined);
    const stalls = [stall()];
    const readers = Array.from({ length: 5 }, () => alice.finish(run.id));
    let position = 0;
    const scout = (async () => {
      for await (const event of alice.followRun(run.id)) position = Number(event.id ?? position);
    })();
    let peak = 0;
    const watch = setInterval(() => {
      for (const daemon of [berth.host, berth.gateway]) {
        try {
          peak = Math.max(peak, daemon.memoryBytes());
        } catch {
          // it is being restarted
        }
      }
    }, 50);
    onTestFinished(() => clearInterval(watch));
    for (const moment of [100_000, 8_300_000]) {
      await until(() => position > moment, `${moment} bytes have come`);
      await berth.host.kill();
      await berth.host.start();
      stalls.push(stall());
    }
    const expected = [...numbers(50_000), "x".repeat(8_000_000), ...numbers(100_000).slice(50_000), "end"];
    for (const { lines } of await Promise.all(readers)) {
      expect(lines.length).toBe(expected.length);
      expect(lines.every((line, at) => textOf(line) === expected[at])).toBe(true);
    }
    await scout;
    clearInterval(watch);
    // The last one is still open: the log that it does not take has gone past it.
    expect((await stalls.at(-1))?.status).toBe(200);
    stalled.abort();
    await Promise.all(stalls);
    expect(peak).toBeLessThan(150 * 2 ** 20);
  });
});
