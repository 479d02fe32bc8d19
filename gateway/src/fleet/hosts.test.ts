import { protocolVersion } from "@berth/shared/host-api";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createTestApp, type TestApp } from "../../test/app.ts";
import { answerJson, joinTestHost, makeRun, type TestHost } from "../../test/host.ts";
import { sql } from "drizzle-orm";
import { placeUser } from "../hosts/placement.ts";
import { deleteOld } from "../tick.ts";
import { describeWorkspace } from "@berth/shared/resources";

let gateway: TestApp;
let boss: Awaited<ReturnType<TestApp["addUser"]>>;
const opened: TestHost[] = [];
beforeEach(async () => {
  gateway = await createTestApp();
  boss = await gateway.addUser("boss", "admin");
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((host) => host.close()));
  await gateway.close();
});

const join = async (load: Parameters<typeof joinTestHost>[1] = {}) => {
  const host = await joinTestHost(gateway, load);
  opened.push(host);
  return host;
};
const admin = (method: string, path: string) => gateway.call(method, `/v1/admin/hosts${path}`, { token: boss.token });
const listed = async () => (await admin("GET", "")).json().items as Record<string, unknown>[];
const addUsers = (count: number) =>
  Promise.all(Array.from({ length: count }, async (_, at) => gateway.addUser(`user${at}`)));
/** How many of the users each host got, and how many none. */
async function place(users: { id: string }[]): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  const places = await Promise.allSettled(users.map(({ id }) => placeUser(gateway.deps, id)));
  for (const at of places) {
    const key = at.status === "fulfilled" ? at.value.id : String(at.reason.code);
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

describe("placement", () => {
  test("spreads 100 racing users evenly over 5 hosts", async () => {
    const users = await addUsers(100);
    const hosts = await Promise.all([1, 2, 3, 4, 5].map(() => join({ maxWorkspaces: 50 })));
    expect(await place(users)).toEqual(Object.fromEntries(hosts.map(({ id }) => [id, 20])));
    expect(await place(users)).toEqual(Object.fromEntries(hosts.map(({ id }) => [id, 20])));
  });

  test("fills hosts up to their limit and no further, before any of them has reported a workspace", async () => {
    const small = await join({ maxWorkspaces: 3 });
    const large = await join({ maxWorkspaces: 5, workspaces: 1 });
    expect(await place(await addUsers(10))).toEqual({ [small.id]: 3, [large.id]: 4, no_host: 3 });
    const reasons = (await listed()).map(({ reason }) => reason);
    expect(reasons).toEqual([expect.stringContaining("full"), expect.stringContaining("full")]);
  });

  test("counts a user no longer as a workspace to come once the host has told of the container", async () => {
    const host = await join({ maxWorkspaces: 2 });
    const [first, second] = await addUsers(2);
    await place([first!]);
    const workspace = { ...describeWorkspace(gateway.deps.settings, host.id), userId: first!.id, containerId: "c" };
    await host.report({ load: { ...host.makeReport().load, workspaces: 1 }, workspaces: [workspace] });
    expect(await place([second!])).toEqual({ [host.id]: 1 });
  });

  test("takes the host with the fewest users, however busy", async () => {
    const [first, second] = [await join({ activeRuns: 50 }), await join()];
    const users = await addUsers(3);
    await place(users.slice(0, 1));
    const [full, empty] =
      (await listed()).find(({ id }) => id === first.id)!["users"] === 1 ? [first, second] : [second, first];
    expect(await place(users.slice(1, 2))).toEqual({ [empty.id]: 1 });
    expect(full.id).not.toBe(empty.id);
  });

  test.each([
    ["draining", async (host: TestHost) => void (await admin("POST", `/${host.id}/drain`)), /draining and empty/],
    ["silent for 30 s", async () => void (gateway.clock.skewMs = 30_001), /silent since/],
    [
      "short of memory",
      async (host: TestHost) =>
        void (await host.report({ load: { ...host.makeReport().load, memoryAvailableBytes: 2 ** 29 } })),
      /memory/,
    ],
    [
      "of another protocol",
      async (host: TestHost) => void (await host.report({ protocol: protocolVersion + 1 })),
      new RegExp(`protocol ${protocolVersion + 1} .* upgrade the gateway`),
    ],
  ])("passes over a host that is %s, and the admin sees why", async (_what, act, reason) => {
    const host = await join();
    expect(await listed()).toMatchObject([{ status: "live", reason: null, protocol: protocolVersion }]);
    await act(host);
    expect(await place(await addUsers(1))).toEqual({ no_host: 1 });
    expect(await listed()).toMatchObject([{ reason: expect.stringMatching(reason) }]);
  });

  test("passes over a host that reports and is not reached, until a call gets to it, and the admin sees why", async () => {
    const hosts = [await join(), await join()];
    const [first, second, third] = await addUsers(3);
    const at = (await placeUser(gateway.deps, first!.id)).id;
    const [lost, other] = [hosts.find(({ id }) => id === at)!, hosts.find(({ id }) => id !== at)!];
    const url = lost.url.replace(/\d+$/, "9");
    await lost.report({ url });
    const start = await gateway.call("POST", "/v1/workspace/start", { token: first!.token });
    expect(start.json()).toMatchObject({ code: "host_unavailable" });
    const told = async () => (await listed()).find(({ id }) => id === lost.id);
    const why = new RegExp(`^The gateway does not reach it at ${url} \\(.+\\): see BERTH_HOST_URL`);
    expect(await told()).toMatchObject({ status: "down", reason: expect.stringMatching(why) });
    await place([second!]);
    await lost.report({ url });
    expect(await place([third!])).toEqual({ [other.id]: 1 });
    await lost.report();
    await expect.poll(told).toMatchObject({ status: "live", reason: null });
  });

  test("waits for a host's first call: a report proves the other direction alone", async () => {
    const host = await join();
    const { token } = (await admin("POST", "/join-tokens")).json();
    const publicKey = { ...host.join.publicKey, x: "C".repeat(43) };
    await gateway.call("POST", "/internal/hosts/join", { body: { ...host.join, publicKey, token } });
    expect((await listed()).map(({ status }) => status)).toEqual(["live", "down"]);
    await host.close();
    opened.length = 0;
    await gateway.call("POST", "/v1/workspace/start", { token: boss.token });
    expect((await listed()).map(({ status }) => status)).toEqual(["down", "down"]);
    expect((await gateway.call("GET", "/readyz")).json()).toEqual({ status: "unready", reason: "No host is live." });
  });

  test("waits after a start until each host has spoken, so that an older database doubles nobody", async () => {
    const [first, second] = [await join(), await join()];
    const user = await gateway.addUser("forgotten");
    const deps = { ...gateway.deps, startedAt: gateway.deps.now() + 1000 };
    gateway.clock.skewMs = 1500;
    await second.report();
    const placed = placeUser(deps, user.id);
    const workspace = { ...describeWorkspace(gateway.deps.settings, first.id), userId: user.id };
    await first.report({ workspaces: [workspace] });
    expect((await placed).id).toBe(first.id);
  });
});

describe("draining", () => {
  test("takes no new users, goes on serving its own, and resumes", async () => {
    const [host, other] = [await join(), await join()];
    const [own] = await addUsers(1);
    await place([own!]);
    const theirs = (await listed()).find(({ users }) => users === 1)!;
    expect((await admin("POST", `/${String(theirs["id"])}/drain`)).json()).toMatchObject({
      status: "draining",
      draining: true,
    });
    const agent = (await gateway.call("POST", "/v1/agents", { token: own!.token, body: { name: "a" } })).json();
    const run = await gateway.call("POST", `/v1/agents/${agent.id}/runs`, {
      token: own!.token,
      body: { prompt: "hi" },
    });
    expect(run.status).toBe(202);
    const stranger = await gateway.addUser("stranger");
    const free = theirs["id"] === host.id ? other : host;
    expect(await place([stranger])).toEqual({ [free.id]: 1 });
    expect((await admin("POST", `/${String(theirs["id"])}/resume`)).json()).toMatchObject({
      status: "live",
      reason: null,
    });
  });

  test("of a host that does not exist is not found", async () => {
    expect((await admin("POST", "/hst_none/drain")).status).toBe(404);
    expect((await admin("DELETE", "/hst_none")).status).toBe(404);
  });
});

describe("removing a host", () => {
  const running = { status: "running", startedAt: "2026-01-01T00:00:01.000Z" } as const;
  async function withUser() {
    const host = await join();
    const user = await gateway.addUser("moved");
    const agent = (await gateway.call("POST", "/v1/agents", { token: user.token, body: { name: "a" } })).json();
    await gateway.call("PUT", `/v1/agents/${agent.id}/env`, { token: user.token, body: { KEY: "value" } });
    const run = makeRun({ id: "run_1", userId: user.id, agentId: agent.id, rev: 2, ...running });
    const ended = { ...run, id: "run_2", status: "completed", reason: "completed" } as const;
    await host.report({ runs: [run, ended], rev: 2 });
    return { host, user, agent };
  }
  const get = async (user: { token: string }, path: string) =>
    (await gateway.call("GET", path, { token: user.token })).json();

  test("asks for its name where it has users", async () => {
    const { host } = await withUser();
    const refused = await admin("DELETE", `/${host.id}`);
    expect(refused.json()).toMatchObject({ code: "conflict", detail: expect.stringContaining("1 user") });
    expect((await admin("DELETE", `/${host.id}?confirm=other`)).status).toBe(409);
    expect((await admin("DELETE", `/${host.id}?confirm=testing`)).status).toBe(204);
    expect(await listed()).toEqual([]);
    expect((await admin("DELETE", `/${host.id}?confirm=testing`)).status).toBe(404);
    const empty = await join();
    expect((await admin("DELETE", `/${empty.id}`)).status).toBe(204);
  });

  test("ends its runs as host_lost, keeps agents, forgets what was on it, and tells the user", async () => {
    const { host, user, agent } = await withUser();
    await admin("DELETE", `/${host.id}?confirm=testing`);
    expect(await get(user, "/v1/runs/run_1")).toMatchObject({
      status: "failed",
      reason: "host_lost",
      endedAt: expect.any(String),
    });
    expect(await get(user, "/v1/runs/run_2")).toMatchObject({ status: "completed" });
    expect(await get(user, `/v1/agents/${agent.id}`)).toMatchObject({ id: agent.id, envKeys: [], status: "idle" });
    const told = expect.stringMatching(/testing was removed.*workspace is empty/);
    expect(await get(user, "/v1/workspace")).toMatchObject({ status: "absent", hostId: null, reason: told });
    expect(await get(user, "/v1/me")).toMatchObject({ notice: told, workspace: { reason: told } });
    await gateway.call("DELETE", "/v1/me/notice", { token: user.token });
    expect(await get(user, "/v1/me")).toMatchObject({ notice: null, workspace: { reason: null } });
  });

  test("places its users anew, where a message works", async () => {
    const { host, user, agent } = await withUser();
    const other = await join();
    await admin("DELETE", `/${host.id}?confirm=testing`);
    const sent = await gateway.call("POST", `/v1/agents/${agent.id}/runs`, {
      token: user.token,
      body: { prompt: "hi" },
    });
    expect(sent.status).toBe(202);
    expect(other.requests.map(({ path }) => path)).toContain("/v1/runs");
  });

  test("tells of its runs that had ended without their output, which is gone with it", async () => {
    const { host, user } = await withUser();
    await admin("DELETE", `/${host.id}?confirm=testing`);
    const told = async (what: string) =>
      (await gateway.call("GET", `/v1/runs/run_2/${what}`, { token: user.token })).text;
    expect((await told("events")).match(/"status":"completed"/g)).toHaveLength(2);
    expect(await told("stderr")).toBe("");
    const other = await join();
    await gateway.call("POST", "/v1/workspace/start", { token: user.token });
    expect((await told("events")).match(/"status":"completed"/g)).toHaveLength(2);
    expect(other.requests.map(({ path }) => path)).not.toContain("/v1/runs/run_2/events?after=0");
  });

  test("has the other hosts tell all again, so that a user whom an older database took to be here is found there", async () => {
    const { host, user, agent } = await withUser();
    const other = await join();
    const runs = [makeRun({ id: "run_3", userId: user.id, agentId: agent.id, rev: 1, ...running })];
    const workspaces = [{ ...describeWorkspace(gateway.deps.settings, other.id), userId: user.id }];
    await other.report({ runs, workspaces, rev: 1 });
    expect(await get(user, "/v1/runs/run_3")).toMatchObject({ code: "not_found" });
    await admin("DELETE", `/${host.id}?confirm=testing`);
    const { ack } = (await other.report({ since: 1, workspaces, rev: 1 })).json();
    expect(ack).toMatchObject({ epoch: "epoch1", rev: 0 });
    await other.report({ since: ack.rev, runs, workspaces, rev: 1 });
    expect(await get(user, "/v1/runs/run_3")).toMatchObject({ status: "running" });
  });

  test("takes no report from it any more", async () => {
    const { host, user, agent } = await withUser();
    const report = host.makeReport({ runs: [makeRun({ id: "run_3", userId: user.id, agentId: agent.id, rev: 9 })] });
    await admin("DELETE", `/${host.id}?confirm=testing`);
    const late = await gateway.call("POST", "/internal/hosts/report", { token: await host.sign(), body: report });
    expect(late.status).toBe(410);
    expect((await get(user, "/v1/runs")).items.map(({ id }: { id: string }) => id).sort()).toEqual(["run_1", "run_2"]);
  });

  test("ends a run that it just took as host_lost: a repeated call meets it, and nothing starts elsewhere", async () => {
    const { host, user, agent } = await withUser();
    const other = await join();
    const since = "2026-01-01T00:00:00.000Z";
    const waitingFor = { kind: "permission", requestId: "req_1", tool: "Bash", input: {}, since } as const;
    let answer = () => {};
    host.handle = (request, response) => {
      answer = () => {
        const { run } = JSON.parse(request.body);
        const made = makeRun({
          id: run.id,
          userId: user.id,
          agentId: agent.id,
          rev: 3,
          prompt: run.prompt,
          waitingFor,
        });
        answerJson(response, 202, { epoch: host.epoch, run: made });
      };
    };
    const before = host.requests.length;
    const message = { token: user.token, body: { prompt: "hi" }, headers: { "idempotency-key": "once" } };
    const sent = gateway.call("POST", `/v1/agents/${agent.id}/runs`, message);
    await expect.poll(() => host.requests.length).toBeGreaterThan(before);
    await admin("DELETE", `/${host.id}?confirm=testing`);
    answer();
    const taken = (await sent).json();
    const lost = { status: "failed", reason: "host_lost", endedAt: expect.any(String), waitingFor: null, prompt: "hi" };
    expect(taken).toMatchObject(lost);
    const again = await gateway.call("POST", `/v1/agents/${agent.id}/runs`, message);
    expect(again.json()).toEqual(taken);
    expect(other.requests.map(({ path }) => path)).not.toContain("/v1/runs");
    expect(await get(user, `/v1/runs/${taken.id}`)).toEqual(taken);
  });

  describe("that was asked for a run and has not answered", () => {
    async function withMessage(headers: Record<string, string> = { "idempotency-key": "once" }) {
      const { host, user, agent } = await withUser();
      const other = await join();
      const send = (prompt = "hi", ifBusy = "refuse") =>
        gateway.call("POST", `/v1/agents/${agent.id}/runs`, { token: user.token, body: { prompt, ifBusy }, headers });
      const startedElsewhere = () => other.requests.filter(({ path }) => path === "/v1/runs").length;
      return { host, user, agent, send, startedElsewhere };
    }
    const refusal = (code: string) => ({
      type: "about:blank",
      title: "-",
      status: 409,
      detail: "-",
      code,
      requestId: "host",
    });
    const lost = { status: "failed", reason: "host_lost", startedAt: null, prompt: "hi", continues: null };

    test("may have begun it: the same message meets it as lost, whatever comes of the call that is under way", async () => {
      const { host, user, send, startedElsewhere } = await withMessage();
      let answer = () => {};
      host.handle = (request, response) => {
        const { run } = JSON.parse(request.body);
        const made = makeRun({ id: run.id, userId: user.id, agentId: run.agentId, rev: 3, ...running });
        answer = () => answerJson(response, 202, { epoch: host.epoch, run: made });
      };
      const before = host.requests.length;
      const first = send();
      await expect.poll(() => host.requests.length).toBeGreaterThan(before);
      await admin("DELETE", `/${host.id}?confirm=testing`);
      const again = (await send()).json();
      expect(again).toMatchObject(lost);
      answer();
      await first;
      expect((await send("other")).json()).toMatchObject({ code: "conflict", runId: again.id });
      expect(startedElsewhere()).toBe(0);
      expect(await get(user, `/v1/runs/${again.id}`)).toEqual(again);
    });

    test("may have begun it, also where its answer was lost", async () => {
      const { host, send, startedElsewhere } = await withMessage();
      host.handle = (_request, response) => void response.destroy();
      expect((await send()).json()).toMatchObject({ code: "host_unavailable" });
      await admin("DELETE", `/${host.id}?confirm=testing`);
      const [one, two] = (await Promise.all([send(), send()])).map((answer) => answer.json());
      expect(one).toMatchObject(lost);
      expect(two).toEqual(one);
      expect(startedElsewhere()).toBe(0);
    });

    test("may have begun what waits: it ends as lost, and what it was not asked for begins elsewhere", async () => {
      const { host, user, send, startedElsewhere } = await withMessage({});
      host.handle = (_request, response) => void response.destroy();
      const asked = (await send("hi", "queue")).json();
      const next = (await send("next", "queue")).json();
      expect([asked, next]).toMatchObject([{ status: "pending" }, { status: "pending" }]);
      await admin("DELETE", `/${host.id}?confirm=testing`);
      expect(await get(user, `/v1/runs/${asked.id}`)).toMatchObject({ ...lost, waitingFor: null });
      // What it was put off for.
      gateway.clock.skewMs += 20_000;
      await gateway.tick();
      expect(startedElsewhere()).toBe(1);
      expect((await get(user, `/v1/runs/${next.id}`)).status).not.toBe("pending");
    });

    test.each(["", "once"])(
      "may have begun what waits once the call that was under way has failed, key: %s",
      async (key) => {
        const { host, user, send, startedElsewhere } = await withMessage(key ? { "idempotency-key": key } : {});
        let fail = () => {};
        host.handle = (_request, response) => {
          fail = () => response.destroy();
          // What broke on a kept connection is sent once more.
          host.handle = (_again, another) => void another.destroy();
        };
        const before = host.requests.length;
        const sent = send("hi", "queue");
        await expect.poll(() => host.requests.length).toBeGreaterThan(before);
        await admin("DELETE", `/${host.id}?confirm=testing`);
        fail();
        const told = (await sent).json();
        expect(told).toMatchObject(lost);
        await gateway.tick();
        expect(await get(user, `/v1/runs/${told.id}`)).toEqual(told);
        expect(startedElsewhere()).toBe(0);
      },
    );

    test("may have begun what waits behind another call for it that is still under way", async () => {
      const { host, user, send, startedElsewhere } = await withMessage();
      let fail = () => {};
      host.handle = (_request, response) => void (fail = () => response.destroy());
      const before = host.requests.length;
      const first = send();
      await expect.poll(() => host.requests.length).toBeGreaterThan(before);
      host.handle = (_request, response) => answerJson(response, 409, refusal("agent_busy"));
      const queued = (await send("hi", "queue")).json();
      expect(queued.status).toBe("pending");
      await admin("DELETE", `/${host.id}?confirm=testing`);
      fail();
      await first;
      gateway.clock.skewMs += 20_000;
      await gateway.tick();
      expect(startedElsewhere()).toBe(0);
      expect(await get(user, `/v1/runs/${queued.id}`)).toMatchObject(lost);
    });

    test("may have begun what another call has had wait meanwhile, whatever it refused since", async () => {
      const { host, user, send, startedElsewhere } = await withMessage();
      const calls = () => host.requests.filter(({ path }) => path === "/v1/runs").length;
      let fail = () => {};
      host.handle = (_request, response) => {
        fail = () => response.destroy();
        host.handle = (_again, another) => answerJson(another, 409, refusal("agent_busy"));
      };
      const first = send("hi", "queue");
      await expect.poll(calls).toBe(1);
      const { id } = (await send("hi", "queue")).json();
      const isRefused = sql`select 1 from deliveries where attempts > 0 and lease_until is null and maybe_sent = 0`;
      await expect.poll(() => gateway.deps.db.all(isRefused)).toHaveLength(1);
      host.handle = (_request, response) => void response.destroy();
      fail();
      expect((await first).json()).toMatchObject({ id, status: "pending" });
      await admin("DELETE", `/${host.id}?confirm=testing`);
      gateway.clock.skewMs += 20_000;
      await gateway.tick();
      expect(startedElsewhere()).toBe(0);
      expect(await get(user, `/v1/runs/${id}`)).toMatchObject(lost);
    });

    test("is remembered once for a message, however often that is sent; of two messages under one key each meets its own", async () => {
      const { host, send, startedElsewhere } = await withMessage();
      host.handle = (_request, response) => void response.destroy();
      for (const prompt of ["hi", "other", "hi", "other", "hi"]) expect((await send(prompt)).status).toBe(503);
      const rows = sql`select 1 from start_calls`;
      expect(await gateway.deps.db.all(rows)).toHaveLength(2);
      await admin("DELETE", `/${host.id}?confirm=testing`);
      expect((await send("another")).json()).toMatchObject({ code: "conflict" });
      expect((await send()).json()).toMatchObject(lost);
      expect((await send("other")).json()).toMatchObject({ code: "conflict" });
      expect([startedElsewhere(), await gateway.deps.db.all(rows)]).toEqual([0, []]);
    });

    test("has not begun what it refused, also when it was asked again and did not answer before: only the unanswered call counts", async () => {
      const { host, send, startedElsewhere } = await withMessage();
      host.handle = (_request, response) => answerJson(response, 409, refusal("agent_busy"));
      expect((await send()).status).toBe(409);
      host.handle = (_request, response) => void response.destroy();
      expect((await send()).status).toBe(503);
      host.handle = (_request, response) => answerJson(response, 409, refusal("agent_busy"));
      expect((await send()).status).toBe(409);
      await admin("DELETE", `/${host.id}?confirm=testing`);
      expect((await send()).json()).toMatchObject(lost);
      expect((await send("hi", "queue")).json()).toMatchObject(lost);
      expect(startedElsewhere()).toBe(0);
    });

    test.each([
      ["agent_busy", 409],
      ["no_host", 503],
    ])("has not begun what it refused (%s): that begins elsewhere", async (code, status) => {
      const { host, user, send, startedElsewhere } = await withMessage();
      host.handle = (_request, response) => answerJson(response, status, refusal(code));
      expect((await send()).status).toBe(status);
      const { id } = (await send("hi", "queue")).json();
      // It is asked at once again, and refuses again.
      const isRefused = sql`select 1 from deliveries where attempts > 0 and lease_until is null`;
      await expect.poll(() => gateway.deps.db.all(isRefused)).toHaveLength(1);
      await admin("DELETE", `/${host.id}?confirm=testing`);
      gateway.clock.skewMs += 20_000;
      await gateway.tick();
      expect([startedElsewhere(), (await get(user, `/v1/runs/${id}`)).status]).toEqual([1, "starting"]);
    });

    test("leaves a thousand messages of a user without an answer at most, and none of them for ever", async () => {
      const { host, send } = await withMessage();
      const count = async () => {
        const [row] = await gateway.deps.db.all<{ open: number }>(sql`select count(*) as open from start_calls`);
        return row!.open;
      };
      host.handle = (_request, response) => void response.destroy();
      expect((await send()).status).toBe(503);
      await gateway.deps.db.all(sql`
        with recursive more (at) as (select 1 union all select at + 1 from more where at < 999)
        insert into start_calls (user_id, run_id, call_id, host_id, asked, asked_at)
        select user_id, run_id || at, call_id, host_id, asked, asked_at from start_calls, more returning 1`);
      expect((await send("other")).json()).toMatchObject({ code: "rate_limited" });
      expect(await count()).toBe(1000);
      gateway.clock.skewMs += 25 * 3_600_000;
      while (await deleteOld(gateway.deps, gateway.deps.now()));
      expect(await count()).toBe(1000);
      await host.report();
      while (await deleteOld(gateway.deps, gateway.deps.now()));
      expect(await count()).toBe(0);
    });
  });

  test("is written down with who did it", async () => {
    const { host } = await withUser();
    await admin("POST", `/${host.id}/drain`);
    await admin("DELETE", `/${host.id}?confirm=testing`);
    const { items } = (await gateway.call("GET", `/v1/admin/audit?target=${host.id}`, { token: boss.token })).json();
    expect(items.map(({ action, actor }: { action: string; actor: { name: string } }) => [action, actor.name])).toEqual(
      [
        ["host.removed", "boss"],
        ["host.drained", "boss"],
        ["host.joined", "testing"],
      ],
    );
  });
});

describe("a host of another protocol", () => {
  test("is told who must be upgraded, whatever else its report says, and what it runs stays in the copy", async () => {
    const host = await join();
    const user = await gateway.addUser("kept");
    await placeUser(gateway.deps, user.id);
    await host.report({ runs: [makeRun({ id: "run_1", userId: user.id, agentId: "agt_1", rev: 1 })], rev: 1 });
    const newer = await gateway.call("POST", "/internal/hosts/report", {
      token: await host.sign(),
      body: { protocol: 7, novelty: true },
    });
    expect(newer.json()).toMatchObject({
      status: 400,
      detail: expect.stringMatching(/upgrade the gateway to the host agent's version/),
    });
    expect(await listed()).toMatchObject([
      { status: "down", protocol: 7, reason: expect.stringMatching(/upgrade the gateway/) },
    ]);
    const items = (await gateway.call("GET", "/v1/runs", { token: user.token })).json().items;
    expect(items).toMatchObject([{ id: "run_1", status: "running" }]);
    await host.report();
    expect(await listed()).toMatchObject([{ status: "live", reason: null, protocol: protocolVersion }]);
  });

  test("does not join, and leaves the token good", async () => {
    const { token } = (await admin("POST", "/join-tokens")).json();
    const host = await join();
    const call = (protocol: number) =>
      gateway.call("POST", "/internal/hosts/join", { body: { ...host.join, protocol, token } });
    expect((await call(0)).json().detail).toMatch(/upgrade the host agent/);
    expect((await call(protocolVersion)).status).toBe(200);
  });
});

describe("a host that is called by plain http beyond this machine", () => {
  const url = "http://10.0.0.7:8081";
  test("is refused at the join and at a report", async () => {
    const host = await join();
    const { token } = (await admin("POST", "/join-tokens")).json();
    const joined = await gateway.call("POST", "/internal/hosts/join", { body: { ...host.join, url, token } });
    expect(joined.json()).toMatchObject({ status: 400, detail: expect.stringContaining("BERTH_ALLOW_HTTP_HOSTS") });
    expect((await host.report({ url })).status).toBe(400);
    expect(await listed()).toMatchObject([
      { status: "down", url: host.url, reason: expect.stringContaining("plain http") },
    ]);
    expect((await host.report({ url: "https://10.0.0.7:8081" })).status).toBe(200);
  });

  test("is taken with BERTH_ALLOW_HTTP_HOSTS=1", async () => {
    const allowing = await createTestApp({ BERTH_ALLOW_HTTP_HOSTS: "1" });
    const host = await joinTestHost(allowing);
    expect((await host.report({ url })).status).toBe(200);
    await host.close();
    await allowing.close();
  });
});

describe("what a stolen host holds", () => {
  test("speaks for no user, no admin and no other host", async () => {
    const [stolen, other] = [await join(), await join()];
    const own = await stolen.sign();
    const forged = { iss: stolen.id, sub: boss.id, aud: "berth" };
    for (const token of [
      own,
      await stolen.sign(forged),
      await stolen.sign({ iss: "http://localhost:8080", sub: boss.id, aud: "berth", jti: boss.tokenId }),
    ])
      for (const path of ["/v1/me", "/v1/runs", "/v1/admin/hosts", "/v1/admin/users"])
        expect((await gateway.call("GET", path, { token })).status).toBe(401);
    for (const claims of [{ iss: other.id }, { iss: other.id, sub: other.id }, { sub: other.id }, { aud: other.id }])
      expect(
        (
          await gateway.call("POST", "/internal/hosts/report", {
            token: await stolen.sign(claims),
            body: other.makeReport(),
          })
        ).status,
      ).toBe(401);
    expect((await gateway.call("POST", "/v1/admin/hosts/join-tokens", { token: own })).status).toBe(401);
  });

  test("includes the gateway's calls to it, which are no credential at the gateway", async () => {
    const stolen = await join();
    const user = await gateway.addUser("called");
    await gateway.call("POST", "/v1/workspace/start", { token: user.token });
    const call = stolen.requests.at(-1)!.headers.authorization!.slice("Bearer ".length);
    for (const path of ["/v1/me", "/v1/workspace"])
      expect((await gateway.call("GET", path, { token: call })).status).toBe(401);
    expect(
      (await gateway.call("POST", "/internal/hosts/report", { token: call, body: stolen.makeReport() })).status,
    ).toBe(401);
    expect((await gateway.call("POST", "/session", { body: { token: call } })).status).toBe(401);
  });

  test("includes used join tokens, which join no other key", async () => {
    const stolen = await join();
    const publicKey = { ...stolen.join.publicKey, x: "B".repeat(43) };
    const again = await gateway.call("POST", "/internal/hosts/join", {
      body: { ...stolen.join, publicKey, token: stolen.joinToken },
    });
    expect(again.status).toBe(401);
  });

  test("includes old reports, whose credentials are good for a minute", async () => {
    const stolen = await join();
    const [token, body] = [await stolen.sign(), stolen.makeReport()];
    gateway.clock.skewMs = 60_001;
    expect((await gateway.call("POST", "/internal/hosts/report", { token, body })).status).toBe(401);
  });

  test("moves no user of another host to it", async () => {
    const [home, stolen] = [await join(), await join()];
    const user = await gateway.addUser("settled");
    const { id } = await placeUser(gateway.deps, user.id);
    const thief = id === home.id ? stolen : home;
    const workspace = { ...describeWorkspace(gateway.deps.settings, thief.id), userId: user.id };
    await thief.report({
      workspaces: [workspace],
      agents: [{ id: "agt_1", userId: user.id, envKeys: [], rev: 1, deleted: true }],
    });
    expect((await placeUser(gateway.deps, user.id)).id).toBe(id);
  });
});

test("the join command names gateway, token and the new machine's address", async () => {
  const { token, command } = (await admin("POST", "/join-tokens")).json();
  expect(command).toMatch(
    /^BERTH_GATEWAY_URL=http:\/\/localhost:8080 BERTH_JOIN_TOKEN=\w+ BERTH_HOST_URL=https:\/\/\S+ \S+:8081 npm run host$/,
  );
  expect(command).toContain(token);
});
