import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { createTestApp, type TestApp } from "../../test/app.ts";
import { answerJson, joinTestHost, type TestHost } from "../../test/host.ts";

let gateway: TestApp;
let host: TestHost;
beforeAll(async () => {
  gateway = await createTestApp();
  host = await joinTestHost(gateway);
});
afterAll(async () => {
  await host.close();
  await gateway.close();
});
beforeEach(() => host.reach());

/** A run that its host has ended, and reported so to nobody. */
async function endUntold() {
  const user = await gateway.addUser(crypto.randomUUID());
  const agent = (await gateway.call("POST", "/v1/agents", { token: user.token, body: { name: "a" } })).json();
  const send = (prompt: string) =>
    gateway.call("POST", `/v1/agents/${agent.id}/runs`, {
      token: user.token,
      body: { prompt },
      headers: { "idempotency-key": "once" },
    });
  const { id } = (await send("hello")).json() as { id: string };
  const end = { status: "completed", reason: "completed", exitCode: 0, endedAt: new Date().toISOString() } as const;
  host.runs.set(id, { ...host.runs.get(id)!, ...end, rev: ++host.rev });
  const get = async () => (await gateway.call("GET", `/v1/runs/${id}`, { token: user.token })).json();
  const timesAsked = () =>
    host.requests.filter(({ method, path }) => method === "GET" && path === `/v1/runs/${id}`).length;
  return { id, send, get, timesAsked };
}

/** So much time passes in which no report comes. */
async function whileSilent(ms: number, act: () => Promise<unknown>): Promise<void> {
  gateway.clock.skewMs += ms;
  await act();
  gateway.clock.skewMs -= ms;
}

test("of a host that reports in time a run is what it has reported", async () => {
  const { get, timesAsked } = await endUntold();
  await host.report();
  await whileSilent(1000, async () => expect(await get()).toMatchObject({ status: "starting" }));
  expect(timesAsked()).toBe(0);
});

test("of a host whose reports are late a run is what the host says, and stays that", async () => {
  const { id, get, timesAsked } = await endUntold();
  await whileSilent(10_000, async () =>
    expect(await get()).toMatchObject({ id, prompt: "hello", status: "completed", exitCode: 0 }),
  );
  expect(await get()).toMatchObject({ status: "completed" });
  expect(timesAsked()).toBe(1);
});

test("a key that is repeated meanwhile is answered the same, and sends no message again", async () => {
  const { id, send, timesAsked } = await endUntold();
  const sent = host.requests.filter(({ path }) => path === "/v1/runs").length;
  await whileSilent(10_000, async () => {
    expect((await send("hello")).json()).toMatchObject({ id, prompt: "hello", status: "completed" });
    expect((await send("something else")).status).toBe(409);
  });
  expect(timesAsked()).toBe(1);
  expect(host.requests.filter(({ path }) => path === "/v1/runs")).toHaveLength(sent);
});

test.each([
  ["breaks off", 0],
  ["knows nothing of it", 404],
  ["says something else", 200],
])("where the host %s the run is what it has reported", async (_what, status) => {
  const { get } = await endUntold();
  host.handle = (_request, response) => (status === 0 ? void response.destroy() : answerJson(response, status, {}));
  await whileSilent(10_000, async () => expect(await get()).toMatchObject({ status: "starting" }));
  host.handle = undefined;
});
