import { protocolVersion } from "@berth/shared/host-api";
import { sql } from "drizzle-orm";
import { generateKeyPair } from "jose";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createTestApp, type TestApp } from "../../test/app.ts";
import { emptyUsage, joinTestHost, makeRun, type TestHost } from "../../test/host.ts";
import { describeWorkspace } from "@berth/shared/resources";

let gateway: TestApp;
let host: TestHost;
let user: Awaited<ReturnType<TestApp["addUser"]>>;
beforeEach(async () => {
  gateway = await createTestApp();
  host = await joinTestHost(gateway);
  user = await gateway.addUser("reported");
});
afterEach(async () => {
  await host.close();
  await gateway.close();
});

const run = (changes: object) => makeRun({ id: "run_1", userId: user.id, agentId: "agt_1", rev: 1, ...changes });
const workspace = (connections: number) => ({
  ...describeWorkspace(gateway.deps.settings, host.id),
  userId: user.id,
  connections,
});
const copied = async () => (await gateway.call("GET", "/v1/runs", { token: user.token })).json().items;

describe("joining", () => {
  test("a token is used once, though the same host may ask again", async () => {
    const again = await gateway.call("POST", "/internal/hosts/join", { body: { ...host.join, token: host.joinToken } });
    expect(again.json().hostId).toBe(host.id);
    const otherKey = { ...host.join, publicKey: { ...host.join.publicKey, x: "A".repeat(43) } };
    const other = await gateway.call("POST", "/internal/hosts/join", { body: { ...otherKey, token: host.joinToken } });
    expect(other.json().code).toBe("unauthenticated");
  });

  test("a token is good for an hour", async () => {
    const boss = await gateway.addUser("boss", "admin");
    const { token } = (await gateway.call("POST", "/v1/admin/hosts/join-tokens", { token: boss.token })).json();
    gateway.clock.skewMs = 3_600_001;
    expect((await gateway.call("POST", "/internal/hosts/join", { body: { ...host.join, token } })).status).toBe(401);
  });

  test("the admin sees the host with its load and users", async () => {
    const boss = await gateway.addUser("boss", "admin");
    const { items } = (await gateway.call("GET", "/v1/admin/hosts", { token: boss.token })).json();
    expect(items).toMatchObject([
      { id: host.id, name: "testing", status: "live", draining: false, users: 0, load: { cpus: 2 } },
    ]);
    expect(JSON.stringify(items)).not.toContain(host.join.publicKey.x);
  });
});

describe("a report", () => {
  test("brings runs and workspaces, and is acknowledged up to its revision", async () => {
    const answer = await host.report({ runs: [run({})], workspaces: [workspace(1)], rev: 1 });
    expect(answer.json()).toMatchObject({ protocol: protocolVersion, ack: { epoch: "epoch1", rev: 1 } });
    expect(await copied()).toMatchObject([{ id: "run_1", status: "running" }]);
    expect((await gateway.call("GET", "/v1/me", { token: user.token })).json().workspace.connections).toBe(1);
  });

  test("of a workspace that is asleep says nothing of its disk: on it is what was there last", async () => {
    const tell = async (usedBytes: number) => {
      const told = workspace(1);
      await host.report({ workspaces: [{ ...told, disk: { ...told.disk, usedBytes } }], rev: 1 });
      return (await gateway.call("GET", "/v1/workspace", { token: user.token })).json().disk;
    };
    const { limitBytes } = await tell(0);
    expect([await tell(5), await tell(0), await tell(3)]).toMatchObject(
      [5, 5, 3].map((usedBytes) => ({ usedBytes, limitBytes })),
    );
  });

  test("that comes twice or late changes nothing", async () => {
    await host.report({ runs: [run({})], rev: 1 });
    const old = host.makeReport({
      since: 1,
      runs: [run({ rev: 2, status: "starting" })],
      workspaces: [workspace(1)],
      rev: 2,
    });
    const recent = host.makeReport({
      since: 1,
      runs: [run({ rev: 3, logBytes: 10 })],
      workspaces: [workspace(2)],
      rev: 3,
    });
    const send = async (body: unknown) =>
      gateway.call("POST", "/internal/hosts/report", { token: await host.sign(), body });
    for (const body of [recent, recent, old])
      expect((await send(body)).json().ack).toMatchObject({ epoch: "epoch1", rev: 3 });
    expect(await copied()).toMatchObject([{ status: "running", logBytes: 10 }]);
    expect((await gateway.call("GET", "/v1/me", { token: user.token })).json().workspace.connections).toBe(2);
  });

  test("of another epoch is taken whatever its revision, but never un-ends a run", async () => {
    const ended = run({ id: "run_2", rev: 9, status: "completed", reason: "completed" });
    await host.report({ runs: [run({ rev: 8, logBytes: 8 }), ended], rev: 9 });
    host.epoch = "epoch2";
    const answer = await host.report({
      runs: [run({ rev: 1, logBytes: 1 }), run({ id: "run_2", rev: 2 })],
      rev: 2,
      seq: 1,
    });
    expect(answer.json().ack).toMatchObject({ epoch: "epoch2", rev: 2 });
    const byId = Object.fromEntries((await copied()).map((item: { id: string }) => [item.id, item]));
    expect(byId).toMatchObject({ run_1: { logBytes: 1 }, run_2: { status: "completed" } });
  });

  test("of a host that was put back from an older copy gives no run another end than was told, but what it cost", async () => {
    const end = {
      status: "cancelled",
      reason: "cancelled",
      endedAt: "2026-01-01T00:00:09.000Z",
      exitCode: null,
    } as const;
    await host.report({ runs: [run({ rev: 8, ...end })], rev: 8 });
    const usage = { ...emptyUsage, inputTokens: 7, costUsd: 0.5 };
    const otherEnd = {
      status: "failed",
      reason: "nonzero_exit",
      exitCode: 143,
      endedAt: "2026-01-01T00:01:00.000Z",
    } as const;
    for (const [epoch, rev] of [
      ["epoch1", 9],
      ["epoch2", 1],
      ["epoch2", 2],
    ] as const) {
      await host.report({ epoch, runs: [run({ rev, ...otherEnd, usage, logBytes: 9 })], rev });
      expect(await copied()).toMatchObject([{ ...end, usage, logBytes: 0 }]);
    }
  });

  test("that has no prompt leaves the one that is held, and brings no run that is not", async () => {
    await host.report({ runs: [run({ prompt: "what was asked" })], rev: 1 });
    const { prompt: _prompt, ...later } = run({ rev: 2, logBytes: 10 });
    await host.report({ since: 1, runs: [later], rev: 2 });
    const { prompt: _unknown, ...other } = run({ id: "run_2", rev: 3 });
    await host.report({ since: 2, runs: [other], rev: 3 });
    expect(await copied()).toMatchObject([{ prompt: "what was asked", logBytes: 10 }]);
  });

  test("that begins after what is held is applied, and the rest is asked for again", async () => {
    const answer = await host.report({ since: 40, runs: [run({ rev: 41 })], rev: 41 });
    expect(answer.json().ack).toMatchObject({ epoch: "epoch1", rev: 0 });
    expect(await copied()).toHaveLength(1);
    expect((await host.report({ since: 0, runs: [run({ rev: 41 })], rev: 41 })).json().ack.rev).toBe(41);
  });

  test("of a host process that started again counts anew", async () => {
    await host.report({ runs: [run({})], workspaces: [workspace(1)], rev: 1, seq: 500 });
    await host.report({ runs: [run({})], workspaces: [workspace(2)], rev: 1, seq: 1 });
    await host.report({ since: 1, workspaces: [workspace(3)], rev: 1, seq: 2 });
    expect((await gateway.call("GET", "/v1/me", { token: user.token })).json().workspace.connections).toBe(3);
  });

  test("without a workspace or run deletes none", async () => {
    await host.report({ runs: [run({})], workspaces: [workspace(1)], rev: 1 });
    await host.report({ since: 1, rev: 1 });
    expect(await copied()).toHaveLength(1);
    expect((await gateway.call("GET", "/v1/me", { token: user.token })).json().workspace.connections).toBe(1);
  });

  test("speaks for users of that host alone", async () => {
    await host.report({ runs: [run({})], workspaces: [workspace(1)], rev: 1 });
    const intruder = await joinTestHost(gateway);
    await intruder.report({
      runs: [run({ rev: 99, result: "forged" }), run({ id: "run_3" })],
      workspaces: [workspace(9)],
      rev: 99,
    });
    expect(await copied()).toMatchObject([{ id: "run_1", result: null }]);
    expect((await gateway.call("GET", "/v1/me", { token: user.token })).json().workspace.connections).toBe(1);
    await intruder.close();
  });

  test("is told of every agent to drop in turn, however many the host cannot drop", async () => {
    await host.report({ workspaces: [workspace(1)] });
    const time = new Date().toISOString();
    await gateway.deps.atomic([
      sql`insert into agents (id, user_id, name, runtime, version, created_at, updated_at, deleted_at, env_keys)
        select 'agt_' || value, ${user.id}, 'a', 'shell', 1, ${time}, ${time}, ${time}, '[]'
        from json_each(${JSON.stringify(Array.from({ length: 450 }, (_, at) => at))})`,
    ]);
    const told = new Set<string>();
    for (let at = 0; at < 3; at++) {
      const { deletedAgents } = (await host.report()).json();
      expect(deletedAgents.length).toBeLessThanOrEqual(200);
      for (const id of deletedAgents) told.add(id);
    }
    expect(told.size).toBe(450);
  });

  test("is asked about every run in progress of its epoch in turn, whatever told of it", async () => {
    const started = Array.from({ length: 45 }, (_, at) => run({ id: `run_${at}`, rev: at + 2 }));
    await host.report({ runs: [...started, run({ id: "run_over", rev: 50, status: "completed" })], rev: 60 });
    const asked = new Set<string>();
    for (let at = 0; at < 3; at++) {
      const { heldRuns } = (await host.report({ rev: 60 })).json();
      expect(heldRuns.length).toBeLessThanOrEqual(20);
      for (const id of heldRuns) asked.add(id);
    }
    expect([...asked].toSorted()).toEqual(started.map(({ id }) => id).toSorted());
    expect((await host.report({ epoch: "epoch2", rev: 1 })).json().heldRuns).toEqual([]);
  });

  test("is told of what it goes on with though it was cancelled here when no host had it, and of nothing else", async () => {
    const told = ["waited", "there", "ended"].map((id, at) => run({ id: `run_${id}`, rev: at + 2, status: "running" }));
    await host.report({ runs: told.slice(1), rev: 4 });
    const ended = told
      .slice(1)
      .map((one) => ({ ...one, status: "cancelled" as const, reason: "cancelled" as const, rev: one.rev + 3 }));
    await host.report({ runs: ended, rev: 7 });
    // As a cancelled run that waited leaves it.
    await gateway.deps.db.all(sql`insert into runs (id, user_id, agent_id, status, created_at, data, prompt)
      select 'run_waited', user_id, agent_id, status, created_at, data, prompt from runs where id = 'run_there' returning id`);
    const { cancelledRuns } = (await host.report({ runs: told, rev: 7 })).json();
    expect(cancelledRuns).toEqual(["run_waited"]);
    expect((await host.report({ runs: [{ ...told[0]!, status: "completed" }], rev: 8 })).json().cancelledRuns).toEqual(
      [],
    );
  });

  test("of a thousand runs is applied in as many statements as one of a single run", async () => {
    const many = Array.from({ length: 1000 }, (_, at) => run({ id: `run_${at}`, rev: at + 2 }));
    const count = async (report: () => Promise<unknown>) => {
      const before = gateway.statements();
      await report();
      return gateway.statements() - before;
    };
    const single = await count(() => host.report({ runs: [run({})], rev: 1 }));
    expect(single).toBeGreaterThan(0);
    expect(await count(() => host.report({ runs: many, rev: 1001 }))).toBe(single);
  });

  test("tells revoked tokens and disabled users of that host", async () => {
    await host.report({ workspaces: [workspace(1)] });
    const boss = await gateway.addUser("boss", "admin");
    await gateway.call("DELETE", `/v1/tokens/${user.tokenId}`, { token: user.token });
    await gateway.call("PATCH", `/v1/admin/users/${user.id}`, { token: boss.token, body: { disabled: true } });
    expect((await host.report()).json()).toMatchObject({ revokedTokens: [user.tokenId], disabledUsers: [user.id] });
  });

  test.each([
    ["another host's name", { iss: "hst_other", sub: "hst_other" }],
    ["another subject", { sub: "hst_other" }],
    ["another audience", { aud: "berth" }],
    ["an expiry of an hour", { exp: Math.floor(Date.now() / 1000) + 3600 }],
    ["an expiry in the past", { exp: Math.floor(Date.now() / 1000) - 1 }],
  ])("with %s is refused", async (_what, claims) => {
    const answer = await gateway.call("POST", "/internal/hosts/report", {
      token: await host.sign(claims),
      body: host.makeReport(),
    });
    expect(answer.status).toBe(401);
  });

  test("signed with another key is refused", async () => {
    const { privateKey } = await generateKeyPair("EdDSA", { crv: "Ed25519" });
    const token = await host.sign({}, privateKey);
    expect((await gateway.call("POST", "/internal/hosts/report", { token, body: host.makeReport() })).status).toBe(401);
  });

  test("of a removed host is answered 410", async () => {
    const { sql } = await import("drizzle-orm");
    await gateway.deps.atomic([sql`update hosts set removed_at = ${new Date().toISOString()} where id = ${host.id}`]);
    const answer = await host.report();
    expect(answer.status).toBe(410);
    expect(answer.json()).toMatchObject({ status: 410, code: "forbidden" });
  });

  test("with entries that do not fit is taken without them, which is told once, until the host tells all without", async () => {
    const boss = await gateway.addUser("boss", "admin");
    const reason = async () =>
      (await gateway.call("GET", "/v1/admin/hosts", { token: boss.token })).json().items[0].reason;
    const odd = run({ id: "run_odd", rev: 2, status: "failed", reason: "from_the_future" });
    const load = { ...host.makeReport().load, memoryAvailableBytes: null as never };
    const workspaces = [workspace(1), { ...workspace(9), userId: "no id!" }];
    for (let at = 0; at < 2; at++) {
      const answer = await host.report({ runs: [run({}), odd], workspaces, load, rev: 2 });
      expect(answer.json()).toMatchObject({ ack: { rev: 2 } });
    }
    await host.report({ since: 2, rev: 2 });
    expect(await copied()).toMatchObject([{ id: "run_1" }]);
    expect((await gateway.call("GET", "/v1/me", { token: user.token })).json().workspace.connections).toBe(1);
    expect(await reason()).toMatch(/^A part of its reports does not fit/);
    expect(gateway.lines.filter((line) => line.includes("report.entry_set_aside"))).toHaveLength(1);
    await host.report({ rev: 2 });
    expect(await reason()).toBeNull();
  });

  test("of which something was set aside is asked for whole again each hour, whoever answers then", async () => {
    await gateway.tick();
    await host.report({ runs: [run({ rev: 2, reason: "from_the_future" as never })], rev: 2 });
    expect((await host.report({ since: 2, rev: 2 })).json()).toMatchObject({ ack: { rev: 2 } });
    gateway.clock.skewMs = 3_601_000;
    await gateway.tick();
    expect((await host.report({ since: 2, rev: 2 })).json()).toMatchObject({ ack: { rev: 0 } });
    gateway.clock.skewMs = 0;
  });

  test("of another protocol or with rubbish is refused", async () => {
    expect((await host.report({ protocol: protocolVersion + 1 })).status).toBe(400);
    expect((await host.report({ runs: {} as never })).status).toBe(400);
  });
});

describe("a host with a new database", () => {
  test("has lost the runs that it does not tell of, also one that asked something, once it has told all", async () => {
    const waitingFor = {
      kind: "permission",
      requestId: "req_1",
      tool: "Bash",
      input: {},
      since: "2026-01-01T00:00:00.000Z",
    };
    await host.report({
      runs: [
        run({ rev: 1, waitingFor }),
        run({ id: "run_2", rev: 2, waitingFor }),
        run({ id: "run_3", rev: 3, status: "completed", reason: "completed" }),
      ],
      rev: 3,
    });
    host.epoch = "epoch2";
    await host.report({ runs: [run({ id: "run_2", rev: 1, waitingFor })], rev: 1, seq: 1 });
    expect((await copied()).map((item: { status: string }) => item.status).sort()).toEqual([
      "completed",
      "running",
      "running",
    ]);
    await host.report({ since: 1, rev: 1, complete: true });
    const byId = Object.fromEntries((await copied()).map((item: { id: string }) => [item.id, item]));
    expect(byId).toMatchObject({
      run_1: { status: "failed", reason: "host_lost", waitingFor: null },
      run_2: { status: "running", waitingFor },
      run_3: { reason: "completed" },
    });
    const events = await gateway.call("GET", "/v1/runs/run_1/events", { token: user.token });
    expect(events.text.match(/"reason":"host_lost"/g)).toHaveLength(2);
  });

  test("has lost the output of the runs that had ended, and says no more than their end", async () => {
    await host.report({
      runs: [run({ status: "completed", reason: "completed", startedAt: "2026-01-01T00:00:01.000Z" })],
      rev: 1,
    });
    const events = await gateway.call("GET", "/v1/runs/run_1/events", { token: user.token });
    expect(host.requests.at(-1)?.path).toBe("/v1/runs/run_1/events?after=0");
    expect(events.text.match(/"status":"completed"/g)).toHaveLength(2);
  });

  test("loses nothing by reports in the same database", async () => {
    await host.report({ runs: [run({ rev: 1 })], rev: 1, complete: true });
    await host.report({ since: 1, rev: 1, complete: true });
    expect(await copied()).toMatchObject([{ status: "running" }]);
  });
});
