import { deleteLeftDeliveries } from "./triggers.ts";
import { runIdOf } from "@berth/shared/ids";
import { sql } from "drizzle-orm";
import { sign } from "@octokit/webhooks-methods";
import examples from "@octokit/webhooks-examples" with { type: "json" };
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createTestApp, type TestApp } from "../../test/app.ts";
import { claimsOf, joinTestHost, type TestHost } from "../../test/host.ts";
import { until } from "../../test/wait.ts";
import { createSigningJwk, importKeyring } from "../keys/keyring.ts";
import { tick } from "../tick.ts";
import { openHook, sealAnew } from "./triggers.ts";

let gateway: TestApp;
let host: TestHost;
beforeAll(async () => {
  gateway = await createTestApp();
  host = await joinTestHost(gateway);
});
// A host that is silent for 30 s gets no new user.
beforeEach(() => host.report());
afterAll(async () => {
  await host.close();
  await gateway.close();
});

interface Options {
  template?: string;
  scheme?: string;
}
async function userWithTrigger({ template = "{{payload}}", scheme = "token" }: Options = {}) {
  const user = await gateway.addUser(crypto.randomUUID());
  const call = (method: string, path: string, body?: unknown) =>
    gateway.call(method, path, { token: user.token, body });
  const agent = (await call("POST", "/v1/agents", { name: "a" })).json();
  const trigger = (await call("POST", `/v1/agents/${agent.id}/triggers`, { name: "t", scheme, template })).json();
  const deliver = (body: BodyInit, headers: Record<string, string> = {}) =>
    deliverTo(trigger.id, body, { authorization: `Bearer ${trigger.secret}`, ...headers });
  const deliveries = async () => (await call("GET", `/v1/triggers/${trigger.id}/deliveries`)).json().items;
  const runOf = async (delivered: { runId: string }) => (await call("GET", `/v1/runs/${delivered.runId}`)).json();
  return { ...user, call, agent, trigger, deliver, deliveries, runOf };
}

async function deliverTo(triggerId: string, body: BodyInit, headers: Record<string, string>) {
  const response = await gateway.app.request(`/hooks/${triggerId}`, { method: "POST", body, headers });
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Record<string, string> & { deliveryId: string; runId: string },
  };
}
const counted = async () => {
  const [row] = await gateway.deps.db.all<{ d: number; r: number }>(
    `select (select count(*) from deliveries) d, (select count(*) from runs) r`,
  );
  return row;
};
const isSent = (runId: string) =>
  host.requests.find((request) => request.path === "/v1/runs" && request.body.includes(runId));

describe("triggers", () => {
  test("a trigger shows its secret on creation and rotation alone", async () => {
    const { call, agent, trigger } = await userWithTrigger({ scheme: "standard" });
    expect(trigger).toMatchObject({
      agentId: agent.id,
      name: "t",
      scheme: "standard",
      template: "{{payload}}",
      lastDeliveryAt: null,
    });
    expect(trigger.url).toBe(`http://localhost:8080/hooks/${trigger.id}`);
    const { secret, ...shown } = trigger;
    expect((await call("GET", `/v1/triggers/${trigger.id}`)).json()).toEqual(shown);
    expect((await call("GET", `/v1/agents/${agent.id}/triggers`)).json()).toEqual({ items: [shown], nextCursor: null });
    const rotated = await call("POST", `/v1/triggers/${trigger.id}/rotate`);
    expect([rotated.status, rotated.json().secret === secret]).toEqual([200, false]);
    const database = JSON.stringify(gateway.deps.db.all(`select * from triggers`));
    for (const text of [secret, secret.slice(6), rotated.json().secret]) expect(database).not.toContain(text);
  });

  test("name and template change, with the same checks", async () => {
    const { call, trigger } = await userWithTrigger();
    const path = `/v1/triggers/${trigger.id}`;
    expect((await call("PATCH", path, { name: "other", template: "x {{payload.a}}" })).json()).toMatchObject({
      name: "other",
      template: "x {{payload.a}}",
    });
    expect((await call("PATCH", path, { name: "other" })).json()).toMatchObject({ name: "other" });
    expect((await call("PATCH", path, { template: "{{#a}}" })).json()).toMatchObject({
      code: "invalid_request",
      errors: [{ path: "template" }],
    });
    expect((await call("PATCH", path, { scheme: "github" })).status).toBe(400);
    const admin = await gateway.addUser(crypto.randomUUID(), "admin");
    const audit = await gateway.call("GET", `/v1/admin/audit?target=${trigger.id}`, { token: admin.token });
    expect(audit.json().items).toContainEqual(
      expect.objectContaining({
        action: "trigger.updated",
        target: { id: trigger.id, name: "other" },
        detail: { agentId: trigger.agentId, agent: "a", changed: "name, template" },
      }),
    );
    const updates = audit.json().items.filter(({ action }: { action: string }) => action === "trigger.updated");
    expect([updates.length, audit.text.includes("payload.a")]).toEqual([1, false]);
  });

  test.each([
    [{ name: "t", scheme: "token", template: "{{#a}}" }],
    [{ name: "t", scheme: "token", template: "{{> a}}" }],
    [{ name: "t", scheme: "token", template: "  " }],
    [{ name: "t", scheme: "token", template: "x".repeat(16_385) }],
    [{ name: "t", scheme: "basic", template: "x" }],
    [{ name: "", scheme: "token", template: "x" }],
    [{ name: "t", scheme: "token" }],
    [{ name: "t", scheme: "token", template: "x", secret: "mine" }],
  ])("the body %j is refused", async (body) => {
    const { call, agent } = await userWithTrigger();
    expect((await call("POST", `/v1/agents/${agent.id}/triggers`, body)).json().code).toBe("invalid_request");
  });

  test("an agent has 20 triggers at most, however many are made at once", async () => {
    const { call, agent } = await userWithTrigger();
    const made = await Promise.all(
      Array.from({ length: 25 }, () =>
        call("POST", `/v1/agents/${agent.id}/triggers`, { name: "t", scheme: "token", template: "x" }),
      ),
    );
    expect(made.filter(({ status }) => status === 201)).toHaveLength(19);
    expect(made.find(({ status }) => status !== 201)!.json()).toMatchObject({ code: "conflict", limit: 20 });
  });

  test("another user's trigger, delivery and agent are not found", async () => {
    const { trigger, agent, deliver } = await userWithTrigger();
    const { deliveryId } = (await deliver("x")).body;
    const { call } = await userWithTrigger();
    for (const [method, path, body] of [
      ["GET", `/v1/triggers/${trigger.id}`],
      ["PATCH", `/v1/triggers/${trigger.id}`, { name: "x" }],
      ["DELETE", `/v1/triggers/${trigger.id}`],
      ["POST", `/v1/triggers/${trigger.id}/rotate`],
      ["GET", `/v1/triggers/${trigger.id}/deliveries`],
      ["POST", `/v1/deliveries/${deliveryId}/replay`],
      ["GET", `/v1/agents/${agent.id}/triggers`],
      ["POST", `/v1/agents/${agent.id}/triggers`, { name: "t", scheme: "token", template: "x" }],
    ] as const)
      expect([path, (await call(method, path, body)).status]).toEqual([path, 404]);
  });

  test("rotation ends the old secret at once, or after its grace", async () => {
    const { call, trigger, deliver } = await userWithTrigger();
    const next = (await call("POST", `/v1/triggers/${trigger.id}/rotate`, { graceSeconds: 60 })).json().secret;
    const withNext = { authorization: `Bearer ${next}` };
    expect([(await deliver("x")).status, (await deliver("x", withNext)).status]).toEqual([202, 202]);
    gateway.clock.skewMs += 61_000;
    expect([(await deliver("x")).status, (await deliver("x", withNext)).status]).toEqual([401, 202]);
    gateway.clock.skewMs -= 61_000;
    await call("POST", `/v1/triggers/${trigger.id}/rotate`, {});
    expect((await deliver("x", withNext)).status).toBe(401);
  });

  test("a secret that no key opens any more ends no other, and what an earlier key sealed is sealed anew", async () => {
    const { call, trigger, deliver } = await userWithTrigger();
    const next = (await call("POST", `/v1/triggers/${trigger.id}/rotate`, { graceSeconds: 60 })).json().secret;
    const withNext = { authorization: `Bearer ${next}` };
    const { deps } = gateway;
    const sealed = await deps.db.all<{ previous: string }>(
      sql`select previous_secret as previous from triggers where id = ${trigger.id}`,
    );
    await deps.db.all(
      sql`update triggers set previous_secret = 'lost.AAAA.AAAA' where id = ${trigger.id} returning id`,
    );
    expect([(await deliver("x")).status, (await deliver("x", withNext)).status]).toEqual([401, 202]);

    const fresh = await importKeyring([await createSigningJwk()]);
    const both = { ...fresh, sealingKeys: new Map([...deps.keyring.sealingKeys, ...fresh.sealingKeys]) };
    const inTwoHours = () => deps.now() + 2 * 3_600_000;
    await tick({ ...deps, keyring: both, now: inTwoHours });
    await deps.db.all(
      sql`update triggers set previous_secret = ${sealed[0]!.previous} where id = ${trigger.id} returning id`,
    );
    // Whichever comes first: one that nothing opens keeps no other from it, and is told.
    const [lost] = [await userWithTrigger()];
    await deps.db.all(sql`update triggers set secret = 'lost.AAAA.AAAA' where id = ${lost.trigger.id} returning id`);
    await expect(sealAnew({ ...deps, keyring: both }, 100)).rejects.toThrow(lost.trigger.id);
    await deps.db.all(sql`delete from triggers where id = ${lost.trigger.id} returning id`);
    expect(await sealAnew({ ...deps, keyring: both }, 100)).toBe(0);
    expect((await openHook({ ...deps, keyring: fresh }, trigger.id)).secrets).toEqual([next, trigger.secret]);
    await sealAnew({ ...deps, keyring: { ...deps.keyring, sealingKeys: both.sealingKeys } }, 100);
    expect([(await deliver("x")).status, (await deliver("x", withNext)).status]).toEqual([202, 202]);
  });

  test("rotation needs no body, whatever type an empty one is said to be", async () => {
    const { call, trigger } = await userWithTrigger();
    expect((await call("POST", `/v1/triggers/${trigger.id}/rotate`, "")).json().secret).toBeDefined();
    expect((await call("POST", `/v1/triggers/${trigger.id}/rotate`, "{")).json().code).toBe("invalid_request");
  });
});

describe("a trigger with many deliveries", () => {
  test("is deleted at once, they go a slice a tick, and those of others stay", async () => {
    const [user, other] = [await userWithTrigger({ template: "{{nothing}}" }), await userWithTrigger()];
    await other.deliver("stays");
    await gateway.deps.atomic([
      sql`insert into deliveries (id, trigger_id, user_id, agent_id, received_at, headers, payload, bytes)
        select ${user.trigger.id} || value, ${user.trigger.id}, ${user.id}, ${user.agent.id}, ${new Date().toISOString()}, '{}',
          '', 0 from json_each(${JSON.stringify(Array.from({ length: 240 }, (_, at) => at))})`,
    ]);
    const left = async () =>
      (await gateway.deps.db.all(sql`select 1 from deliveries where trigger_id = ${user.trigger.id}`)).length;
    expect((await user.call("DELETE", `/v1/triggers/${user.trigger.id}`)).status).toBe(204);
    expect((await user.call("GET", `/v1/triggers/${user.trigger.id}/deliveries`)).status).toBe(404);
    const counts = [await left()];
    for (let at = 0; at < 3; at++) {
      await gateway.tick();
      counts.push(await left());
    }
    expect(counts).toEqual([140, 40, 0, 0]);
    expect(await gateway.deps.db.all(sql`select 1 from chores where name like 'deliveries%'`)).toEqual([]);
    expect(await other.deliveries()).toHaveLength(1);
  });

  test("is deleted once, by two who delete it at once", async () => {
    const user = await userWithTrigger({ template: "{{nothing}}" });
    await gateway.deps.atomic([
      sql`insert into deliveries (id, trigger_id, user_id, agent_id, received_at, headers, payload, bytes)
        select ${user.trigger.id} || value, ${user.trigger.id}, ${user.id}, ${user.agent.id}, ${new Date().toISOString()}, '{}',
          '', 0 from json_each(${JSON.stringify(Array.from({ length: 240 }, (_, at) => at))})`,
    ]);
    const answers = await Promise.all(
      Array.from({ length: 4 }, () => user.call("DELETE", `/v1/triggers/${user.trigger.id}`)),
    );
    expect(answers.map(({ status }) => status).filter((status) => status !== 204 && status !== 404)).toEqual([]);
    const entries = await gateway.deps.db.all(
      sql`select 1 from audit where action = 'trigger.deleted' and target_id = ${user.trigger.id}`,
    );
    expect(entries).toHaveLength(1);
    const chores = () => gateway.deps.db.all(sql`select 1 from chores where name like 'deliveries%'`);
    await expect.poll(async () => (await gateway.tick(), chores())).toEqual([]);
  });
});

describe("a deleted trigger with a delivery that a host may have", () => {
  test("is remembered until that is certain, keeps no other waiting, and then leaves no payload", async () => {
    const [user, other] = [await userWithTrigger(), await userWithTrigger()];
    const { db, atomic } = gateway.deps;
    const add = ({ id, agent, trigger }: typeof user, dueAt: string | null) =>
      atomic([
        sql`insert into deliveries (id, trigger_id, user_id, agent_id, received_at, headers, payload, bytes, due_at, maybe_sent, outcome)
          values (${`dlv_${trigger.id}`}, ${trigger.id}, ${id}, ${agent.id}, ${new Date().toISOString()}, '{}', 'c2VjcmV0', 6,
            ${dueAt}, 1, ${dueAt && "cancelled"})`,
      ]);
    const left = ({ trigger }: typeof user) =>
      db.all(sql`select payload from deliveries where trigger_id = ${trigger.id}`);
    const far = new Date(Date.now() + 3_000_000).toISOString();
    await add(user, far);
    await user.call("DELETE", `/v1/triggers/${user.trigger.id}`);
    await deleteLeftDeliveries(gateway.deps);
    expect(await left(user)).toHaveLength(1);
    // Whichever stands behind is deleted at the next look: the one that waits is not picked again and again.
    await add(other, null);
    await atomic([sql`insert into chores (name, due_at) values (${`deliveries of ${other.trigger.id}`}, '')`]);
    await deleteLeftDeliveries(gateway.deps);
    expect(await left(other)).toEqual([]);
    await atomic([sql`update deliveries set due_at = null where trigger_id = ${user.trigger.id}`]);
    gateway.clock.skewMs += 601_000;
    await deleteLeftDeliveries(gateway.deps);
    gateway.clock.skewMs -= 601_000;
    expect(await left(user)).toEqual([]);
    expect(await db.all(sql`select 1 from chores where name like 'deliveries%'`)).toEqual([]);
  });
});

describe("a delivery", () => {
  test("is stored with its run before 202 and told with what became of it", async () => {
    const user = await userWithTrigger({
      template: "Paid: {{payload.amount}} by {{headers.x-from}} via {{trigger.name}}",
    });
    const sent = await user.deliver('{"amount": 12.5}', {
      "content-type": "application/json",
      "x-from": "shop",
      "idempotency-key": "k1",
    });
    expect(sent.status).toBe(202);
    expect(sent.body).toEqual({
      deliveryId: expect.stringMatching(/^dlv_/),
      runId: await runIdOf("trigger", user.trigger.id, "k1"),
    });
    expect(await user.runOf(sent.body)).toMatchObject({
      prompt: "Paid: 12.5 by shop via t",
      trigger: { kind: "webhook", triggerId: user.trigger.id },
    });
    const [delivery] = await user.deliveries();
    expect(delivery).toMatchObject({
      id: sent.body.deliveryId,
      runId: sent.body.runId,
      externalId: "k1",
      bytes: 16,
      contentType: "application/json",
      replayOf: null,
      detail: null,
    });
    await until(() => isSent(sent.body.runId), "the host has the run");
    expect((await user.call("GET", `/v1/triggers/${user.trigger.id}`)).json().lastDeliveryAt).toBe(delivery.receivedAt);
  });

  test("with the same id answers 200 with the first run and starts nothing", async () => {
    const user = await userWithTrigger();
    const key = { "idempotency-key": "same" };
    const all = await Promise.all(Array.from({ length: 10 }, (_, at) => user.deliver(`body ${at}`, key)));
    expect(all.map(({ status }) => status).sort()).toEqual([...Array(9).fill(200), 202]);
    expect(new Set(all.map(({ body }) => body.runId)).size).toBe(1);
    expect(await user.deliveries()).toHaveLength(1);
    const elsewhere = await userWithTrigger();
    expect((await elsewhere.deliver("x", key)).status).toBe(202);
  });

  test("without an id is taken each time, whatever its body", async () => {
    const user = await userWithTrigger();
    const [first, second] = [await user.deliver("same"), await user.deliver("same")];
    expect([first.status, second.status]).toEqual([202, 202]);
    expect(first.body.runId).not.toBe(second.body.runId);
  });

  test("that proves nothing answers 401, to an unknown trigger 404, and neither is stored", async () => {
    const user = await userWithTrigger();
    const before = await counted();
    const refused = await user.deliver("x", { authorization: "Bearer wrong" });
    expect([refused.status, refused.body["code"]]).toEqual([401, "unauthenticated"]);
    expect((await deliverTo("trg_unknown", "x", {})).status).toBe(404);
    expect((await user.deliver("x", { "idempotency-key": "two words" })).status).toBe(400);
    expect(await counted()).toEqual(before);
  });

  test("that is no POST is told so, whether there is such a trigger or not", async () => {
    const { trigger } = await userWithTrigger();
    for (const id of [trigger.id, "trg_unknown"]) {
      const answer = await gateway.call("GET", `/hooks/${id}`, { headers: { accept: "text/html" } });
      expect(answer.json()).toMatchObject({ code: "not_found", detail: "Webhooks are delivered here, by POST alone." });
    }
  });

  test("of many thousand values is taken as text, so that no sender's parsing holds up the others", async () => {
    const user = await userWithTrigger({ template: "first: {{payload.a.0}}" });
    const prompts: string[] = [];
    for (const length of [10, 30_000]) {
      const payload = JSON.stringify({ a: Array.from({ length }, () => 7) });
      prompts.push((await user.runOf((await user.deliver(payload)).body)).prompt as string);
    }
    expect(prompts.map((prompt) => prompt.trim())).toEqual(["first: 7", "first:"]);
  });

  test("of 256 KiB is taken and a byte more is not, with and without a declared length", async () => {
    const user = await userWithTrigger({ template: "fixed" });
    const whole = new Uint8Array(262_144).fill(255);
    const chunked = (bytes: Uint8Array) => new Blob([bytes as Uint8Array<ArrayBuffer>]).stream();
    for (const off of [-4, -3, -2, -1, 0])
      expect((await user.deliver(whole.subarray(0, 262_144 + off))).status).toBe(202);
    for (const off of [1, 2, 3, 4]) expect((await user.deliver(new Uint8Array(262_144 + off))).status).toBe(413);
    expect((await user.deliver(new Uint8Array(262_145), { "content-length": "262145" })).body["code"]).toBe(
      "payload_too_large",
    );
    const streamed = (body: ReadableStream) =>
      gateway.app.request(`/hooks/${user.trigger.id}`, {
        method: "POST",
        body,
        headers: { authorization: `Bearer ${user.trigger.secret}` },
        duplex: "half",
      } as RequestInit);
    expect((await streamed(chunked(whole))).status).toBe(202);
    expect((await streamed(chunked(new Uint8Array(262_145)))).status).toBe(413);
  });

  test("goes to the host with its bytes as they came", async () => {
    const user = await userWithTrigger({ template: "fixed" });
    const bytes = Uint8Array.from({ length: 1024 }, (_, at) => at % 256);
    const { runId } = (await user.deliver(bytes, { "content-type": "application/octet-stream" })).body;
    const sent = await until(() => isSent(runId), "the host has the run");
    expect(Buffer.from(JSON.parse(sent.body).run.payload, "base64url")).toEqual(Buffer.from(bytes));
    const claims = claimsOf(sent);
    expect(claims).toMatchObject({ sub: user.id, tid: null });
  });

  test.each([
    ["{{payload}}", "no json", "text/plain", "no json"],
    ["{{payload.a}}", '{"a":1}', "text/plain", "1"],
    [
      "{{payload.text}} {{payload.user}}",
      "text=hello+you&user=%C3%A9",
      "application/x-www-form-urlencoded",
      "hello you é",
    ],
    [
      "{{payload.action}}",
      `payload=${encodeURIComponent('{"action":"opened"}')}`,
      "application/x-www-form-urlencoded; charset=utf-8",
      "opened",
    ],
    ["[{{payload}}]", "", "application/json", "[]"],
    [
      "{{headers.authorization}}{{headers.cookie}}{{headers.x-gitlab-token}}{{headers.x-hub-signature-256}}.",
      "x",
      "text/plain",
      ".",
    ],
  ])("%s over %j of type %s gives %j", async (template, body, type, prompt) => {
    const user = await userWithTrigger({ template });
    const headers = { "content-type": type, cookie: "a=b", "x-gitlab-token": "t", "x-hub-signature-256": "s" };
    expect((await user.runOf((await user.deliver(body, headers)).body)).prompt).toBe(prompt);
  });

  test("whose template gives no prompt is skipped, or rejected, and says why", async () => {
    const user = await userWithTrigger({ template: "{{#payload.issue}}Do {{.}}{{/payload.issue}}" });
    const skipped = await user.deliver('{"zen":"…"}', { "idempotency-key": "ping" });
    expect([skipped.status, skipped.body.runId]).toEqual([202, null]);
    expect((await user.deliver('{"zen":"…"}', { "idempotency-key": "ping" })).status).toBe(200);
    await user.deliver(JSON.stringify({ issue: "x".repeat(200_000) }));
    await user.call("PATCH", `/v1/triggers/${user.trigger.id}`, { template: "{{payload.issue}}".repeat(6) });
    await user.deliver(JSON.stringify({ issue: "x".repeat(200_000) }));
    const told = (await user.deliveries()).map(
      (one: { status: string; detail: string | null; runId: string | null }) => [
        one.status,
        one.detail,
        one.runId !== null,
      ],
    );
    expect(told[0]).toEqual(["rejected", "The prompt that the template gave is over 1 MiB.", false]);
    expect(told[2]).toEqual(["skipped", "The template gave an empty prompt, so no run was started.", false]);
  });

  test("of a disabled user, or of a deleted agent, finds no trigger", async () => {
    const user = await userWithTrigger();
    const admin = await gateway.addUser(crypto.randomUUID(), "admin");
    const disable = (disabled: boolean) =>
      gateway.call("PATCH", `/v1/admin/users/${user.id}`, { token: admin.token, body: { disabled } });
    await disable(true);
    expect((await user.deliver("x")).status).toBe(404);
    await disable(false);
    expect((await user.deliver("x")).status).toBe(202);
    await user.call("DELETE", `/v1/agents/${user.agent.id}`);
    expect((await user.deliver("x")).status).toBe(404);
    expect((await user.call("GET", `/v1/triggers/${user.trigger.id}`)).status).toBe(404);
  });

  test("can be taken once more, by the template as it is now", async () => {
    const user = await userWithTrigger({ template: "one {{payload.a}} {{headers.x-h}}" });
    const first = (await user.deliver('{"a":1}', { "idempotency-key": "k", "x-h": "h" })).body;
    await user.call("PATCH", `/v1/triggers/${user.trigger.id}`, { template: "two {{payload.a}} {{headers.x-h}}" });
    const replayed = await user.call("POST", `/v1/deliveries/${first.deliveryId}/replay`);
    expect(replayed.status).toBe(202);
    expect(replayed.json()).toMatchObject({ replayOf: first.deliveryId, externalId: null });
    expect(replayed.json().runId).not.toBe(first.runId);
    expect((await user.runOf(replayed.json())).prompt).toBe("two 1 h");
    const keyed = { token: user.token, headers: { "idempotency-key": "k1" } };
    const again = () => gateway.call("POST", `/v1/deliveries/${first.deliveryId}/replay`, keyed);
    const [once, twice] = [(await again()).json(), (await again()).json()];
    expect([once.id === twice.id, once.runId === twice.runId, once.id]).toEqual([
      true,
      true,
      expect.not.stringMatching(replayed.json().id),
    ]);
  });

  test("is taken once more for itself: a key that was used for another of its trigger is no other's", async () => {
    const user = await userWithTrigger({ template: "{{payload}}" });
    const replay = async ({ deliveryId }: { deliveryId: string }) => {
      const headers = { "idempotency-key": "once" };
      const answer = await gateway.call("POST", `/v1/deliveries/${deliveryId}/replay`, { token: user.token, headers });
      return { ...answer.json(), prompt: (await user.runOf(answer.json())).prompt as string };
    };
    const [one, two] = [(await user.deliver("one")).body, (await user.deliver("two")).body];
    const replayed = [await replay(one), await replay(two), await replay(one), await replay(two)];
    expect(replayed.map(({ replayOf, prompt }) => [replayOf, prompt])).toEqual([
      [one.deliveryId, "one"],
      [two.deliveryId, "two"],
      [one.deliveryId, "one"],
      [two.deliveryId, "two"],
    ]);
    expect(new Set(replayed.map(({ id }) => id)).size).toBe(2);
  });
});

describe("senders' own libraries", () => {
  test("standardwebhooks", async () => {
    const user = await userWithTrigger({ scheme: "standard", template: "{{payload.type}}" });
    const body = '{"type":"user.created"}';
    const at = new Date(gateway.deps.now());
    const headers = {
      "webhook-id": "msg_1",
      "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
      "webhook-signature": new Webhook(user.trigger.secret).sign("msg_1", at, body),
    };
    expect([(await user.deliver(body, headers)).status, (await user.deliver(body, headers)).status]).toEqual([
      202, 200,
    ]);
    expect((await user.deliver(`${body} `, headers)).status).toBe(401);
  });

  test("every example of GitHub's events is taken, byte by byte", async () => {
    // On a Worker the first of each event: what reads them is the same there.
    const most = gateway.rowsRead ? 1 : Infinity;
    const user = await userWithTrigger({
      scheme: "github",
      template:
        "{{headers.x-github-event}}: {{payload.action}} {{payload.repository.full_name}} {{payload.sender.login}}",
    });
    let count = 0;
    for (const { name, examples: payloads } of examples as unknown as { name: string; examples: object[] }[])
      for (const payload of payloads.slice(0, most)) {
        const body = JSON.stringify(payload);
        const headers = {
          "x-github-event": name,
          "x-github-delivery": `d-${++count}`,
          "x-hub-signature-256": await sign(user.trigger.secret, body),
        };
        const sent = await user.deliver(body, { ...headers, "content-type": "application/json" });
        expect([name, sent.status]).toEqual([name, 202]);
        const {
          action = "",
          repository,
          sender,
        } = payload as { action?: string; repository?: { full_name: string }; sender?: { login: string } };
        expect((await user.runOf(sent.body)).prompt).toBe(
          `${name}: ${action} ${repository?.full_name ?? ""} ${sender?.login ?? ""}`,
        );
      }
    expect(count).toBeGreaterThan(gateway.rowsRead ? 50 : 200);
  });
});
