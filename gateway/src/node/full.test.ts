import { sql } from "drizzle-orm";
import { expect, test } from "vitest";
import { createTestApp } from "../../test/app.ts";
import { joinTestHost } from "../../test/host.ts";
import { placeUser } from "../hosts/placement.ts";

test("a full database refuses what it cannot store, shows what it has, and takes more once there is room", async () => {
  const gateway = await createTestApp({ BERTH_MAX_AGENTS: "1000" });
  const { token } = await gateway.addUser("writer");
  const [size] = await gateway.deps.db.all<{ page_count: number }>(sql`pragma page_count`);
  const allow = (pages: number) => gateway.deps.db.all(sql.raw(`pragma max_page_count = ${pages}`));
  const create = async (name: string) =>
    gateway.call("POST", "/v1/agents", { token, body: { name, instructions: "x".repeat(60_000) } });
  const list = async () => (await gateway.call("GET", "/v1/agents", { token })).json().items.length as number;
  await allow(size!.page_count + 60);
  let made = 0;
  let last = await create("0");
  while (last.status === 201) last = await create(String(++made));
  expect(last.headers.get("content-type")).toBe("application/problem+json");
  const told = expect.stringMatching(/^Nothing can be saved now: the disk of the gateway is full/);
  expect(last.json()).toMatchObject({ status: 500, code: "internal", detail: told });
  expect(made).toBeGreaterThan(0);
  expect(await list()).toBe(made);
  await allow(1_000_000);
  expect((await create("room")).status).toBe(201);
  expect(await list()).toBe(made + 1);
  await gateway.close();
});

test("a database that takes nothing hides no host that is not reached: who calls is told of it", async () => {
  const gateway = await createTestApp();
  const host = await joinTestHost(gateway);
  const { id, token } = await gateway.addUser("reader", "admin");
  await placeUser(gateway.deps, id);
  await host.close();
  const status = async () => (await gateway.call("GET", "/v1/admin/hosts", { token })).json().items[0].status as string;
  const start = async () => (await gateway.call("POST", "/v1/workspace/start", { token })).json();
  await gateway.deps.db.run(sql`pragma query_only = 1`);
  expect(await start()).toMatchObject({ code: "host_unavailable" });
  expect(await status()).toBe("live");
  await gateway.deps.db.run(sql`pragma query_only = 0`);
  expect(await start()).toMatchObject({ code: "host_unavailable" });
  expect(await status()).toBe("down");
  await gateway.close();
});
