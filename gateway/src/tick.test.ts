import { sql } from "drizzle-orm";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createTestApp, type TestApp } from "../test/app.ts";
import { answerJson, joinTestHost, makeRun, type TestHost } from "../test/host.ts";
import { until } from "../test/wait.ts";
import { audit } from "./access/audit.ts";
import { tick } from "./tick.ts";
import { systemActor } from "./http/caller.ts";

let gateway: TestApp;
let host: TestHost;
let user: Awaited<ReturnType<TestApp["addUser"]>>;
let agentId: string;
const open = async (settings: Record<string, string> = {}) => {
  gateway = await createTestApp(settings);
  host = await joinTestHost(gateway);
  user = await gateway.addUser("waiter");
  agentId = (await gateway.call("POST", "/v1/agents", { token: user.token, body: { name: "a" } })).json().id;
};
const close = async () => {
  await host.close();
  await gateway.close();
};
beforeEach(() => open());
afterEach(close);

const dayMs = 24 * 3_600_000;
const ticks = (count: number) => Promise.all(Array.from({ length: count }, () => tick(gateway.deps)));

describe("two ticks at once", () => {
  test("start a run that waits once", async () => {
    const unavailable = { type: "-", title: "-", status: 503, detail: "-", code: "host_unavailable", requestId: "-" };
    host.handle = (_request, response) => answerJson(response, 503, unavailable);
    const path = `/v1/agents/${agentId}/triggers`;
    const body = { name: "t", scheme: "token", template: "{{payload}}" };
    const { id, secret } = (await gateway.call("POST", path, { token: user.token, body })).json();
    await gateway.call("POST", `/hooks/${id}`, { headers: { authorization: `Bearer ${secret}` }, body: '"hello"' });
    const isPutBack = async () =>
      (await gateway.deps.db.all(sql`select 1 from deliveries where attempts > 0 and lease_until is null`)).length > 0;
    await until(isPutBack, "the first attempt is over");
    host.handle = undefined;
    gateway.clock.skewMs = 20_000;
    await host.report();
    const before = host.requests.length;
    await ticks(5);
    expect(host.requests.slice(before).map(({ path }) => path)).toEqual(["/v1/runs"]);
  });

  test("do the chores of an hour once", async () => {
    gateway.deps.uses.clear();
    let statements = 0;
    const { atomic } = gateway.deps;
    gateway.deps.atomic = (batch) => {
      statements += batch.length;
      return atomic(batch);
    };
    await ticks(5);
    const once = statements;
    expect(once).toBeGreaterThan(0);
    await ticks(5);
    expect(statements).toBe(once);
    // A clock that is set back a little has put nothing off.
    for (const skewMs of [-1, -50_000]) {
      gateway.clock.skewMs = skewMs;
      await ticks(5);
      expect(statements).toBe(once);
    }
    gateway.clock.skewMs = 3_601_000;
    await ticks(5);
    expect(statements).toBe(2 * once);
  });
});

describe.each([
  ["most of a year", 300 * dayMs],
  ["half an hour", 1_800_000],
])("a clock that is ahead for a while by %s", (_words, aheadMs) => {
  test("keeps no run that waits once it is right again, and takes no host that is gone for live", async () => {
    const unavailable = { type: "-", title: "-", status: 503, detail: "-", code: "host_unavailable", requestId: "-" };
    host.handle = (_request, response) => answerJson(response, 503, unavailable);
    const path = `/v1/agents/${agentId}/triggers`;
    const body = { name: "t", scheme: "token", template: "{{payload}}" };
    const { id, secret } = (await gateway.call("POST", path, { token: user.token, body })).json();
    await gateway.tick();
    gateway.clock.skewMs = aheadMs;
    await gateway.tick();
    await host.report();
    await gateway.call("POST", `/hooks/${id}`, { headers: { authorization: `Bearer ${secret}` }, body: "x" });
    await gateway.tick();
    const waits = async () =>
      (
        await gateway.deps.db.all(
          sql`select 1 from deliveries where attempts > 0 and lease_until is null and due_at > ''`,
        )
      ).length > 0;
    await until(waits, "the attempt is over");
    gateway.clock.skewMs = 0;
    host.handle = undefined;
    await gateway.tick();
    const [told] = await gateway.deps.db.all<{ at: string }>(sql`select last_report_at as at from hosts`);
    expect(Date.parse(told!.at)).toBeLessThanOrEqual(gateway.deps.now());
    await until(async () => {
      await gateway.tick();
      return !(await waits());
    }, "the run has started");
  });
});

describe("with time", () => {
  test.each([30, 7])(
    "ended runs and deliveries go after their retention (%i days), audit after a year, and what is younger stays",
    async (days) => {
      await close();
      await open({ BERTH_RETENTION_DAYS: String(days) });
      const run = (id: string, createdAt: string) =>
        makeRun({ id, userId: user.id, agentId, rev: ++host.rev, status: "completed", reason: "completed", createdAt });
      await gateway.call("POST", `/v1/agents/${agentId}/runs`, { token: user.token, body: { prompt: "x" } });
      const at = (days: number) => new Date(gateway.deps.now() - days * dayMs).toISOString();
      await host.report({ runs: [run("run_old", at(days + 1)), run("run_young", at(days - 1))], rev: host.rev });
      await gateway.deps.atomic(
        ["old", "young"].map(
          (id) => sql`insert into deliveries (id, trigger_id, user_id, agent_id, received_at, headers, payload, bytes)
          values (${id}, 't', ${user.id}, ${agentId}, ${at(id === "old" ? days + 1 : days - 1)}, '{}', '', 0)`,
        ),
      );
      gateway.clock.skewMs = -368 * dayMs;
      await audit(gateway.deps, { actor: systemActor, address: null, action: "host.joined" });
      gateway.clock.skewMs = 0;
      const countAudit = async () => (await gateway.deps.db.all(sql`select 1 from audit`)).length;
      const before = await countAudit();
      await gateway.tick();
      expect(await countAudit()).toBe(before - 1);
      const ids = async (table: string) =>
        (await gateway.deps.db.all<{ id: string }>(sql`select id from ${sql.raw(table)}`)).map(({ id }) => id);
      expect(await ids("runs")).not.toContain("run_old");
      expect(await ids("runs")).toContain("run_young");
      expect(await ids("deliveries")).toEqual(["young"]);
    },
  );

  describe("of many old runs", () => {
    const keep = async (count: number, days: number) => {
      const createdAt = new Date(gateway.deps.now() - days * dayMs).toISOString();
      await gateway.deps.atomic([
        sql`insert into runs (id, user_id, agent_id, status, created_at, data)
          select 'run_' || ${days} || '_' || value, ${user.id}, ${agentId}, 'completed', ${createdAt}, '{}'
          from json_each(${JSON.stringify(Array.from({ length: count }, (_, at) => at))})`,
      ]);
    };
    const left = async () => (await gateway.deps.db.all(sql`select 1 from runs`)).length;

    test("a slice goes a tick, and none waits for the next hour", async () => {
      await keep(60, 40);
      const counts: number[] = [];
      for (let at = 0; at < 3; at++) {
        await gateway.tick();
        counts.push(await left());
      }
      expect(counts).toEqual([35, 10, 0]);
    });

    test("a clock that is a year ahead takes one day's, and what it left for later is done once it is right", async () => {
      await gateway.tick();
      await keep(60, 29.5);
      await keep(3, 20);
      gateway.clock.skewMs = 365 * dayMs;
      for (let at = 0; at < 4; at++) await gateway.tick();
      expect(await left()).toBe(3);
      gateway.clock.skewMs = 0;
      await keep(1, 31);
      await gateway.tick();
      expect(await left()).toBe(3);
    });
  });
});
