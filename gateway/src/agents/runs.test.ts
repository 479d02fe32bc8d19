import { protocolVersion } from "@berth/shared/host-api";
import { runIdOf } from "@berth/shared/ids";
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestApp, type TestApp } from "../../test/app.ts";
import { answerJson, claimsOf, joinTestHost, makeRun, type TestHost } from "../../test/host.ts";

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

async function userWithAgent() {
  await host.reach();
  const user = await gateway.addUser(crypto.randomUUID());
  const agent = (await gateway.call("POST", "/v1/agents", { token: user.token, body: { name: "a" } })).json();
  const send = (body: unknown, headers: Record<string, string> = {}) =>
    gateway.call("POST", `/v1/agents/${agent.id}/runs`, { token: user.token, body, headers });
  const get = (path: string) => gateway.call("GET", path, { token: user.token });
  return { ...user, agentId: agent.id as string, send, get };
}

const startsSent = () => host.requests.filter((request) => request.path === "/v1/runs").length;

describe("starting a run", () => {
  test("the run goes to the host with prompt, agent and credential, and is in the copy at once", async () => {
    const user = await userWithAgent();
    const made = await user.send({ prompt: 'it\'s "quoted" --flag 🙂\n' });
    expect(made.status).toBe(202);
    const sent = host.requests.at(-1)!;
    const body = JSON.parse(sent.body);
    expect(body.run).toEqual({
      id: made.json().id,
      trigger: { kind: "api", triggerId: null },
      attachments: [],
      prompt: 'it\'s "quoted" --flag 🙂\n',
      payload: null,
    });
    expect(body.agent).toMatchObject({ id: user.agentId, version: 1, name: "a", runtime: "claude" });
    expect(sent.headers["berth-protocol"]).toBe(String(protocolVersion));
    const claims = claimsOf(sent);
    expect(claims).toMatchObject({ aud: host.id, sub: user.id, tid: user.tokenId });
    expect(claims.exp! - claims.iat!).toBe(30);
    expect((await user.get(`/v1/runs/${made.json().id}`)).json()).toEqual(made.json());
    expect(made.json()).not.toHaveProperty("userId");
    expect((await user.get(`/v1/agents/${user.agentId}`)).json()).toMatchObject({
      status: "running",
      lastRunId: made.json().id,
    });
  });

  test("the same Idempotency-Key meets the first run without another call to the host", async () => {
    const user = await userWithAgent();
    const key = { "idempotency-key": "once" };
    const first = await user.send({ prompt: "one" }, key);
    expect(first.json().id).toBe(await runIdOf(user.id, user.agentId, "once"));
    const calls = startsSent();
    expect((await user.send({ prompt: "one" }, key)).json()).toEqual(first.json());
    expect(startsSent()).toBe(calls);
    expect((await user.send({ prompt: "two" }, key)).json()).toMatchObject({
      code: "conflict",
      runId: first.json().id,
    });
  });

  test("a retry after the gateway lost the answer meets the run that the host has", async () => {
    const user = await userWithAgent();
    const key = { "idempotency-key": "lost" };
    const first = await user.send({ prompt: "one" }, key);
    const { sql } = await import("drizzle-orm");
    await gateway.deps.atomic([sql`delete from runs where id = ${first.json().id}`]);
    expect((await user.send({ prompt: "two" }, key)).json().code).toBe("conflict");
    await gateway.deps.atomic([sql`delete from runs where id = ${first.json().id}`]);
    expect((await user.send({ prompt: "one" }, key)).json()).toEqual(first.json());
  });

  test("a prompt of 1 MiB of UTF-8 goes through and a byte more does not", async () => {
    const user = await userWithAgent();
    const whole = "é".repeat(524_288);
    expect((await user.send({ prompt: whole })).json().prompt).toBe(whole);
    expect((await user.send({ prompt: `${whole}x` })).json().code).toBe("payload_too_large");
    const another = await userWithAgent();
    for (const off of [-4, -3, -2, -1, 1, 2, 3, 4]) {
      const prompt = off < 0 ? whole.slice(0, off) + "x".repeat(-off) : whole.slice(0, -1) + "x".repeat(2 + off);
      expect([off, (await another.send({ prompt })).status]).toEqual([off, off < 0 ? 202 : 413]);
    }
  });

  test("a prompt of 1 MiB goes through though its client writes every letter as an escape", async () => {
    const user = await userWithAgent();
    const whole = "ж".repeat(524_288);
    const body = `{"prompt":"${"\\u0436".repeat(524_288)}"}`;
    const headers = { "content-type": "application/json" };
    const answer = await gateway.call("POST", `/v1/agents/${user.agentId}/runs`, { token: user.token, headers, body });
    expect([answer.status, answer.json().prompt === whole]).toEqual([202, true]);
  });

  test.each([
    [{}],
    [{ prompt: "" }],
    [{ prompt: " \n\t " }],
    [{ prompt: "a\0b" }],
    [{ prompt: "\ud800" }],
    [{ prompt: 1 }],
    [{ prompt: "x", agent: "y" }],
  ])("the body %j is refused", async (body) => {
    const user = await userWithAgent();
    expect((await user.send(body)).json().code).toBe("invalid_request");
  });

  test("a key that is no visible ASCII is refused", async () => {
    const user = await userWithAgent();
    const answer = await user.send({ prompt: "x" }, { "idempotency-key": "two words" });
    expect(answer.json()).toMatchObject({ code: "invalid_request", errors: [{ path: "Idempotency-Key" }] });
  });

  test("the host's own problem is passed on under our request id", async () => {
    const user = await userWithAgent();
    const problem = {
      type: "about:blank",
      title: "-",
      status: 429,
      detail: "Three runs.",
      code: "run_limit",
      requestId: "the host's",
      limit: 3,
    };
    host.handle = (_request, response) => answerJson(response, 429, problem, { "retry-after": "7" });
    const answer = await user.send({ prompt: "x" });
    host.handle = undefined;
    expect(answer.status).toBe(429);
    expect(answer.headers.get("retry-after")).toBe("7");
    expect(answer.json()).toMatchObject({ code: "run_limit", limit: 3, requestId: answer.headers.get("x-request-id") });
  });

  test.each([
    ["closes the connection", (response) => void response.destroy()],
    ["answers 502 without a problem", (response) => void response.writeHead(502).end("<html>")],
    ["answers something else", (response) => answerJson(response, 202, { run: 1 })],
    [
      "refuses the gateway's own credential",
      (response) =>
        answerJson(response, 401, {
          type: "-",
          title: "-",
          status: 401,
          detail: "-",
          code: "unauthenticated",
          requestId: "-",
        }),
    ],
  ] as [string, (response: Parameters<NonNullable<TestHost["handle"]>>[1]) => void][])(
    "a host that %s is host_unavailable",
    async (_what, answerWith) => {
      const user = await userWithAgent();
      host.handle = (_request, response) => answerWith(response);
      const answer = await user.send({ prompt: "x" });
      host.handle = undefined;
      expect(answer.json().code).toBe("host_unavailable");
      expect(answer.headers.get("retry-after")).toBe("2");
    },
  );
});

describe("reading runs", () => {
  test("the list has the newest first, in pages, by agent, by status and by what started them", async () => {
    const user = await userWithAgent();
    const reported = Array.from({ length: 7 }, (_, at) =>
      makeRun({
        id: `run_${user.id}_${at}`.slice(0, 40),
        userId: user.id,
        agentId: at % 2 ? "agt_other" : user.agentId,
        rev: ++host.rev,
        status: at < 3 ? "completed" : "running",
        ...(at === 1 && { trigger: { kind: "webhook", triggerId: "trg_one" } }),
        createdAt: `2026-01-0${Math.min(at, 5) + 1}T00:00:00.000Z`,
      }),
    );
    await user.send({ prompt: "places the user" });
    expect((await host.report({ runs: reported, rev: host.rev })).status).toBe(200);
    const ids: string[] = [];
    for (let cursor: string | null = ""; cursor !== null;) {
      const page = (await user.get(`/v1/runs?limit=3${cursor && `&cursor=${cursor}`}`)).json();
      ids.push(...page.items.map((run: { id: string }) => run.id));
      cursor = page.nextCursor;
    }
    expect(ids).toHaveLength(8);
    expect(ids.slice(1)).toEqual(reported.map((run) => run.id).toReversed());
    const completed = (await user.get("/v1/runs?status=completed")).json().items;
    expect(completed.map((run: { id: string }) => run.id)).toEqual([2, 1, 0].map((at) => reported[at]!.id));
    expect((await user.get("/v1/runs?agentId=agt_other")).json().items).toHaveLength(3);
    const hooked = (await user.get("/v1/runs?triggerKind=webhook")).json().items;
    expect(hooked).toMatchObject([{ id: reported[1]!.id }]);
    expect((await user.get("/v1/runs?triggerId=trg_one")).json().items).toEqual(hooked);
    expect((await user.get("/v1/runs?triggerKind=api")).json().items).toHaveLength(7);
  });

  test("a page of very long runs ends early and loses none", async () => {
    const user = await userWithAgent();
    const prompt = "x".repeat(300_000);
    for (let at = 0; at < 6; at++) expect((await user.send({ prompt })).status).toBe(202);
    const first = (await user.get("/v1/runs")).json();
    expect(first.items).toHaveLength(3);
    const second = (await user.get(`/v1/runs?cursor=${first.nextCursor}`)).json();
    expect(second).toMatchObject({ nextCursor: null });
    expect(second.items).toHaveLength(3);
  });

  test("a page of what is rare among very many ends early, and the next goes on from there", async () => {
    const user = await userWithAgent();
    const { userId: _user, rev: _rev, ...data } = makeRun({ id: "run_rare", userId: user.id, agentId: "a", rev: 1 });
    await gateway.deps.atomic([
      sql`insert into runs (id, user_id, agent_id, status, created_at, data)
        with recursive counted(i) as (select 0 union all select i + 1 from counted where i < 10000)
        select iif(i = 0, 'run_rare', 'run_many' || i), ${user.id}, 'a', iif(i = 0, 'failed', 'completed'),
          printf('2026-01-01T%02d:%02d:%02d.000Z', i / 3600, i / 60 % 60, i % 60), ${JSON.stringify(data)} from counted`,
    ]);
    for (const filter of ["status=failed", "status=failed&agentId=a", "triggerKind=api&status=failed"]) {
      const first = (await user.get(`/v1/runs?${filter}`)).json();
      expect(first).toMatchObject({ items: [], nextCursor: expect.any(String) });
      const second = (await user.get(`/v1/runs?${filter}&cursor=${first.nextCursor}`)).json();
      expect(second).toMatchObject({ items: [{ id: "run_rare" }], nextCursor: null });
    }
    const page = (await user.get("/v1/runs?status=completed&limit=200")).json();
    expect(page.items).toHaveLength(200);
  });

  test.each([
    "limit=0",
    "limit=201",
    "limit=x",
    "limit=",
    "limit=1e1",
    "cursor=x",
    "cursor=e30",
    "status=done",
    "triggerKind=x",
    "agentId=a%20b",
  ])("?%s is refused", async (query) => {
    const user = await userWithAgent();
    expect((await user.get(`/v1/runs?${query}`)).json().code).toBe("invalid_request");
  });

  test.each(["/v1/runs/ID", "/v1/runs/ID/events", "/v1/runs/ID/stderr"])(
    "GET %s answers another user as if it were absent",
    async (path) => {
      const [owner, other] = [await userWithAgent(), await userWithAgent()];
      const { id } = (await owner.send({ prompt: "mine" })).json();
      const [foreign, absent] = [
        await other.get(path.replace("ID", id)),
        await other.get(path.replace("ID", "run_absent")),
      ];
      expect(foreign.status).toBe(404);
      const strip = (text: string) => text.replace(/"requestId":"[^"]+"/, "");
      expect(strip(foreign.text)).toBe(strip(absent.text));
    },
  );

  test("an id that is none is refused", async () => {
    const user = await userWithAgent();
    expect((await user.get(`/v1/runs/${"x".repeat(41)}`)).json().code).toBe("invalid_request");
  });
});

describe("cancelling", () => {
  test("answers the cancelled run, and a conflict the second time", async () => {
    const user = await userWithAgent();
    const { id } = (await user.send({ prompt: "x" })).json();
    const cancel = () => gateway.call("POST", `/v1/runs/${id}/cancel`, { token: user.token });
    expect((await cancel()).json()).toMatchObject({ id, status: "cancelled", reason: "cancelled" });
    expect((await cancel()).json()).toMatchObject({ code: "conflict", runId: id });
    expect((await user.get(`/v1/agents/${user.agentId}`)).json().status).toBe("idle");
  });
});

describe("placement", () => {
  test("racing first calls of one user all go to one host, the one with the fewest users", async () => {
    const two = await createTestApp();
    const [first, second] = [await joinTestHost(two), await joinTestHost(two)];
    const hostsOf = async (name: string) => {
      const { token } = await two.addUser(name);
      const add = (at: number) => two.call("POST", "/v1/agents", { token, body: { name: `a${at}` } });
      const agents = await Promise.all([1, 2, 3, 4, 5].map(add));
      const send = (id: string) => two.call("POST", `/v1/agents/${id}/runs`, { token, body: { prompt: "x" } });
      const answers = await Promise.all(agents.map((agent) => send(agent.json().id)));
      expect(answers.map((answer) => answer.status)).toEqual([202, 202, 202, 202, 202]);
      return [first.requests.splice(0).length, second.requests.splice(0).length];
    };
    const [one, other] = [await hostsOf("one"), await hostsOf("other")];
    expect(one.toSorted()).toEqual([0, 5]);
    expect(other).toEqual(one.toReversed());
    await Promise.all([first.close(), second.close()]);
    await two.close();
  });

  test.each([
    ["is full", { workspaces: 10, maxWorkspaces: 10 }],
    ["has no memory to spare", { memoryAvailableBytes: 2 ** 20 }],
  ])("no host is found where the only one %s", async (_what, load) => {
    const small = await createTestApp();
    const full = await joinTestHost(small, load);
    const user = await small.addUser("unplaced");
    const { id } = (await small.call("POST", "/v1/agents", { token: user.token, body: { name: "a" } })).json();
    const answer = await small.call("POST", `/v1/agents/${id}/runs`, { token: user.token, body: { prompt: "x" } });
    expect(answer.json().code).toBe("no_host");
    expect(answer.headers.get("retry-after")).toBe("5");
    await full.close();
    await small.close();
  });

  test("a host that is silent for 30 s takes nobody, but is still called for those it has", async () => {
    const small = await createTestApp();
    const quiet = await joinTestHost(small);
    const [placed, late] = [await small.addUser("placed"), await small.addUser("late")];
    const agentOf = async (token: string) =>
      (await small.call("POST", "/v1/agents", { token, body: { name: "a" } })).json().id;
    const [first, second] = [await agentOf(placed.token), await agentOf(late.token)];
    const send = (id: string, token: string) =>
      small.call("POST", `/v1/agents/${id}/runs`, { token, body: { prompt: "x" } });
    expect((await send(first, placed.token)).status).toBe(202);
    expect((await small.call("GET", "/readyz")).status).toBe(200);
    small.clock.skewMs = 30_001;
    expect((await small.call("GET", "/readyz")).json()).toEqual({ status: "unready", reason: "No host is live." });
    expect((await send(second, late.token)).json().code).toBe("no_host");
    expect((await send(first, placed.token)).status).toBe(202);
    await quiet.close();
    await small.close();
  });
});

describe("the workspace", () => {
  test("is absent with its limits before there is a host for it", async () => {
    const user = await gateway.addUser("homeless");
    const answer = await gateway.call("GET", "/v1/workspace", { token: user.token });
    expect(answer.json()).toMatchObject({
      status: "absent",
      hostId: null,
      memory: { limitBytes: 1_073_741_824 },
      pids: { limit: 512 },
    });
    expect((await gateway.call("POST", "/v1/workspace/stop", { token: user.token })).json().status).toBe("absent");
  });

  test("is asked of the host, and as last reported when the host is away", async () => {
    const user = await userWithAgent();
    await user.send({ prompt: "x" });
    const reported = {
      ...(await user.get("/v1/workspace")).json(),
      status: "running",
      hostId: host.id,
      connections: 2,
    };
    await host.report({ workspaces: [{ ...reported, userId: user.id }] });
    host.handle = (_request, response) => answerJson(response, 200, { ...reported, connections: 3 });
    expect((await user.get("/v1/workspace")).json().connections).toBe(3);
    host.handle = (_request, response) => void response.destroy();
    expect((await user.get("/v1/workspace")).json()).toEqual(reported);
    expect((await user.get("/v1/me")).json()).toMatchObject({ workspace: reported, demoModel: true });
    const start = await gateway.call("POST", "/v1/workspace/start", { token: user.token });
    host.handle = undefined;
    expect(start.json().code).toBe("host_unavailable");
  });
});
