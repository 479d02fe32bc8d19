/**
 * A webhook accepted: signature verified, stored with its run on disk, once; against a bare Hono that stores the same body in
 * one synced insert. Its agent is busy, so that it waits: starting runs is another figure.
 */
import { createHmac } from "node:crypto";
import type { Client } from "../e2e/harness/client.ts";
import { startBerth } from "../e2e/harness/harness.ts";
import { makeUsers } from "../e2e/harness/users.ts";
import { startBareServer } from "./lib/bare.ts";
import { interleave, median, printFigures, timed } from "./lib/figures.ts";
import { load } from "./lib/load.ts";

/** A user has a thousand waiting at most. */
const singles = 400;
const bursts = 12;
const burst = { ms: 60_000, answers: 150 };
const body = JSON.stringify({ action: "opened", issue: { number: 7, title: "Something is slow", labels: ["bug"] } });

const berth = await startBerth();
const bare = await startBareServer();
try {
  const hooks = await Promise.all((await makeUsers(berth, "bench", 4)).map(openHook));
  const plain = { headers: { "content-type": "application/json" }, body };
  const post = async (url: string, sent: { headers: Record<string, string> }) => {
    const answer = await fetch(url, { method: "POST", body, ...sent });
    if (!answer.ok) throw new Error(await answer.text());
    await answer.text();
  };
  const single = {
    ours: () => timed(() => post(hooks[0]!.url, hooks[0]!.next())),
    bare: () => timed(() => post(`${bare.url}/insert`, plain)),
  };
  await interleave(20, single.ours, single.bare);
  const [ours, theirs] = (await interleave(singles, single.ours, single.bare)).map(median);
  let round = 0;
  const atOnce = {
    ours: () => {
      const { url, next } = hooks[1 + (round++ % 3)]!;
      return load("POST", url, next, burst);
    },
    bare: () => load("POST", `${bare.url}/insert`, () => plain, burst),
  };
  const [oursAtOnce, theirsAtOnce] = (await interleave(bursts, atOnce.ours, atOnce.bare)).map(median);
  const common = { unit: "/s", compare: "ratio", target: { bound: 0.6, from: "below" } } as const;
  printFigures([
    { name: "webhooks accepted a second, one after the other", ours: 1000 / ours!, bare: 1000 / theirs!, ...common },
    { name: "webhooks accepted a second, 32 at once", ours: oursAtOnce!, bare: theirsAtOnce!, ...common },
  ]);
} finally {
  bare.close();
  await berth.close();
}

/** A trigger of an agent that is busy, and the next message to it. */
async function openHook(client: Client) {
  const agent = await client.createAgent("bench", { runtime: "shell" });
  await client.send(agent.id, "exec sleep 3600");
  const trigger = { name: "bench", scheme: "standard", template: "{{payload.issue.title}}" };
  const { id, secret } = await client.ok<{ id: string; secret: string }>(
    "POST",
    `/v1/agents/${agent.id}/triggers`,
    trigger,
  );
  const key = Buffer.from(secret.slice("whsec_".length), "base64");
  const next = () => {
    const messageId = crypto.randomUUID();
    const timestamp = Math.floor(Date.now() / 1000);
    const signature = createHmac("sha256", key).update(`${messageId}.${timestamp}.${body}`).digest("base64");
    const headers = {
      "content-type": "application/json",
      "webhook-id": messageId,
      "webhook-timestamp": String(timestamp),
      "webhook-signature": `v1,${signature}`,
    };
    return { headers, body };
  };
  return { url: `${berth.url}/hooks/${id}`, next };
}
