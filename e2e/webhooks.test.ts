import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Run } from "@berth/shared/resources";
import { type Client, textOf } from "./harness/client.ts";
import { until } from "../gateway/test/wait.ts";
import { type Berth, startBerth } from "./harness/harness.ts";
import { type Accepted, createTrigger, type Trigger } from "./harness/sender.ts";

let berth: Berth;
beforeAll(async () => {
  berth = await startBerth({ BERTH_IDLE_SECONDS: "600" });
});
afterAll(() => berth?.close());

async function deliver({ id, secret }: Trigger, body: BodyInit, more: Record<string, string> = {}): Promise<Accepted> {
  const answer = await fetch(`${berth.url}/hooks/${id}`, {
    method: "POST",
    body,
    headers: { authorization: `Bearer ${secret}`, ...more },
  });
  return { status: answer.status, ...((await answer.json()) as Omit<Accepted, "status">) };
}

async function userWithAgent(name: string) {
  const client = await berth.client(name);
  return { client, agent: await client.createAgent("shell", { runtime: "shell" }) };
}
const isEnded = async (client: Client, runId: string) => (await client.run(runId)).endedAt !== null;

describe("a webhook", () => {
  test("starts a run, with the bytes that came in a file", async () => {
    const { client, agent } = await userWithAgent("bytes");
    const trigger = await createTrigger(
      client,
      agent,
      'sha256sum < "$BERTH_PAYLOAD_FILE"; ls -l "$BERTH_PAYLOAD_FILE" | cut -c1-10; echo {{headers.x-kind}}',
    );
    const bytes = Uint8Array.from({ length: 262_144 }, (_, at) => (at * 7 + (at >> 8)) % 256);
    const { status, runId } = await deliver(trigger, bytes, { "x-kind": "binary" });
    expect(status).toBe(202);
    const { lines, run } = await client.finish(runId);
    expect(lines.map(textOf)).toEqual([
      `${createHash("sha256").update(bytes).digest("hex")}  -`,
      "-r--------",
      "binary",
    ]);
    expect(run).toMatchObject({ status: "completed", trigger: { kind: "webhook", triggerId: trigger.id } });
  });

  test("starts a run even with an empty body, and a message of the API has no such file", async () => {
    const { client, agent } = await userWithAgent("empty");
    const trigger = await createTrigger(client, agent, 'wc -c < "$BERTH_PAYLOAD_FILE"');
    expect((await client.finish((await deliver(trigger, "")).runId)).lines.map(textOf)).toEqual(["0"]);
    expect((await client.runToEnd(agent.id, "echo [${BERTH_PAYLOAD_FILE-none}]")).run.result).toBe("[none]\n");
  });

  test("is run again on replay", async () => {
    const { client, agent } = await userWithAgent("replay");
    const trigger = await createTrigger(client, agent, "cat $BERTH_PAYLOAD_FILE >> seen; cat seen");
    const first = await deliver(trigger, "once.");
    await client.finish(first.runId);
    const again = await client.ok<{ runId: string }>("POST", `/v1/deliveries/${first.deliveryId}/replay`);
    expect((await client.finish(again.runId)).lines.map(textOf)).toEqual(["once.once."]);
  });
});

describe("webhooks that wait", () => {
  test("run in order of arrival through restarts of gateway and host agent", async () => {
    const { client, agent } = await userWithAgent("order");
    const trigger = await createTrigger(
      client,
      agent,
      "echo {{payload.n}} >> order; sleep 0.2; cat order | tr '\\n' ' '",
    );
    const ids: string[] = [];
    for (let n = 1; n <= 12; n++) {
      const { status, runId } = await deliver(trigger, JSON.stringify({ n }));
      expect(status).toBe(202);
      ids.push(runId);
      if (n === 4 || n === 9) {
        await berth.gateway.kill();
        await berth.gateway.start();
      }
      if (n === 6) {
        await berth.host.kill();
        await berth.host.start();
      }
    }
    await until(async () => isEnded(client, ids.at(-1)!), "the last has ended");
    expect((await client.run(ids.at(-1)!)).result).toBe("1 2 3 4 5 6 7 8 9 10 11 12 ");
    for (const id of ids) expect(await client.run(id)).toMatchObject({ status: "completed" });
  });

  test("run once when the gateway was killed right after it accepted", async () => {
    const { client, agent } = await userWithAgent("killed");
    const trigger = await createTrigger(client, agent, "echo ran >> times; wc -l < times");
    for (let round = 1; round <= 5; round++) {
      const { runId } = await deliver(trigger, "x", { "idempotency-key": `k${round}` });
      await berth.gateway.kill();
      await berth.gateway.start();
      expect((await deliver(trigger, "x", { "idempotency-key": `k${round}` })).status).toBe(200);
      await until(async () => isEnded(client, runId), "the run has ended");
      expect((await client.run(runId)).result).toBe(`${round}\n`);
    }
  });

  test("wait while their host is away, tell it to whoever reads, and run when it is back", async () => {
    const { client, agent } = await userWithAgent("away");
    const trigger = await createTrigger(client, agent, "echo {{payload.n}} >> order; cat order | tr '\\n' ' '");
    await client.runToEnd(agent.id, "true");
    await berth.host.kill();
    const ids: string[] = [];
    for (let n = 1; n <= 3; n++) ids.push((await deliver(trigger, JSON.stringify({ n }))).runId);
    const reading = client.finish(ids[2]!);
    const pending = await client.ok<{ items: Run[] }>("GET", "/v1/runs?status=pending");
    expect(pending.items.map(({ id }) => id)).toEqual(ids.toReversed());
    await berth.host.start();
    const { lines, run } = await reading;
    expect(lines.map(textOf)).toEqual(["1 2 3 "]);
    expect(run.status).toBe("completed");
  });

  test("never run once their trigger is deleted, though their host may have them and is away", async () => {
    const { client, agent } = await userWithAgent("deleted");
    const trigger = await createTrigger(client, agent, "echo ran >> seen");
    await client.runToEnd(agent.id, "true");
    // It takes the connection, and says nothing.
    process.kill(berth.host.pid, "SIGSTOP");
    const said = berth.gateway.log().length;
    const { runId } = await deliver(trigger, "x");
    await until(() => berth.gateway.log().slice(said).includes("pending.postponed"), "the host was asked in vain");
    await client.ok("DELETE", `/v1/triggers/${trigger.id}`);
    expect((await client.run(runId)).status).toBe("pending");
    await berth.host.kill();
    await berth.host.start();
    await until(async () => isEnded(client, runId), "the run is over");
    expect(await client.run(runId)).toMatchObject({ status: "cancelled", startedAt: null });
    expect((await client.runToEnd(agent.id, "ls")).run.result).toBe("");
  });

  test("end at once with their trigger where nobody was there to take them", async () => {
    const { client, agent } = await userWithAgent("gone");
    const trigger = await createTrigger(client, agent, "echo ran >> seen");
    await client.runToEnd(agent.id, "true");
    await berth.host.kill();
    const said = berth.gateway.log().length;
    const { runId } = await deliver(trigger, "x");
    await until(() => berth.gateway.log().slice(said).includes("pending.postponed"), "the host was asked in vain");
    await client.ok("DELETE", `/v1/triggers/${trigger.id}`);
    expect(await client.run(runId)).toMatchObject({ status: "cancelled", startedAt: null });
    await berth.host.start();
    expect((await client.runToEnd(agent.id, "ls")).run.result).toBe("");
  });

  test("are cancelled before they start", async () => {
    const { client, agent } = await userWithAgent("cancelled");
    const trigger = await createTrigger(client, agent, "{{payload}}");
    const busy = await client.send(agent.id, "sleep 100");
    const waiting = await deliver(trigger, "echo never >> seen");
    const answer = await until(async () => {
      const { status, body } = await client.call<Run>("POST", `/v1/runs/${waiting.runId}/cancel`);
      return status === 200 && body;
    }, "it is cancelled");
    expect(answer).toMatchObject({ status: "cancelled", startedAt: null });
    await client.call("POST", `/v1/runs/${busy.id}/cancel`);
    expect((await client.runToEnd(agent.id, "ls")).run.result).toBe("");
  });
});
