import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestApp, type TestApp } from "../../test/app.ts";
import { joinTestHost, makeRun, type TestHost } from "../../test/host.ts";

let gateway: TestApp;
let host: TestHost;
let user: Awaited<ReturnType<TestApp["addUser"]>>;
let agentId: string;
beforeAll(async () => {
  gateway = await createTestApp();
  host = await joinTestHost(gateway);
  user = await gateway.addUser("writer");
  agentId = (await gateway.call("POST", "/v1/agents", { token: user.token, body: { name: "a" } })).json().id;
  await gateway.call("POST", `/v1/agents/${agentId}/runs`, { token: user.token, body: { prompt: "first" } });
});
afterAll(async () => {
  await host.close();
  await gateway.close();
});

const get = async (path: string) => (await gateway.call("GET", path, { token: user.token })).json();
const told = (id: string, prompt: string, more = {}) =>
  makeRun({ id, userId: user.id, agentId, rev: ++host.rev, prompt, ...more });

describe("a report", () => {
  test.each([
    ["control characters", "\u0001"],
    ["line ends", "\n"],
    ["quotes", '"'],
    ["characters of three bytes", "語"],
  ])("brings a prompt of 1 MiB of %s, whole", async (what, character) => {
    const prompt = character.repeat(2 ** 20 / new TextEncoder().encode(character).length);
    const run = told(`run_${what.replaceAll(" ", "_")}`, prompt, { result: "\u0001".repeat(65_536) });
    expect((await host.report({ runs: [run], rev: host.rev })).status).toBe(200);
    const { prompt: kept, result } = await get(`/v1/runs/${run.id}`);
    expect(kept === prompt).toBe(true);
    expect(result).toBe(run.result);
    expect((await get("/v1/runs?limit=1")).items).toHaveLength(1);
  });

  test("brings 200 runs with their prompts, long and short, each its own", async () => {
    const runs = Array.from({ length: 200 }, (_, at) => told(`run_${at}`, `${at}`.repeat(at % 20 === 0 ? 30_000 : 1)));
    const before = new Map(runs.map((run) => [run.id, run.prompt]));
    expect((await host.report({ runs, rev: host.rev })).json().ack.rev).toBe(host.rev);
    for (const id of ["run_0", "run_1", "run_100", "run_180", "run_199"])
      expect((await get(`/v1/runs/${id}`)).prompt === before.get(id)).toBe(true);
  });

  test("brings more workspaces than one value of D1 holds", async () => {
    const workspace = (await get("/v1/me")).workspace;
    const reason = "x".repeat(200_000);
    const workspaces = Array.from({ length: 15 }, (_, at) => ({
      ...workspace,
      reason,
      userId: at === 14 ? user.id : `usr_${at}`,
    }));
    expect((await host.report({ workspaces })).status).toBe(200);
    expect((await get("/v1/me")).workspace.reason).toBe(reason);
  });
});
