import type { ReportedRun, StartRunBody } from "@berth/shared/host-api";
import { sql, type SQL } from "drizzle-orm";
import type { ServerResponse } from "node:http";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createTestApp, type TestApp } from "../../test/app.ts";
import { answerJson, claimsOf, joinTestHost, makeRun, type HostRequest, type TestHost } from "../../test/host.ts";
import { until } from "../../test/wait.ts";
import { issueToken } from "../access/tokens.ts";
import { placeUser } from "../hosts/placement.ts";
import { systemActor } from "../http/caller.ts";
import { sessionSeconds } from "../http/cookies.ts";
import { tick } from "../tick.ts";

let gateway: TestApp;
let host: TestHost;
let strict: ReturnType<typeof admitStrictly>;
beforeEach(async () => {
  gateway = await createTestApp();
  host = await joinTestHost(gateway);
  strict = admitStrictly(host);
});
afterEach(async () => {
  await host.close();
  await gateway.close();
});

/** A host that has room for three runs of a user and one of an agent, and counts how often each run began. */
function admitStrictly(host: TestHost) {
  const runs = new Map<string, ReportedRun>();
  const began: { runId: string; agentId: string; prompt: string }[] = [];
  const state = {
    runs,
    began,
    answer: null as null | ((request: HostRequest, response: ServerResponse) => boolean),
    end,
  };
  const refuse = (response: ServerResponse, status: number, code: string, more = {}) => {
    const body = { type: "about:blank", title: "-", status, detail: "-", code, requestId: "host", ...more };
    answerJson(response, status, body);
  };
  host.handle = (request, response) => {
    if (state.answer?.(request, response)) return;
    const userId = claimsOf(request).sub!;
    const cancelled = /^\/v1\/runs\/([\w-]+)\/cancel$/.exec(request.path)?.[1];
    if (cancelled)
      return runs.has(cancelled)
        ? answerJson(response, 200, { epoch: host.epoch, run: end(cancelled, "cancelled") })
        : refuse(response, 404, "not_found");
    if (request.method === "DELETE") return void response.writeHead(204).end();
    const { run, agent } = JSON.parse(request.body) as StartRunBody;
    const active = [...runs.values()].filter((one) => one.userId === userId && one.endedAt === null);
    if (!runs.has(run.id)) {
      if (active.some((one) => one.agentId === agent.id)) return refuse(response, 409, "agent_busy");
      if (active.length >= 3) return refuse(response, 429, "run_limit");
      if (run.prompt === "large" && active.length > 0)
        return refuse(response, 429, "run_limit", { waitsFor: "memory" });
      began.push({ runId: run.id, agentId: agent.id, prompt: run.prompt });
      const { trigger, prompt } = run;
      runs.set(
        run.id,
        makeRun({
          id: run.id,
          userId,
          agentId: agent.id,
          rev: ++host.rev,
          trigger,
          prompt,
          createdAt: new Date().toISOString(),
        }),
      );
    }
    answerJson(response, 202, { epoch: host.epoch, run: runs.get(run.id) });
  };
  function end(runId: string, status: "completed" | "cancelled" = "completed"): ReportedRun {
    const time = new Date().toISOString();
    const ended = { ...runs.get(runId)!, status, reason: status, startedAt: time, endedAt: time, rev: ++host.rev };
    runs.set(runId, ended);
    return ended;
  }
  return state;
}

async function userWithAgents(count = 1) {
  const user = await gateway.addUser(crypto.randomUUID());
  const call = (method: string, path: string, body?: unknown) =>
    gateway.call(method, path, { token: user.token, body });
  const agents = await Promise.all(
    Array.from({ length: count }, async (_, at) => {
      const { id } = (await call("POST", "/v1/agents", { name: `a${at}` })).json();
      const { secret, ...trigger } = (
        await call("POST", `/v1/agents/${id}/triggers`, { name: "t", scheme: "token", template: "{{payload}}" })
      ).json();
      const deliver = async (text: string) => {
        const headers = { authorization: `Bearer ${secret}` };
        return gateway.call("POST", `/hooks/${trigger.id}`, { headers, body: JSON.stringify(text) });
      };
      return {
        id: id as string,
        trigger,
        deliver,
        runId: async (text: string) => (await deliver(text)).json().runId as string,
      };
    }),
  );
  const run = async (runId: string) => (await call("GET", `/v1/runs/${runId}`)).json();
  const waiting = async () =>
    (await call("GET", "/v1/runs?status=pending")).json().items.map(({ id }: { id: string }) => id);
  return { ...user, call, agents, agent: agents[0]!, run, waiting };
}
const isDelivery = async (condition: SQL) =>
  (await gateway.deps.db.all(sql`select 1 from deliveries where ${condition}`)).length > 0;
const isRefused = (runId: string) =>
  isDelivery(sql`run_id = ${runId} and attempts >= 1 and lease_until is null and due_at is not null`);
const nobodyAsks = () =>
  until(async () => !(await isDelivery(sql`due_at is not null and lease_until is not null`)), "nobody is asking");
/** Lets each attempt to start fail as if the connection broke. */
const breakStarts = () =>
  (strict.answer = (request, response) => request.path === "/v1/runs" && Boolean(response.destroy()));
const prompts = () => strict.began.map(({ prompt }) => prompt);
const later = async (ms: number) => {
  gateway.clock.skewMs += ms;
  await host.report();
};

describe("what waits", () => {
  test("starts in order of arrival, one at a time for an agent, as each before ends", async () => {
    const { agent, waiting, run } = await userWithAgents();
    const ids: string[] = [];
    for (const text of ["1", "2", "3", "4"]) ids.push(await agent.runId(text));
    await until(() => strict.began.length === 1, "the first has begun");
    for (const at of [0, 1, 2]) {
      await until(async () => (await run(ids[at]!)).status === "running", "the copy knows");
      expect(await waiting()).toEqual(ids.slice(at + 1).toReversed());
      await nobodyAsks();
      await host.report({ runs: [strict.end(ids[at]!)], rev: host.rev });
      await until(() => strict.began.length === at + 2, "the next has begun");
    }
    expect(prompts()).toEqual(["1", "2", "3", "4"]);
    expect(strict.began.map(({ runId }) => runId)).toEqual(ids);
  });

  test("keeps to three runs of a user, and the rest follows as slots free", async () => {
    const { agents } = await userWithAgents(6);
    const ids = await Promise.all(agents.map((agent, at) => agent.runId(`agent ${at}`)));
    await until(() => strict.began.length === 3, "three have begun");
    await tick(gateway.deps);
    expect(strict.began).toHaveLength(3);
    while (strict.began.length < 6) {
      await nobodyAsks();
      const before = strict.began.length;
      const [active] = [...strict.runs.values()].filter((run) => run.endedAt === null);
      await host.report({ runs: [strict.end(active!.id)], rev: host.rev });
      await until(() => strict.began.length === before + 1, "another has begun");
    }
    expect(new Set(strict.began.map(({ runId }) => runId))).toEqual(new Set(ids));
  });

  test.each([
    ["POST", "messages", { text: "x" }],
    ["POST", "answers", { requestId: "x", behavior: "allow" }],
    ["GET", "context", undefined],
  ])("has no turn to talk to: %s %s is a conflict, whether its user has a host or not", async (method, what, body) => {
    const { agent, call, id } = await userWithAgents();
    breakStarts();
    const runId = await agent.runId("x");
    await until(() => isRefused(runId), "the attempt is over");
    const ask = async () => (await call(method, `/v1/runs/${runId}/${what}`, body)).json();
    expect(await ask()).toMatchObject({ code: "conflict", runId });
    await gateway.deps.atomic([sql`update users set host_id = null where id = ${id}`]);
    expect(await ask()).toMatchObject({ code: "conflict", runId });
  });

  test("is no run in progress of its agent, and keeps the time of its arrival", async () => {
    const { agent, call, run } = await userWithAgents();
    breakStarts();
    const runId = await agent.runId("x");
    expect((await call("GET", `/v1/agents/${agent.id}`)).json()).toMatchObject({ status: "idle", lastRunId: runId });
    const { createdAt } = await run(runId);
    await until(() => isRefused(runId), "the attempt is over");
    strict.answer = null;
    await later(30_000);
    await tick(gateway.deps);
    expect(await run(runId)).toMatchObject({ status: "running", createdAt });
  });

  test("is asked for at most every other second while the host says busy, and at once when a run ended", async () => {
    const { agent } = await userWithAgents();
    const first = await agent.runId("1");
    await until(() => strict.began.length === 1, "it has begun");
    const asked = () => host.requests.filter(({ path, body }) => path === "/v1/runs" && body.includes(agent.id)).length;
    const sentAt = Date.now();
    const second = await agent.runId("2");
    await until(() => isRefused(second), "the second was refused");
    expect(asked()).toBe(2);
    // As many as there is time for before the next second but one.
    for (let at = 0; at < 5 && Date.now() < sentAt + 1000; at++) await tick(gateway.deps);
    expect(asked()).toBe(2);
    await later(3000);
    await tick(gateway.deps);
    expect(asked()).toBe(3);
    await host.report({ runs: [strict.end(first)], rev: host.rev });
    await until(() => strict.began.length === 2, "the second has begun");
  });

  test("ends as host_lost when its host is removed while it takes it, and waits for nobody then", async () => {
    const { id: userId, agent, run, waiting } = await userWithAgents();
    const boss = await gateway.addUser("boss", "admin");
    strict.answer = (request, response) => {
      if (request.path !== "/v1/runs") return false;
      const path = `/v1/admin/hosts/${host.id}?confirm=testing`;
      void gateway.call("DELETE", path, { token: boss.token }).then(() => {
        const { id, prompt, trigger } = (JSON.parse(request.body) as StartRunBody).run;
        const taken = makeRun({ id, userId, agentId: agent.id, rev: 1, prompt, trigger });
        answerJson(response, 202, { epoch: host.epoch, run: taken });
      });
      return true;
    };
    const runId = await agent.runId("1");
    await until(async () => (await run(runId)).endedAt !== null, "it has ended");
    expect(await run(runId)).toMatchObject({ status: "failed", reason: "host_lost", trigger: { kind: "webhook" } });
    expect(await waiting()).toEqual([]);
    expect(await isDelivery(sql`due_at is not null`)).toBe(false);
  });

  test("waits without a call while its host is down, and starts when it is back", async () => {
    const { agent, run } = await userWithAgents();
    const first = await agent.runId("1");
    await until(() => strict.began.length === 1, "it has begun");
    await host.report({ runs: [strict.end(first)], rev: host.rev });
    gateway.clock.skewMs += 1_800_000;
    const calls = host.requests.length;
    const second = await agent.runId("2");
    await tick(gateway.deps);
    expect(host.requests).toHaveLength(calls);
    expect((await run(second)).status).toBe("pending");
    await host.report();
    await tick(gateway.deps);
    expect(prompts()).toEqual(["1", "2"]);
  });

  test("of a disabled user starts when the user is enabled again", async () => {
    const { agent, id } = await userWithAgents();
    const admin = await gateway.addUser(crypto.randomUUID(), "admin");
    const disable = (disabled: boolean) =>
      gateway.call("PATCH", `/v1/admin/users/${id}`, { token: admin.token, body: { disabled } });
    breakStarts();
    const runId = await agent.runId("x");
    await until(() => isRefused(runId), "the attempt is over");
    await disable(true);
    strict.answer = null;
    await later(30_000);
    await tick(gateway.deps);
    expect(strict.began).toEqual([]);
    await disable(false);
    await tick(gateway.deps);
    expect(prompts()).toEqual(["x"]);
  });

  test("is at most 1,000 of a user: a sender is told to come again, and nothing is stored", async () => {
    const { agent, id } = await userWithAgents();
    await gateway.deps.atomic([
      sql`insert into deliveries (id, trigger_id, user_id, agent_id, received_at, headers, payload, bytes, due_at)
        select 'fill' || j.value, 'trg_other', ${id}, 'agt_other', '2026', '{}', '', 0, '9' from json_each(${JSON.stringify(Array.from({ length: 1000 }, (_, at) => at))}) j`,
    ]);
    const refused = await agent.deliver("x");
    expect([refused.status, refused.json().code, refused.headers.get("retry-after")]).toEqual([
      429,
      "rate_limited",
      "30",
    ]);
    await gateway.deps.atomic([sql`delete from deliveries where id = 'fill7'`]);
    expect((await agent.deliver("x")).status).toBe(202);
  });
});

describe("who waits for others", () => {
  test("starts, however many users wait behind runs in progress", async () => {
    const { agent, id } = await userWithAgents();
    breakStarts();
    const runId = await agent.runId("x");
    await until(() => isRefused(runId), "the attempt is over");
    strict.answer = null;
    await later(30_000);
    const users = JSON.stringify(Array.from({ length: 249 }, (_, at) => at));
    const wait = (name: string, dueAt: string) => sql`
      insert into deliveries (seq, id, trigger_id, user_id, agent_id, received_at, headers, payload, bytes, due_at)
      select ${name === "first" ? -1000 : -500} + value, ${name} || value, 't', 'usr_' || value, 'agt_' || value, '2026',
        '{}', '', 0, ${dueAt} from json_each(${users})`;
    await gateway.deps.atomic([
      sql`insert into users (id, name, role, host_id, created_at, pending_due_at)
        select 'usr_' || value, 'user ' || value, 'user', (select host_id from users where id = ${id}), '2026', '2026'
        from json_each(${users})`,
      wait("first", "9999"),
      wait("second", "2026"),
    ]);
    for (let at = 0; at < 4; at++) {
      // A host that is silent for 30 s is asked for nothing, and these take long where the machine is busy.
      await host.report();
      await tick(gateway.deps);
    }
    expect(prompts()).toEqual(["x"]);
  });

  test("on a host that takes calls and answers none holds up no other host; that one is left alone for a while", async () => {
    const stuck = await Promise.all(Array.from({ length: 10 }, () => userWithAgents()));
    for (const { id } of stuck) await placeUser(gateway.deps, id);
    breakStarts();
    for (const { agent } of stuck) {
      const runId = await agent.runId("stuck");
      await until(() => isRefused(runId), "the attempt is over");
    }
    const other = await joinTestHost(gateway);
    const healthy = admitStrictly(other);
    healthy.answer = strict.answer;
    const { agent } = await userWithAgents();
    const runId = await agent.runId("healthy");
    await until(() => isRefused(runId), "the attempt is over");
    await later(30_000);
    await other.report();
    healthy.answer = null;
    strict.answer = () => true;
    const before = host.requests.length;
    const asked = () => host.requests.slice(before).filter(({ path }) => path === "/v1/runs").length;
    const unanswered = () => gateway.lines.filter((line) => line.includes("host.unreachable")).length;
    const earlier = unanswered();
    const ticking = tick(gateway.deps);
    await until(() => healthy.began.length === 1, "the healthy host's run has begun");
    expect(unanswered()).toBe(earlier);
    await ticking;
    expect(asked()).toBe(8);
    await tick(gateway.deps);
    expect(asked()).toBe(8);
    await other.close();
  });
});

describe("starting exactly once", () => {
  test("however many ticks there are at once", async () => {
    const { agents } = await userWithAgents(3);
    breakStarts();
    const ids = await Promise.all(agents.map((agent) => agent.runId("x")));
    for (const runId of ids) await until(() => isRefused(runId), "the attempt is over");
    strict.answer = null;
    await later(30_000);
    const asked = host.requests.length;
    await Promise.all(Array.from({ length: 10 }, () => tick(gateway.deps)));
    expect(strict.began).toHaveLength(3);
    expect(host.requests.length - asked).toBe(3);
  });

  test.each(["refuses the connection", "begins the run and loses the answer"])("when the host %s", async (what) => {
    const { agent, run } = await userWithAgents();
    let failures = 2;
    strict.answer = (request, response) => {
      if (request.path !== "/v1/runs" || failures-- <= 0) return false;
      if (what.startsWith("begins")) {
        const { run, agent } = JSON.parse(request.body) as StartRunBody;
        const userId = claimsOf(request).sub!;
        if (!strict.runs.has(run.id)) strict.began.push({ runId: run.id, agentId: agent.id, prompt: run.prompt });
        strict.runs.set(
          run.id,
          makeRun({ id: run.id, userId, agentId: agent.id, rev: ++host.rev, prompt: run.prompt }),
        );
      }
      response.destroy();
      return true;
    };
    const runId = await agent.runId("x");
    for (let at = 0; at < 3; at++) {
      await later(20_000);
      await tick(gateway.deps);
    }
    expect(prompts()).toEqual(["x"]);
    expect((await run(runId)).status).toBe("running");
  });

  test("when a gateway took it and died: another takes it once the lease is over", async () => {
    const { agent, run } = await userWithAgents();
    breakStarts();
    const runId = await agent.runId("x");
    await until(() => isRefused(runId), "the attempt is over");
    strict.answer = null;
    const lease = new Date(gateway.deps.now() + 10_000).toISOString();
    await gateway.deps.atomic([
      sql`update deliveries set lease_until = ${lease}, due_at = '2026' where run_id = ${runId}`,
    ]);
    await tick(gateway.deps);
    expect(strict.began).toEqual([]);
    await later(11_000);
    await tick(gateway.deps);
    expect((await run(runId)).status).toBe("running");
  });
});

describe("ending what waits", () => {
  test("cancelling it touches no host, and it never starts", async () => {
    const { agent, call, run } = await userWithAgents();
    const first = await agent.runId("1");
    await until(() => strict.began.length === 1, "it has begun");
    const second = await agent.runId("2");
    await until(() => isRefused(second), "it was refused");
    const calls = host.requests.length;
    const cancelled = await call("POST", `/v1/runs/${second}/cancel`);
    expect(cancelled.json()).toMatchObject({
      id: second,
      status: "cancelled",
      reason: "cancelled",
      endedAt: expect.any(String),
      startedAt: null,
    });
    expect(host.requests).toHaveLength(calls);
    expect((await call("POST", `/v1/runs/${second}/cancel`)).json().code).toBe("conflict");
    await host.report({ runs: [strict.end(first)], rev: host.rev });
    await later(5000);
    await tick(gateway.deps);
    expect(prompts()).toEqual(["1"]);
    expect((await run(second)).status).toBe("cancelled");
    expect((await call("GET", `/v1/triggers/${agent.trigger.id}/deliveries`)).json().items[0]).toMatchObject({
      runId: second,
      status: "cancelled",
    });
  });

  test.each([true, false])("cancelling what the host may have asks the host (has it: %s)", async (hasIt) => {
    const { agent, call, id } = await userWithAgents();
    breakStarts();
    const runId = await agent.runId("x");
    await until(() => isRefused(runId), "the attempt is over");
    strict.answer = (request, response) => request.path.endsWith("/cancel") && Boolean(response.destroy());
    expect((await call("POST", `/v1/runs/${runId}/cancel`)).json().code).toBe("host_unavailable");
    strict.answer = null;
    if (hasIt) strict.runs.set(runId, makeRun({ id: runId, userId: id, agentId: agent.id, rev: ++host.rev }));
    expect((await call("POST", `/v1/runs/${runId}/cancel`)).json()).toMatchObject({ id: runId, status: "cancelled" });
    await later(30_000);
    await tick(gateway.deps);
    expect(strict.began).toEqual([]);
  });

  test.each(["agent", "trigger"])("deleting its %s cancels it", async (what) => {
    const { agent, call, run } = await userWithAgents();
    const first = await agent.runId("1");
    await until(() => strict.began.length === 1, "it has begun");
    const [second, third] = [await agent.runId("2"), await agent.runId("3")];
    await until(() => isRefused(second), "it was refused");
    expect(
      (await call("DELETE", what === "agent" ? `/v1/agents/${agent.id}` : `/v1/triggers/${agent.trigger.id}`)).status,
    ).toBe(204);
    for (const runId of [second, third])
      expect(await run(runId)).toMatchObject({ status: "cancelled", reason: "cancelled" });
    await host.report({ runs: [strict.end(first)], rev: host.rev });
    expect(prompts()).toEqual(["1"]);
  });

  describe.each(["deleting its agent", "deleting its trigger", "disabling its user"])(
    "%s while no host answers",
    (what) => {
      test.each([true, false])("cancels it once its host is back (which has it: %s)", async (hasIt) => {
        const { agent, call, id, run } = await userWithAgents();
        const admin = await gateway.addUser(crypto.randomUUID(), "admin");
        const patch = (body: object) => gateway.call("PATCH", `/v1/admin/users/${id}`, { token: admin.token, body });
        strict.answer = (_request, response) => Boolean(response.destroy());
        const runId = await agent.runId("x");
        await until(() => isRefused(runId), "the attempt is over");
        if (what === "deleting its agent") await call("DELETE", `/v1/agents/${agent.id}`);
        if (what === "deleting its trigger") await call("DELETE", `/v1/triggers/${agent.trigger.id}`);
        if (what === "disabling its user") await patch({ disabled: true, cancelRuns: true });
        await patch({ disabled: false });
        strict.answer = null;
        if (hasIt) strict.runs.set(runId, makeRun({ id: runId, userId: id, agentId: agent.id, rev: ++host.rev }));
        await later(30_000);
        await tick(gateway.deps);
        expect(await run(runId)).toMatchObject({ status: "cancelled", reason: "cancelled" });
        expect(strict.began).toEqual([]);
      });
    },
  );
});

test("of a user who is disabled, what is to be cancelled does not wait behind what is to wait", async () => {
  const { agents, call, id } = await userWithAgents(2);
  const [first, second] = agents as [(typeof agents)[0], (typeof agents)[0]];
  const admin = await gateway.addUser(crypto.randomUUID(), "admin");
  breakStarts();
  const waits = await first.runId("waits");
  const ends = await second.runId("ends");
  for (const runId of [waits, ends]) await until(() => isRefused(runId), "the attempt is over");
  strict.answer = (_request, response) => Boolean(response.destroy());
  await call("DELETE", `/v1/triggers/${second.trigger.id}`);
  await gateway.call("PATCH", `/v1/admin/users/${id}`, { token: admin.token, body: { disabled: true } });
  strict.answer = null;
  await until(async () => {
    await later(30_000);
    await tick(gateway.deps);
    return isDelivery(sql`run_id = ${ends} and due_at is null`);
  }, "it is cancelled");
  expect(await isDelivery(sql`run_id = ${waits} and due_at is not null`)).toBe(true);
  expect(strict.began).toEqual([]);
});

describe("reading what waits", () => {
  test("its events tell that it waits, then pass over to the host's", async () => {
    const { agent, token, call } = await userWithAgents();
    breakStarts();
    const runId = await agent.runId("x");
    const told = gateway.app.request(`/v1/runs/${runId}/events`, { headers: { authorization: `Bearer ${token}` } });
    const reader = (await told).body!.pipeThrough(new TextDecoderStream()).getReader();
    const first = (await reader.read()).value!;
    expect(JSON.parse(first.split("data: ")[1]!)).toMatchObject({ id: runId, status: "pending" });
    expect((await call("GET", `/v1/runs/${runId}/stderr`)).text).toBe("");
    await until(() => isRefused(runId), "the attempt is over");
    strict.answer = (request, response) => {
      if (!request.path.includes("/events")) return false;
      const run = JSON.stringify(strict.end(runId));
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.end(`event: run\ndata: ${run}\n\nid: 2\nevent: output\ndata: "é"\n\nevent: run\ndata: ${run}\n\n`);
      return true;
    };
    await later(30_000);
    await tick(gateway.deps);
    let rest = "";
    for (let read = await reader.read(); !read.done; read = await reader.read()) rest += read.value;
    expect(rest.match(/^event: \w+|^data: "é"/gm)).toEqual(["event: output", 'data: "é"', "event: run"]);
  });

  test("its events end with its cancellation, then and later", async () => {
    const { agent, token, call } = await userWithAgents();
    const first = await agent.runId("1");
    await until(() => strict.began.length === 1, "it has begun");
    const runId = await agent.runId("2");
    const open = () =>
      gateway.app.request(`/v1/runs/${runId}/events`, { headers: { authorization: `Bearer ${token}` } });
    const text = (await open()).text();
    await until(async () => (await call("POST", `/v1/runs/${runId}/cancel`)).status === 200, "it is cancelled");
    expect((await text).match(/"status":"\w+"/g)).toEqual(['"status":"pending"', '"status":"cancelled"']);
    expect((await (await open()).text()).match(/"status":"\w+"/g)).toEqual([
      '"status":"cancelled"',
      '"status":"cancelled"',
    ]);
    await call("POST", `/v1/runs/${first}/cancel`);
  });

  test("its events end when the credential is revoked", async () => {
    const { agent, token, tokenId, call } = await userWithAgents();
    breakStarts();
    const runId = await agent.runId("x");
    await until(() => isRefused(runId), "the attempt is over");
    const stream = await gateway.app.request(`/v1/runs/${runId}/events`, {
      headers: { authorization: `Bearer ${token}` },
    });
    const text = stream.text();
    await call("DELETE", `/v1/tokens/${tokenId}`);
    expect((await text).match(/event: run/g)).toHaveLength(1);
  });

  test("its events renew a session once, and only look at it from then on", async () => {
    const { agent, call, ...user } = await userWithAgents();
    breakStarts();
    const runId = await agent.runId("x");
    const entry = { actor: systemActor, address: null, action: "sign_in.succeeded" } as const;
    // More than half gone.
    const wanted = { userId: user.id, kind: "session", name: "browser", seconds: sessionSeconds / 2 - 1 } as const;
    const session = await issueToken(gateway.deps, entry, wanted);
    const expiry = () => gateway.deps.db.all(sql`select expires_at from tokens where id = ${session.id}`);
    const before = await expiry();
    const headers = { cookie: `berth_session=${session.token}` };
    const stream = await gateway.app.request(`/v1/runs/${runId}/events`, { headers });
    expect(stream.headers.get("set-cookie")).toMatch(/^berth_session=/);
    const text = stream.text();
    const renewed = await expiry();
    expect(renewed).not.toEqual(before);
    gateway.clock.skewMs += 60_000;
    await until(async () => (await call("POST", `/v1/runs/${runId}/cancel`)).status === 200, "it is cancelled");
    expect((await text).match(/"status":"\w+"/g)).toEqual(['"status":"pending"', '"status":"cancelled"']);
    expect(await expiry()).toEqual(renewed);
  });
});

test("deliveries go after the retention with their runs, and what waits stays", async () => {
  const { agent, call } = await userWithAgents();
  const first = await agent.runId("1");
  await until(() => strict.began.length === 1, "it has begun");
  await host.report({ runs: [strict.end(first)], rev: host.rev });
  breakStarts();
  const second = await agent.runId("2");
  const listed = async () =>
    (await gateway.deps.db.all<{ id: string }>(sql`select run_id as id from deliveries order by seq desc`)).map(
      ({ id }) => id,
    );
  expect(await listed()).toEqual([second, first]);
  expect((await call("GET", `/v1/triggers/${agent.trigger.id}/deliveries`)).json().items).toHaveLength(2);
  gateway.clock.skewMs += 31 * 86_400_000;
  await tick(gateway.deps);
  expect(await listed()).toEqual([second]);
  expect(await gateway.deps.db.all(sql`select id, status from runs`)).toEqual([{ id: second, status: "pending" }]);
});

describe("a message that may wait", () => {
  const send = (user: Awaited<ReturnType<typeof userWithAgents>>, prompt: string, key?: string) =>
    gateway.call("POST", `/v1/agents/${user.agent.id}/runs`, {
      token: user.token,
      body: { prompt, ifBusy: "queue" },
      headers: key === undefined ? {} : { "idempotency-key": key },
    });

  test("starts at once where it can, else waits in order of arrival with what came in by a trigger, and says why", async () => {
    const user = await userWithAgents();
    const first = (await send(user, "first")).json();
    expect(first).toMatchObject({ status: "running", waitingFor: null });
    const answer = await send(user, "second", "key");
    expect(answer.status).toBe(202);
    const second = answer.json();
    expect(second).toMatchObject({
      status: "pending",
      prompt: "second",
      waitingFor: { kind: "busy", requestId: null },
    });
    const third = await user.agent.runId("third");
    const fourth = (await send(user, "fourth")).json();
    expect((await send(user, "second", "key")).json().id).toBe(second.id);
    expect((await send(user, "other", "key")).status).toBe(409);
    expect((await user.run(third)).waitingFor).toMatchObject({ kind: "busy" });
    for (const runId of [first.id, second.id, third, fourth.id]) {
      await until(() => strict.runs.has(runId), "it begins");
      await nobodyAsks();
      await host.report({ runs: [strict.end(runId)] });
      await tick(gateway.deps);
    }
    expect(strict.began.map(({ prompt }) => prompt)).toEqual(["first", "second", "third", "fourth"]);
    expect((await user.run(second.id)).waitingFor).toBeNull();
  });

  test("is one of a key, also where two race: the other message is a conflict, the same one the same run", async () => {
    const user = await userWithAgents();
    await send(user, "first");
    const held: (() => void)[] = [];
    strict.answer = (request, response) => {
      if (request.path !== "/v1/runs") return false;
      held.push(() => host.handle!(request, response));
      if (held.length < 3) return true;
      strict.answer = null;
      for (const answer of held) answer();
      return true;
    };
    const answers = await Promise.all(["one", "one", "two"].map((prompt) => send(user, prompt, "key")));
    const prompts = answers.map((answer) => (answer.status === 202 ? answer.json().prompt : answer.json().code));
    expect([
      ["one", "one", "conflict"],
      ["conflict", "conflict", "two"],
    ]).toContainEqual(prompts);
    expect(await user.waiting()).toHaveLength(1);
  });

  test("has no payload, for no trigger took it", async () => {
    const user = await userWithAgents();
    const { id } = (await send(user, "first")).json();
    const next = (await send(user, "next")).json();
    await nobodyAsks();
    await host.report({ runs: [strict.end(id)] });
    await tick(gateway.deps);
    await until(() => strict.runs.has(next.id), "it begins");
    const told = host.requests.map(({ body }) => body).filter((body) => body.includes(next.id));
    expect(told.map((body) => (JSON.parse(body) as StartRunBody).run.payload)).toEqual(told.map(() => null));
  });

  test("is reworded until it starts, and cancelled while it waits", async () => {
    const user = await userWithAgents();
    const first = (await send(user, "first")).json();
    const waits = (await send(user, "waits", "key")).json();
    await until(() => isDelivery(sql`attempts > 0`), "the host was asked");
    await nobodyAsks();
    const path = `/v1/runs/${waits.id}`;
    for (const prompt of ["good", "better"])
      expect((await user.call("PATCH", path, { prompt })).json()).toMatchObject({ prompt });
    // Its key stands for what was asked first.
    expect((await send(user, "waits", "key")).json()).toMatchObject({ id: waits.id, prompt: "better" });
    expect((await send(user, "better", "key")).status).toBe(409);
    expect((await user.call("PATCH", path, { prompt: " " })).status).toBe(400);
    expect((await user.call("PATCH", `/v1/runs/${first.id}`, { prompt: "late" })).status).toBe(409);
    const dropped = (await send(user, "dropped")).json();
    expect((await user.call("POST", `/v1/runs/${dropped.id}/cancel`)).json()).toMatchObject({
      status: "cancelled",
      waitingFor: null,
    });
    await host.report({ runs: [strict.end(first.id)] });
    await tick(gateway.deps);
    await until(() => strict.runs.has(waits.id), "it begins");
    expect(strict.began.map(({ prompt }) => prompt)).toEqual(["first", "better"]);
    expect((await user.call("PATCH", path, { prompt: "late" })).status).toBe(409);
    expect((await send(user, "waits", "key")).json()).toMatchObject({ id: waits.id, prompt: "better" });
  });

  test("is reworded also while its host is asked for room: once that has none, and not once it takes it", async () => {
    const user = await userWithAgents();
    const first = (await send(user, "first")).json();
    const waits = (await send(user, "waits")).json();
    await until(() => isRefused(waits.id), "the host was asked");
    for (const isTaken of [false, true]) {
      const asked = Promise.withResolvers<() => void>();
      strict.answer = (request, response) => {
        if (request.path !== "/v1/runs") return false;
        strict.answer = null;
        asked.resolve(() => host.handle!(request, response));
        return true;
      };
      if (isTaken) await host.report({ runs: [strict.end(first.id)] });
      await later(3000);
      const ticked = tick(gateway.deps);
      const answer = await asked.promise;
      const reworded = user.call("PATCH", `/v1/runs/${waits.id}`, { prompt: isTaken ? "late" : "better" });
      // It comes while the host is asked.
      for (let calls = 0; calls < 5; calls++) expect((await user.run(waits.id)).prompt).not.toBe("late");
      answer();
      expect((await reworded).status).toBe(isTaken ? 409 : 200);
      await ticked;
    }
    expect(prompts()).toEqual(["first", "better"]);
  });

  test("waits for slots, and for a host that is away, and starts once", async () => {
    const user = await userWithAgents(4);
    for (const agent of user.agents.slice(1))
      await user.call("POST", `/v1/agents/${agent.id}/runs`, { prompt: "busy" });
    expect((await send(user, "first")).json().waitingFor).toMatchObject({ kind: "slots" });
    const other = await userWithAgents();
    breakStarts();
    const lost = (await send(other, "lost")).json();
    expect(lost).toMatchObject({ status: "pending", waitingFor: { kind: "host" } });
    strict.answer = null;
    await until(async () => {
      gateway.clock.skewMs += 20_000;
      await host.report();
      await tick(gateway.deps);
      return strict.runs.has(lost.id);
    }, "it begins");
    expect(strict.began.filter(({ runId }) => runId === lost.id)).toHaveLength(1);
  });

  test("of each kind says what it waits for, whoever brought it: memory, and a host that has been away", async () => {
    const user = await userWithAgents(2);
    const [first, second] = user.agents as [typeof user.agent, typeof user.agent];
    await user.call("POST", `/v1/agents/${first.id}/runs`, { prompt: "busy" });
    const large = { prompt: "large", ifBusy: "queue" };
    const queued = (await user.call("POST", `/v1/agents/${second.id}/runs`, large)).json();
    expect(queued.waitingFor).toMatchObject({ kind: "memory" });
    const behind = await second.runId("behind");
    expect((await user.run(behind)).waitingFor).toMatchObject({ kind: "busy" });
    await user.call("POST", `/v1/runs/${queued.id}/cancel`);
    const delivered = await second.runId("large");
    await user.call("POST", `/v1/runs/${behind}/cancel`);
    gateway.clock.skewMs += 5000;
    await host.report();
    await tick(gateway.deps);
    await until(async () => (await user.run(delivered)).waitingFor.kind === "memory", "it says so");
    gateway.clock.skewMs += 120_000;
    await tick(gateway.deps);
    expect((await user.run(delivered)).waitingFor).toMatchObject({ kind: "host" });
    const late = await first.runId("late");
    await until(async () => {
      gateway.clock.skewMs += 5000;
      await tick(gateway.deps);
      return (await user.run(late)).waitingFor.kind === "host";
    }, "that says so too");
  });

  test("is refused where it may not wait", async () => {
    const user = await userWithAgents();
    await user.call("POST", `/v1/agents/${user.agent.id}/runs`, { prompt: "first" });
    const refused = await user.call("POST", `/v1/agents/${user.agent.id}/runs`, { prompt: "second" });
    expect([refused.status, refused.json().code]).toEqual([409, "agent_busy"]);
    expect(await user.waiting()).toEqual([]);
  });
});
