import { sql } from "drizzle-orm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestApp, type TestApp } from "../../test/app.ts";
import { emptyUsage, joinTestHost, makeRun, type TestHost } from "../../test/host.ts";

let gateway: TestApp;
let host: TestHost;
let boss: Awaited<ReturnType<TestApp["addUser"]>>;
beforeAll(async () => {
  gateway = await createTestApp({ BERTH_DAILY_BUDGET_USD: "2", BERTH_RUN_BUDGET_USD: "1" });
  host = await joinTestHost(gateway);
  boss = await gateway.addUser("boss", "admin");
});
afterAll(async () => {
  await host.close();
  await gateway.close();
});

const day = (ago: number) => new Date(gateway.deps.now() - ago * 86_400_000).toISOString();

async function spender(name: string) {
  const user = await gateway.addUser(name);
  const call = (method: string, path: string, body?: object) =>
    gateway.call(method, path, { token: user.token, ...(body && { body }) });
  const agent = (await call("POST", "/v1/agents", { name: "a" })).json();
  await call("POST", `/v1/agents/${agent.id}/runs`, { prompt: "placed" });
  const tell = async (id: string, costUsd: number, more: object = {}) => {
    const usage = { ...emptyUsage, inputTokens: 100, outputTokens: 5, costUsd };
    const run = makeRun({ id, userId: user.id, agentId: agent.id, rev: ++host.rev, usage, createdAt: day(0), ...more });
    expect((await host.report({ runs: [run], rev: host.rev })).status).toBe(200);
  };
  return { ...user, agent, call, tell, use: async (query = "") => (await call("GET", `/v1/use${query}`)).json() };
}

test("what runs cost is summed by day and agent as it grows, and what is left of the day is told", async () => {
  const user = await spender("spender");
  await user.tell("run_a", 0.25);
  await user.tell("run_b", 0.5, { createdAt: day(3) });
  await user.tell("run_a", 0.75, { status: "completed", reason: "completed" });
  const { days, agents, budget, since } = await user.use();
  expect(since).toBe(day(29).slice(0, 10));
  expect(days).toEqual([
    { day: day(3).slice(0, 10), runs: 1, tokens: 105, costUsd: 0.5 },
    { day: day(0).slice(0, 10), runs: 2, tokens: 105, costUsd: 0.75 },
  ]);
  expect(agents).toEqual([{ agentId: user.agent.id, name: "a", runs: 3, tokens: 210, costUsd: 1.25 }]);
  expect(budget).toEqual({ runUsd: 1, dailyUsd: 2, leftTodayUsd: 1.25 });
  expect((await user.use("?days=2")).days).toHaveLength(1);
});

test("it outlives the runs, and is nobody else's to see but an admin's", async () => {
  const [user, other] = [await spender("keeper"), await spender("other")];
  await user.tell("run_c", 1.5);
  await gateway.deps.atomic([sql`delete from runs where user_id = ${user.id} returning id`]);
  expect((await user.use()).days[0]).toMatchObject({ runs: 2, costUsd: 1.5 });
  expect((await other.use()).days[0]).toMatchObject({ runs: 1, costUsd: 0 });
  const all = (await gateway.call("GET", "/v1/admin/use", { token: boss.token })).json();
  expect(all.users).toContainEqual({ userId: user.id, runs: 2, tokens: 105, costUsd: 1.5 });
  expect(all.days.at(-1).costUsd).toBeGreaterThanOrEqual(1.5);
});

test("an admin sees of each user when they last signed in, where they are, and how many agents they have", async () => {
  const user = await spender("seen");
  const listed = async () => {
    const { items } = (await gateway.call("GET", "/v1/admin/users?limit=200", { token: boss.token })).json();
    return items.find(({ id }: { id: string }) => id === user.id);
  };
  expect(await listed()).toMatchObject({ lastSignInAt: null, hostId: host.id, agents: 1 });
  const link = await gateway.call("POST", `/v1/admin/users/${user.id}/links`, { token: boss.token });
  await gateway.call("POST", "/session", { body: { code: link.json().url.split("#code=")[1] } });
  expect(Date.parse((await listed()).lastSignInAt)).toBeGreaterThan(gateway.deps.now() - 60_000);
});

test("an admin signs a user out of every browser, and leaves their tokens", async () => {
  const user = await spender("out");
  const link = async () =>
    (await gateway.call("POST", `/v1/admin/users/${user.id}/links`, { token: boss.token }))
      .json()
      .url.split("#code=")[1];
  const [used, unused] = [await link(), await link()];
  const signIn = (code: string) => gateway.call("POST", "/session", { body: { code } });
  const cookie = (await signIn(used)).headers.get("set-cookie")!.split(";")[0]!;
  const me = (headers: Record<string, string>) => gateway.call("GET", "/v1/me", { headers });
  expect((await me({ cookie })).status).toBe(200);
  const path = `/v1/admin/users/${user.id}/sessions`;
  expect((await gateway.call("DELETE", path, { token: boss.token })).status).toBe(204);
  expect([(await me({ cookie })).status, (await signIn(unused)).status]).toEqual([401, 401]);
  expect((await me({ authorization: `Bearer ${user.token}` })).status).toBe(200);
  const audit = `/v1/admin/audit?action=user.signed_out&target=${user.id}`;
  expect((await gateway.call("GET", audit, { token: boss.token })).json().items).toHaveLength(1);
});
