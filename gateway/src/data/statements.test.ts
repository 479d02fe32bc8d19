import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestApp, type TestApp } from "../../test/app.ts";
import { joinTestHost, makeRun, type TestHost } from "../../test/host.ts";

let gateway: TestApp;
let host: TestHost;
let admin: Awaited<ReturnType<TestApp["addUser"]>>;
beforeAll(async () => {
  gateway = await createTestApp({ BERTH_MAX_AGENTS: "1000" });
  host = await joinTestHost(gateway);
  admin = await gateway.addUser("admin", "admin");
});
afterAll(async () => {
  await host.close();
  await gateway.close();
});

const call = async (method: string, path: string, body?: unknown) => {
  const answer = await gateway.call(method, path, { token: admin.token, body });
  expect(answer.status, `${method} ${path}`).toBeLessThan(300);
  return answer.status === 204 ? null : answer.json();
};

/** How many statements each call takes now. The call before it notes the use of the token, which is done once a minute. */
async function countEach(calls: [method: string, path: string, body?: unknown][]): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const [method, path, body] of calls) {
    await call("GET", "/v1/tokens");
    const before = gateway.statements();
    await call(method, path, body);
    counts[`${method} ${path.split("?")[0]!}`] = gateway.statements() - before;
  }
  return counts;
}

test("a call takes as many statements for much as for little", async () => {
  const agent = await call("POST", "/v1/agents", { name: "first" });
  const trigger = await call("POST", `/v1/agents/${agent.id}/triggers`, { name: "t", scheme: "token", template: "x" });
  const run = await call("POST", `/v1/agents/${agent.id}/runs`, { prompt: "first" });
  const measure = (name: string) =>
    countEach([
      ["GET", "/v1/me"],
      ["GET", "/v1/agents?limit=200"],
      ["GET", `/v1/agents/${agent.id}`],
      ["PATCH", `/v1/agents/${agent.id}`, { instructions: name }],
      ["POST", "/v1/agents", { name }],
      ["POST", `/v1/agents/${agent.id}/runs`, { prompt: name }],
      ["GET", "/v1/runs?limit=200"],
      ["GET", `/v1/runs?limit=200&agentId=${agent.id}`],
      ["GET", `/v1/runs/${run.id}`],
      ["POST", "/v1/tokens", { name }],
      ["GET", "/v1/tokens?limit=200"],
      ["GET", `/v1/agents/${agent.id}/triggers?limit=200`],
      ["GET", `/v1/triggers/${trigger.id}`],
      ["GET", `/v1/triggers/${trigger.id}/deliveries?limit=200`],
      ["GET", "/v1/admin/users?limit=200"],
      ["GET", "/v1/admin/hosts?limit=200"],
      ["GET", "/v1/admin/audit?limit=200"],
    ]);
  const little = await measure("one");
  for (let at = 0; at < 15; at++) {
    await call("POST", "/v1/agents", { name: `agent ${at}` });
    await call("POST", "/v1/tokens", { name: `token ${at}` });
    if (at < 10)
      await call("POST", `/v1/agents/${agent.id}/triggers`, { name: `t ${at}`, scheme: "token", template: "x" });
    await gateway.addUser(`user ${at}`);
  }
  const runs = Array.from({ length: 150 }, (_, at) =>
    makeRun({ id: `run_${at}`, userId: admin.id, agentId: agent.id, rev: at + 100 }),
  );
  expect((await host.report({ runs, rev: 300 })).status).toBe(200);
  expect(await measure("two")).toEqual(little);
  expect(Math.min(...Object.values(little))).toBeGreaterThan(0);
  // Where it lands as a copy, how it is synced is said before and after.
  expect(Math.max(...Object.values(little))).toBeLessThan(12);
});
