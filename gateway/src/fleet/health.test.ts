import { sql } from "drizzle-orm";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createTestApp, type TestApp } from "../../test/app.ts";
import { idleLoad, joinTestHost, type TestHost } from "../../test/host.ts";
import { deleteOld } from "../tick.ts";

const minuteMs = 60_000;
let gateway: TestApp;
let host: TestHost;
let token: string;
beforeEach(async () => {
  gateway = await createTestApp();
  host = await joinTestHost(gateway);
  ({ token } = await gateway.addUser("boss", "admin"));
  await gateway.deps.atomic([sql`delete from host_minutes`]);
});
afterEach(async () => {
  await host.close();
  await gateway.close();
});

/** The minute of the test's clock becomes this one after the present. */
const toMinute = (at: number) => {
  const minute = Math.floor(Date.now() / minuteMs) + at;
  gateway.clock.skewMs = (minute + 0.5) * minuteMs - Date.now();
  return new Date(minute * minuteMs).toISOString();
};
const health = async (query = "") => (await gateway.call("GET", `/v1/admin/health${query}`, { token })).json();

test("a minute has the load that was told first in it, and the slowest answer; one in progress is not shown", async () => {
  const first = toMinute(1);
  await host.report({ load: { ...idleLoad, activeRuns: 2 }, answerMs: 5 });
  await host.report({ load: { ...idleLoad, activeRuns: 3 }, answerMs: 40 });
  await host.report({ answerMs: 7 });
  expect((await health()).minutes).toEqual([]);
  const third = toMinute(3);
  await host.report({ load: { ...idleLoad, memoryAvailableBytes: 2 ** 30 } });
  toMinute(4);
  const idle = { hosts: 1, workspaces: 0, memoryUsedBytes: 0, diskAvailableBytes: idleLoad.diskAvailableBytes };
  expect((await health(`?hostId=${host.id}`)).minutes).toEqual([
    { ...idle, at: first, activeRuns: 2, answerMs: 40 },
    { ...idle, at: third, activeRuns: 0, memoryUsedBytes: 7 * 2 ** 30, answerMs: null },
  ]);
});

test("hosts are told apart, and together are the gateway's hour", async () => {
  const other = await joinTestHost(gateway, { activeRuns: 1 });
  await gateway.deps.atomic([sql`delete from host_minutes`]);
  const at = toMinute(1);
  await host.report({ load: { ...idleLoad, activeRuns: 2 }, answerMs: 5 });
  await other.report({ answerMs: 9 });
  toMinute(2);
  expect((await health()).minutes).toMatchObject([{ at, hosts: 2, activeRuns: 3, answerMs: 9 }]);
  expect((await health(`?hostId=${host.id}`)).minutes).toMatchObject([{ at, hosts: 1, activeRuns: 2, answerMs: 5 }]);
  expect((await health("?hostId=hst_none")).minutes).toEqual([]);
  await other.close();
});

test("an hour is shown, and what is older goes", async () => {
  toMinute(-2);
  await host.report();
  const since = toMinute(-1);
  await host.report();
  // The token lives as long as that.
  toMinute(59);
  const { minutes, ...rest } = await health();
  expect([rest.since, minutes.map(({ at }: { at: string }) => at)]).toEqual([since, [since]]);
  toMinute(300);
  await deleteOld(gateway.deps, gateway.deps.now());
  expect(await gateway.deps.db.all(sql`select at from host_minutes`)).toEqual([]);
});
