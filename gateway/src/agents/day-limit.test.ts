import { sql } from "drizzle-orm";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { createTestApp, type TestApp } from "../../test/app.ts";
import { issueToken } from "../access/tokens.ts";
import { systemActor } from "../http/caller.ts";
import { answerJson, joinTestHost, makeRun, type TestHost } from "../../test/host.ts";

const [most, day] = [2 ** 20, 24 * 3600_000];
/** What a delivery takes beside what came in, as the database counts it. */
const deliveryBytes = 700;
let gateway: TestApp;
let host: TestHost;
beforeAll(async () => {
  gateway = await createTestApp({ BERTH_DAILY_TEXT_BYTES: String(most) });
  host = await joinTestHost(gateway);
});
afterEach(() => {
  host.handle = undefined;
  gateway.clock.skewMs = 0;
});
afterAll(async () => {
  await host.close();
  await gateway.close();
});

async function userWithAgent() {
  const user = await gateway.addUser(crypto.randomUUID());
  const audit = { actor: systemActor, address: null, action: "token.created" as const };
  const { token } = await issueToken(gateway.deps, audit, {
    userId: user.id,
    kind: "api",
    name: "t",
    seconds: 2 * 86_400,
  });
  const call = (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
    gateway.call(method, path, { token, body, headers });
  const agent = (await call("POST", "/v1/agents", { name: "a" })).json();
  const send = (prompt: string, more: object = {}, headers: Record<string, string> = {}) =>
    call("POST", `/v1/agents/${agent.id}/runs`, { prompt, ...more }, headers);
  /** How much of today is left by the rows themselves. */
  const left = async () => {
    const [row] = await gateway.deps.db.all<{ bytes: number }>(sql`select
      (select coalesce(sum(length(cast(prompt as blob)) + length(cast(data as blob))), 0) from runs where user_id = ${user.id}) +
      (select coalesce(sum(length(cast(payload as blob)) + length(cast(headers as blob)) + ${deliveryBytes}), 0) from deliveries where user_id = ${user.id}) as bytes`);
    return most - row!.bytes;
  };
  return { ...user, agent, call, send, left };
}

/** A text of so many bytes, most of them of longer letters. */
const textOf = (bytes: number) => "한".repeat(Math.floor(bytes / 3)) + "x".repeat(bytes % 3);

test("messages fill a day to the byte; beyond it they are refused until the next, and nobody else's are", async () => {
  const [user, other] = [await userWithAgent(), await userWithAgent()];
  expect((await user.send("first", {}, { "idempotency-key": "first" })).status).toBe(202);
  const left = await user.left();
  const secondsLeft = () => Math.ceil((day - (gateway.deps.now() % day)) / 1000);
  const before = secondsLeft();
  const refused = await user.send(textOf(left + 1));
  expect(refused.status).toBe(429);
  expect(refused.json()).toMatchObject({
    code: "rate_limited",
    limit: most,
    detail: expect.stringContaining("1048576"),
  });
  const retryAfter = Number(refused.headers.get("retry-after"));
  expect([retryAfter <= before, retryAfter >= secondsLeft()]).toEqual([true, true]);
  expect((await user.send(textOf(left))).status).toBe(202);
  expect((await user.send("x")).json().code).toBe("rate_limited");
  expect((await user.send("x", { ifBusy: "queue" })).json().code).toBe("rate_limited");
  expect((await user.send("first", {}, { "idempotency-key": "first" })).status).toBe(202);
  expect((await other.send("x")).status).toBe(202);
  gateway.clock.skewMs += day;
  await host.report();
  expect((await user.send("tomorrow")).status).toBe(202);
});

test("results that hosts tell count, and what they tell again does not", async () => {
  const user = await userWithAgent();
  const { id, createdAt } = (await user.send("x")).json();
  const before = await user.left();
  const ended = makeRun({
    id,
    createdAt,
    userId: user.id,
    agentId: user.agent.id,
    rev: ++host.rev,
    status: "completed",
    reason: "completed",
    result: "r".repeat(60_000),
  });
  for (let told = 0; told < 3; told++) await host.report({ runs: [{ ...ended, rev: ++host.rev }], rev: host.rev });
  const left = await user.left();
  expect(before - left).toBeGreaterThan(59_000);
  expect((await user.send(textOf(left + 1))).status).toBe(429);
  expect((await user.send(textOf(left))).status).toBe(202);
});

test("a message that waits is not reworded beyond it", async () => {
  const user = await userWithAgent();
  await user.send("x");
  host.handle = (_request, response) =>
    answerJson(response, 409, { ...problem, code: "agent_busy", runId: "run_other" });
  const waiting = await user.send("short", { ifBusy: "queue" });
  expect(waiting.json().status).toBe("pending");
  const left = await user.left();
  const reword = (prompt: string) => user.call("PATCH", `/v1/runs/${waiting.json().id}`, { prompt });
  expect((await reword(textOf(left + 1))).json().code).toBe("rate_limited");
  expect((await reword(textOf(left))).status).toBe(200);
});
const problem = { type: "about:blank", title: "-", status: 409, detail: "It is busy.", requestId: "req" };

test("deliveries count with what they bring, and one that came before is answered as it was", async () => {
  const user = await userWithAgent();
  const made = await user.call("POST", `/v1/agents/${user.agent.id}/triggers`, {
    name: "t",
    scheme: "token",
    template: "{{payload}}",
  });
  const trigger = made.json();
  const deliver = (body: string, id: string) =>
    gateway.app.request(`/hooks/${trigger.id}`, {
      method: "POST",
      body,
      headers: { authorization: `Bearer ${trigger.secret}`, "idempotency-key": id, "content-type": "text/plain" },
    });
  while ((await user.left()) > 400_000) expect((await user.send(textOf(200_000))).status).toBe(202);
  const left = await user.left();
  // Payload, and a prompt as long.
  const half = Math.floor(left / 2);
  const refused = await deliver("d".repeat(half + 1), "one");
  expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([429, "rate_limited"]);
  expect((await deliver("d".repeat(half), "two")).status).toBe(202);
  expect((await deliver("d".repeat(half), "three")).status).toBe(429);
  expect((await deliver("d".repeat(half), "two")).status).toBe(200);
});

test("deliveries of which nothing comes count as the rows that they are", async () => {
  const user = await userWithAgent();
  const rows = Array.from({ length: Math.floor(most / (deliveryBytes + 2)) - 1 }, (_, at) => at);
  await gateway.deps.atomic([
    sql`insert into deliveries (id, trigger_id, user_id, agent_id, received_at, headers, payload, bytes, outcome)
      select ${user.id} || value, 'trg_none', ${user.id}, ${user.agent.id}, ${new Date(gateway.deps.now()).toISOString()}, '{}', '', 0,
        'skipped' from json_each(${JSON.stringify(rows)})`,
  ]);
  expect((await user.send("there is room for little")).status).toBe(202);
  expect((await user.send("and no more than that ".repeat(80))).status).toBe(429);
});
