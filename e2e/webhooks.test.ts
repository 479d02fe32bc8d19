import { createHash } from "node:crypto";
import { sign } from "@octokit/webhooks-methods";
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Agent, Run } from "@berth/shared/resources";
import { type Client, textOf } from "./client.ts";
import { type Berth, startBerth, until } from "./harness.ts";

let berth: Berth;
beforeAll(async () => {
  berth = await startBerth({ BERTH_IDLE_SECONDS: "600" });
});
afterAll(() => berth?.close());

interface Trigger {
  id: string;
  url: string;
  secret: string;
}
interface Accepted {
  status: number;
  deliveryId: string;
  runId: string;
}
type Scheme = "standard" | "github" | "token";

async function createTrigger(
  client: Client,
  agent: Agent,
  template: string,
  scheme: Scheme = "token",
): Promise<Trigger> {
  return client.ok<Trigger>("POST", `/v1/agents/${agent.id}/triggers`, { name: "t", scheme, template });
}

/** What a sender of this scheme puts into its headers. */
async function headersOf(scheme: Scheme, secret: string, id: string, body: string): Promise<Record<string, string>> {
  const at = new Date();
  if (scheme === "token") return { authorization: `Bearer ${secret}`, "idempotency-key": id };
  if (scheme === "github") return { "x-github-delivery": id, "x-hub-signature-256": await sign(secret, body) };
  return {
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
    "webhook-signature": new Webhook(secret).sign(id, at, body),
  };
}

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
  test("run in order of arrival through restarts of gateway and host agent", { timeout: 120_000 }, async () => {
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
    await until(async () => isEnded(client, ids.at(-1)!), "the last has ended", 60_000);
    expect((await client.run(ids.at(-1)!)).result).toBe("1 2 3 4 5 6 7 8 9 10 11 12 ");
    for (const id of ids) expect(await client.run(id)).toMatchObject({ status: "completed" });
  });

  test("run once when the gateway was killed right after it accepted", { timeout: 120_000 }, async () => {
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

  test(
    "wait while their host is away, tell it to whoever reads, and run when it is back",
    { timeout: 120_000 },
    async () => {
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
    },
  );

  test("never run once their trigger is deleted, though their host may have them and is away", async () => {
    const { client, agent } = await userWithAgent("deleted");
    const trigger = await createTrigger(client, agent, "echo ran >> seen");
    await client.runToEnd(agent.id, "true");
    await berth.host.kill();
    const said = berth.gateway.log().length;
    const { runId } = await deliver(trigger, "x");
    await until(() => berth.gateway.log().slice(said).includes("pending.postponed"), "the host was asked in vain");
    await client.ok("DELETE", `/v1/triggers/${trigger.id}`);
    expect((await client.run(runId)).status).toBe("pending");
    await berth.host.start();
    await until(async () => isEnded(client, runId), "the run is over");
    expect(await client.run(runId)).toMatchObject({ status: "cancelled", startedAt: null });
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

describe("a storm", () => {
  test(
    "of 1,000 deliveries, 300 of them twice, 50 at once, over a gateway killed twice, runs each exactly once",
    { timeout: 1_200_000 },
    async () => {
      const schemes: Scheme[] = ["token", "github", "standard"];
      const targets = await Promise.all(
        Array.from({ length: 5 }, async (_, at) => {
          const client = await berth.client(`storm${at}`);
          return Promise.all(
            Array.from({ length: 4 }, async (_, number) => {
              const agent = await client.createAgent(`shell${number}`, { runtime: "shell" });
              const scheme = schemes[(at + number) % 3]!;
              return {
                client,
                agent,
                scheme,
                trigger: await createTrigger(client, agent, "echo {{payload.n}} >> seen", scheme),
              };
            }),
          );
        }),
      ).then((users) => users.flat());

      const accepted = new Map<number, Set<string>>();
      const counts = { first: 0, repeated: 0, retried: 0 };
      /** As a sender does: again until somebody says that it was taken. */
      const send = async (n: number) => {
        const { trigger, scheme } = targets[n % targets.length]!;
        const body = JSON.stringify({ n });
        for (;;) {
          try {
            const headers = await headersOf(scheme, trigger.secret, `delivery-${n}`, body);
            const answer = await fetch(`${berth.url}/hooks/${trigger.id}`, { method: "POST", body, headers });
            if (answer.ok) {
              counts[answer.status === 202 ? "first" : "repeated"]++;
              const { runId } = (await answer.json()) as Accepted;
              accepted.set(n, (accepted.get(n) ?? new Set()).add(runId));
              return;
            }
            if (answer.status < 500 && answer.status !== 429)
              throw new Error(`refused with ${answer.status}: ${await answer.text()}`);
          } catch (error) {
            if (error instanceof Error && error.message.startsWith("refused")) throw error;
          }
          counts.retried++;
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
      };
      const numbers = [
        ...Array.from({ length: 1000 }, (_, n) => n),
        ...Array.from({ length: 300 }, (_, n) => n * 3),
      ].sort((a, b) => ((a * 7919) % 1013) - ((b * 7919) % 1013));
      const started = performance.now();
      const total = numbers.length;
      const killing = (async () => {
        for (const left of [total * 0.75, total * 0.35]) {
          await until(() => numbers.length <= left, "a part is sent", 300_000);
          await berth.gateway.kill();
          await berth.gateway.start();
        }
      })();
      const senders = Array.from({ length: 50 }, async () => {
        for (let n = numbers.shift(); n !== undefined; n = numbers.shift()) await send(n);
      });
      await Promise.all([...senders, killing]);
      const sentMs = performance.now() - started;
      expect(accepted.size).toBe(1000);
      expect([...accepted.values()].filter((runIds) => runIds.size !== 1)).toEqual([]);

      const clients = [...new Set(targets.map(({ client }) => client))];
      const left = async (client: Client) =>
        (
          await Promise.all(
            ["pending", "starting", "running"].map((status) =>
              client.ok<{ items: Run[] }>("GET", `/v1/runs?limit=1&status=${status}`),
            ),
          )
        ).some(({ items }) => items.length > 0);
      for (const client of clients) await until(async () => !(await left(client)), "every run has ended", 1_000_000);
      const ranMs = performance.now() - started;

      for (const client of clients) {
        const runs = await allRuns(client);
        expect(runs).toHaveLength(200);
        expect(runs.filter(({ status }) => status !== "completed")).toEqual([]);
        expect(mostAtOnce(runs)).toBeLessThanOrEqual(3);
      }
      for (const [at, { client, agent }] of targets.entries()) {
        const seen = (await client.runToEnd(agent.id, "sort -n seen")).lines.map((line) => Number(textOf(line)));
        expect(seen).toEqual(Array.from({ length: 50 }, (_, row) => row * targets.length + at));
      }
      process.stdout.write(
        `storm: ${JSON.stringify({ ...counts, sentMs: Math.round(sentMs), ranMs: Math.round(ranMs) })}\n`,
      );
    },
  );
});

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
