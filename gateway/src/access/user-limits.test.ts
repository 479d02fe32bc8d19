import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createTestApp, type TestApp } from "../../test/app.ts";
import { claimsOf, joinTestHost, type TestHost } from "../../test/host.ts";
import { until } from "../../test/wait.ts";

let gateway: TestApp;
let host: TestHost;
let boss: Awaited<ReturnType<TestApp["addUser"]>>;
let user: typeof boss;
beforeEach(async () => {
  gateway = await createTestApp({ BERTH_DAILY_BUDGET_USD: "5" });
  host = await joinTestHost(gateway);
  boss = await gateway.addUser("boss", "admin");
  user = await gateway.addUser("ada");
});
afterEach(async () => {
  await host.close();
  await gateway.close();
});

const ask = (method: string, path: string, body?: object) => gateway.call(method, path, { token: user.token, body });
const limit = (limits: object, id = user.id) =>
  gateway.call("PATCH", `/v1/admin/users/${id}`, { token: boss.token, body: { limits } });
const listed = async () => {
  const { items } = (await gateway.call("GET", "/v1/admin/users", { token: boss.token })).json();
  return items.find(({ id }: { id: string }) => id === user.id).limits;
};
const audited = async () => {
  const path = `/v1/admin/audit?action=user.limits_set&target=${user.id}`;
  return (await gateway.call("GET", path, { token: boss.token })).json().items;
};
const none = { agents: null, concurrentRuns: null, memoryBytes: null, cpus: null, diskBytes: null };
const told = () => host.requests.map((request) => [request.path, claimsOf(request)["limits"]]);

describe("a user's own limits", () => {
  test("stand in place of the settings, one by one, until they are null again", async () => {
    await limit({ agents: 1, dailyBudgetUsd: 2, concurrentRuns: 7 });
    await limit({ concurrentRuns: null, cpus: 0.5 });
    expect(await listed()).toEqual({ ...none, agents: 1, dailyBudgetUsd: 2, cpus: 0.5 });
    const me = (await ask("GET", "/v1/me")).json();
    expect(me.limits).toMatchObject({ agents: 1, concurrentRuns: 3, cpus: 0.5, dailyBudgetUsd: 2 });
    expect(me.user).not.toHaveProperty("limits");
    expect(me.workspace.cpu.cores).toBe(0.5);
    expect((await ask("GET", "/v1/use")).json().budget).toMatchObject({ dailyUsd: 2, leftTodayUsd: 2 });
    expect((await ask("POST", "/v1/agents", { name: "one" })).status).toBe(201);
    const refused = await ask("POST", "/v1/agents", { name: "two" });
    expect(refused.json()).toMatchObject({ code: "agent_limit", limit: 1 });
    await limit({ agents: 2, dailyBudgetUsd: null });
    expect((await ask("POST", "/v1/agents", { name: "two" })).status).toBe(201);
    expect((await ask("GET", "/v1/use")).json().budget.dailyUsd).toBe(5);
    const other = (await gateway.call("GET", "/v1/me", { token: boss.token })).json();
    expect(other.limits).toMatchObject({ agents: 10, dailyBudgetUsd: 5, cpus: 1 });
  });

  test("are written down where they change, with what they became", async () => {
    await limit({ agents: 4 });
    await limit({ agents: 4 });
    await limit({ agents: 4, cpus: 2, diskBytes: null });
    await limit({ agents: null });
    const entries = (await audited()) as { detail: object; actor: { id: string } }[];
    expect([entries[0]!.actor.id, ...entries.map(({ detail }) => detail)]).toEqual([
      boss.id,
      { agents: null },
      { cpus: 2 },
      { agents: 4 },
    ]);
  });

  test("reach the user's host at once, and with each call, also with those that nobody is there to make", async () => {
    const agent = (await ask("POST", "/v1/agents", { name: "a" })).json();
    const body = { name: "t", scheme: "token", template: "x" };
    const trigger = (await ask("POST", `/v1/agents/${agent.id}/triggers`, body)).json();
    await limit({ memoryBytes: 2 ** 28 });
    expect(told()).toEqual([]);
    await gateway.call("POST", `/hooks/${trigger.id}`, { token: trigger.secret, body: {} });
    await until(async () => told().length > 0, "the webhook's run is started");
    expect(told()).toEqual([["/v1/runs", { memoryBytes: 2 ** 28 }]]);
    await limit({ memoryBytes: null, diskBytes: 2 ** 30 });
    expect(told().at(-1)).toEqual(["/v1/workspace", { diskBytes: 2 ** 30 }]);
  });

  test("are set also while the host is away", async () => {
    await ask("POST", `/v1/agents/${(await ask("POST", "/v1/agents", { name: "a" })).json().id}/runs`, { prompt: "x" });
    host.handle = (_request, response) => void response.destroy();
    expect((await limit({ cpus: 2 })).status).toBe(200);
    host.handle = undefined;
    await ask("GET", "/v1/workspace");
    expect(told().at(-1)).toEqual(["/v1/workspace", { cpus: 2 }]);
  });

  test.each([
    { agents: 0 },
    { concurrentRuns: 1.5 },
    { memoryBytes: 1 },
    { cpus: -1 },
    { dailyBudgetUsd: "1" },
    { pids: 5 },
  ])("of %j are refused", async (limits) => {
    expect((await limit(limits)).json().code).toBe("invalid_request");
    expect(await listed()).toEqual({ ...none, dailyBudgetUsd: null });
  });

  test("of nobody are not found", async () => {
    expect((await limit({ agents: 1 }, "usr_none")).status).toBe(404);
  });
});
