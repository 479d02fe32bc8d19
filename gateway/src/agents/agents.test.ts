import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestApp, type TestApp } from "../../test/app.ts";
import { joinTestHost, type TestHost } from "../../test/host.ts";

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

const create = (token: string, name: string) => gateway.call("POST", "/v1/agents", { token, body: { name } });

describe("agents", () => {
  test("a new agent is idle, has the defaults, and is in the list", async () => {
    const user = await gateway.addUser("fresh");
    const made = await create(user.token, "  first  ");
    expect(made.status).toBe(201);
    expect(made.json()).toMatchObject({
      name: "first",
      runtime: "claude",
      model: null,
      instructions: null,
      envKeys: [],
      status: "idle",
      lastRunId: null,
    });
    const listed = await gateway.call("GET", "/v1/agents", { token: user.token });
    expect(listed.json()).toEqual({ items: [made.json()], nextCursor: null });
    expect((await gateway.call("GET", `/v1/agents/${made.json().id}`, { token: user.token })).json()).toEqual(
      made.json(),
    );
  });

  test("fifty racing creations make exactly ten agents", async () => {
    const user = await gateway.addUser("racer");
    const answers = await Promise.all(Array.from({ length: 50 }, (_, at) => create(user.token, `agent ${at}`)));
    expect(answers.filter((answer) => answer.status === 201)).toHaveLength(10);
    const refused = answers.filter((answer) => answer.status === 409).map((answer) => answer.json());
    expect(refused).toHaveLength(40);
    for (const problem of refused) expect(problem).toMatchObject({ code: "agent_limit", limit: 10 });
  });

  test("a name is taken once per user, and free again after deletion", async () => {
    const [user, other] = [await gateway.addUser("namer"), await gateway.addUser("other namer")];
    const first = await create(user.token, "same");
    expect((await create(user.token, "same")).json().code).toBe("conflict");
    expect((await create(other.token, "same")).status).toBe(201);
    expect((await gateway.call("DELETE", `/v1/agents/${first.json().id}`, { token: user.token })).status).toBe(204);
    expect((await create(user.token, "same")).status).toBe(201);
  });

  test("a change of name to a taken one is a conflict, other changes hold", async () => {
    const user = await gateway.addUser("patcher");
    await create(user.token, "taken");
    const path = `/v1/agents/${(await create(user.token, "mine")).json().id}`;
    expect((await gateway.call("PATCH", path, { token: user.token, body: { name: "taken" } })).json().code).toBe(
      "conflict",
    );
    const changed = await gateway.call("PATCH", path, {
      token: user.token,
      body: { model: "m-1", instructions: "be kind" },
    });
    expect(changed.json()).toMatchObject({ name: "mine", model: "m-1", instructions: "be kind" });
    const cleared = await gateway.call("PATCH", path, { token: user.token, body: { name: "mine", model: null } });
    expect(cleared.json()).toMatchObject({ model: null, instructions: "be kind" });
    const going = { onInterruption: "continue", permissions: "ask" };
    const goesOn = await gateway.call("PATCH", path, { token: user.token, body: going });
    expect(goesOn.json()).toMatchObject(going);
    await gateway.call("POST", `${path}/runs`, { token: user.token, body: { prompt: "x" } });
    expect(JSON.parse(host.requests.at(-1)!.body).agent).toMatchObject(going);
    // The same again is no change.
    await gateway.call("PATCH", path, { token: user.token, body: going });
    const admin = await gateway.addUser("reader", "admin");
    const audit = await gateway.call("GET", "/v1/admin/audit?limit=3&action=agent.updated", { token: admin.token });
    const told = audit.json().items.map(({ target, detail }: { target: { name: string }; detail: object }) => ({
      ...detail,
      agent: target.name,
    }));
    expect(told).toEqual([
      { agent: "mine", changed: "permissions, onInterruption" },
      { agent: "mine", changed: "model" },
      { agent: "mine", changed: "model, instructions" },
    ]);
  });

  test("a repository is cloned into a directory of its name, or into the one that is named; the host hears of both", async () => {
    const user = await gateway.addUser("cloner");
    const repository = "https://git.example.com/team/shop.git";
    const make = (body: object) => gateway.call("POST", "/v1/agents", { token: user.token, body });
    const specOf = async (id: string) => {
      await gateway.call("POST", `/v1/agents/${id}/runs`, { token: user.token, body: { prompt: "x" } });
      const { directory, repository: url, repositoryDirectory } = JSON.parse(host.requests.at(-1)!.body).agent;
      return [directory, url, repositoryDirectory];
    };
    const named = (await make({ name: "a", repository })).json();
    expect(named).toMatchObject({ directory: "shop", repository });
    const elsewhere = (await make({ name: "b", repository, directory: "work/it" })).json();
    expect(elsewhere).toMatchObject({ directory: "work/it", repository });
    await gateway.call("PATCH", `/v1/agents/${named.id}`, { token: user.token, body: { directory: "shop/web" } });
    expect(await specOf(named.id)).toEqual(["shop/web", repository, "shop"]);
    expect(await specOf(elsewhere.id)).toEqual(["work/it", repository, "work/it"]);
    for (const bad of [{ repository: "https://me:token@git.example.com/x" }, { directory: "../x" }])
      expect((await make({ name: "c", ...bad })).json()).toMatchObject({
        code: "invalid_request",
        errors: [{ path: Object.keys(bad)[0] }],
      });
  });

  test("the directory changes while no run is in progress; everything else, and what stays the same, always", async () => {
    const user = await gateway.addUser("mover");
    const { id } = (await create(user.token, "m")).json();
    const change = (body: object) => gateway.call("PATCH", `/v1/agents/${id}`, { token: user.token, body });
    expect((await change({ directory: "web" })).json()).toMatchObject({ directory: "web" });
    const started = await gateway.call("POST", `/v1/agents/${id}/runs`, { token: user.token, body: { prompt: "x" } });
    const runId = started.json().id;
    expect((await change({ directory: null })).json()).toMatchObject({ status: 409, code: "agent_busy", runId });
    expect((await change({ directory: "web", name: "n" })).json()).toMatchObject({ directory: "web", name: "n" });
    await gateway.call("POST", `/v1/runs/${runId}/cancel`, { token: user.token });
    expect((await change({ directory: null })).json()).toMatchObject({ directory: null });
    expect(
      (await gateway.call("PATCH", "/v1/agents/agt_none", { token: user.token, body: { directory: "x" } })).status,
    ).toBe(404);
  });

  test("every change raises the version that a run carries to the host", async () => {
    const user = await gateway.addUser("versions");
    const { id } = (await create(user.token, "v")).json();
    const versionSent = async () => {
      await gateway.call("POST", `/v1/agents/${id}/runs`, { token: user.token, body: { prompt: "x" } });
      return JSON.parse(host.requests.at(-1)!.body).agent.version as number;
    };
    expect(await versionSent()).toBe(1);
    await gateway.call("PATCH", `/v1/agents/${id}`, { token: user.token, body: { name: "w" } });
    expect(await versionSent()).toBe(2);
  });

  test("the environment goes to the host and only its names come back", async () => {
    const user = await gateway.addUser("env", "admin");
    const path = `/v1/agents/${(await create(user.token, "e")).json().id}`;
    const set = await gateway.call("PUT", `${path}/env`, { token: user.token, body: { API_TOKEN: "s3cret-value" } });
    expect(set.status).toBe(200);
    expect(set.json().envKeys).toEqual(["API_TOKEN"]);
    expect(JSON.parse(host.requests.at(-1)!.body).env).toEqual({ API_TOKEN: "s3cret-value" });
    const patch = await gateway.call("PATCH", `${path}/env`, {
      token: user.token,
      body: { A: "s3cret-value", B: null },
    });
    expect([patch.status, host.requests.at(-1)!.method]).toEqual([200, "PATCH"]);
    expect(JSON.parse(host.requests.at(-1)!.body).env).toEqual({ A: "s3cret-value", B: null });
    const { action, detail } = (await gateway.call("GET", "/v1/admin/audit?limit=1", { token: user.token })).json()
      .items[0];
    expect([action, detail.variables]).toEqual(["agent.environment_set", 2]);
    expect((await gateway.call("GET", path, { token: user.token })).text).not.toContain("s3cret-value");
    expect(gateway.lines.join("\n")).not.toContain("s3cret-value");
    const reserved = await gateway.call("PUT", `${path}/env`, { token: user.token, body: { ANTHROPIC_API_KEY: "x" } });
    expect(reserved.json().code).toBe("invalid_request");
  });

  test("a new conversation is begun by the host, if the user has one; its refusal is passed on", async () => {
    const user = await gateway.addUser("resetter");
    const agent = (await create(user.token, "talker")).json();
    const reset = () => gateway.call("POST", `/v1/agents/${agent.id}/reset`, { token: user.token });
    const unplaced = await reset();
    expect([unplaced.status, unplaced.json()]).toEqual([200, agent]);
    await gateway.call("PUT", `/v1/agents/${agent.id}/env`, { token: user.token, body: {} });
    const answers = [
      [204, ""],
      [409, JSON.stringify({ type: "", title: "", status: 409, detail: "Busy.", code: "agent_busy", requestId: "r" })],
    ] as const;
    for (const [status, body] of answers) {
      host.handle = (_request, response) => void response.writeHead(status).end(body);
      const answer = await reset();
      expect([answer.status, answer.json().code]).toEqual(status === 204 ? [200, undefined] : [409, "agent_busy"]);
    }
    host.handle = undefined;
    const told = host.requests.at(-1)!;
    expect(told).toMatchObject({ method: "POST", path: `/v1/agents/${agent.id}/reset` });
    expect(JSON.parse(told.body)).toMatchObject({ id: agent.id, directory: null });
  });

  test("a deletion that the host did not hear is in the answer to its reports until it has dropped the agent", async () => {
    const user = await gateway.addUser("deleter");
    const { id } = (await create(user.token, "d")).json();
    await gateway.call("PUT", `/v1/agents/${id}/env`, { token: user.token, body: { A: "1" } });
    host.handle = (_request, response) => void response.destroy();
    expect((await gateway.call("DELETE", `/v1/agents/${id}`, { token: user.token })).status).toBe(204);
    host.handle = undefined;
    expect((await gateway.call("GET", `/v1/agents/${id}`, { token: user.token })).status).toBe(404);
    expect((await host.report()).json().deletedAgents).toEqual([id]);
    expect((await host.report()).json().deletedAgents).toEqual([id]);
    const dropped = { id, userId: user.id, envKeys: [], rev: ++host.rev, deleted: true };
    expect((await host.report({ agents: [dropped], rev: host.rev })).json().deletedAgents).toEqual([]);
  });

  test.each([
    [{}, "name"],
    [{ name: "" }, "name"],
    [{ name: "x".repeat(65) }, "name"],
    [{ name: "a\0b" }, "name"],
    [{ name: 7 }, "name"],
    [{ name: "x", color: "crimson" }, "color"],
    [{ name: "x", runtime: "python" }, "runtime"],
    [{ name: "x", model: "two words" }, "model"],
    [[], ""],
    ["null", ""],
  ])("the body %j is refused at path %j without an echo", async (body, path) => {
    const user = await gateway.addUser(`bad ${crypto.randomUUID()}`);
    const answer = await gateway.call("POST", "/v1/agents", { token: user.token, body });
    expect(answer.status).toBe(400);
    expect(answer.json()).toMatchObject({ code: "invalid_request", errors: [{ path }] });
    expect(answer.text).not.toMatch(/two words|python|crimson/);
  });
});
