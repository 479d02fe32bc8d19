import { sql } from "drizzle-orm";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createTestApp, type TestApp } from "../../test/app.ts";
import { joinTestHost, type TestHost } from "../../test/host.ts";
import { until } from "../../test/wait.ts";
import { deleteOld } from "../tick.ts";

let gateway: TestApp;
let host: TestHost;
let user: Awaited<ReturnType<TestApp["addUser"]>>;
beforeEach(async () => {
  gateway = await createTestApp();
  host = await joinTestHost(gateway);
  user = await gateway.addUser("mover");
});
afterEach(async () => {
  await host.close();
  await gateway.close();
});

const ask = (method: string, path: string, body?: object, token = user.token) =>
  gateway.call(method, path, { token, body });
const add = async (name: string) => (await ask("POST", "/v1/agents", { name })).json().id as string;
const remove = async (id: string) => expect((await ask("DELETE", `/v1/agents/${id}`)).status).toBe(204);
const found = (id: string, changes = {}) => ({ id, userId: user.id, envKeys: [], rev: 1, ...changes });

test("a host that joins anew with what it had is told of the agents that were deleted meanwhile, and of no others", async () => {
  const [stays, old, recent] = [await add("stays"), await add("old"), await add("recent")];
  await ask("PUT", `/v1/agents/${stays}/env`, {});
  const boss = await gateway.addUser("boss", "admin");
  const removed = await ask("DELETE", `/v1/admin/hosts/${host.id}?confirm=testing`, undefined, boss.token);
  expect(removed.status).toBe(204);
  // Of one that nobody has any more the gateway keeps no more than its id.
  await remove(old);
  await gateway.deps.atomic([sql`update agents set dropped_at = '2026-01-01T00:00:00.000Z' where id = ${old}`]);
  await deleteOld(gateway.deps, gateway.deps.now());
  expect(await gateway.deps.db.all(sql`select id from agents where id = ${old}`)).toEqual([]);
  await remove(recent);
  const anew = await joinTestHost(gateway);
  const told = async (...agents: ReturnType<typeof found>[]) =>
    (await anew.report({ agents, rev: 9 })).json().deletedAgents as string[];
  // The last of these may be newer than the gateway's database, if that is a copy.
  const all = [stays, old, recent, "agt_unknown"].map((id) => found(id));
  expect((await told(...all)).toSorted()).toEqual([old, recent].toSorted());
  expect(await told(...all.filter(({ id }) => id === stays))).toEqual([]);
  expect(await told(...[old, recent].map((id) => found(id, { rev: 2, deleted: true })))).toEqual([]);
  expect((await ask("GET", "/v1/agents")).json().items).toMatchObject([{ id: stays }]);
  await anew.close();
});

test("a host that has dropped an agent, and is put back from an older copy, is told again", async () => {
  const id = await add("back");
  await ask("PUT", `/v1/agents/${id}/env`, {});
  await remove(id);
  const answer = async (epoch: string, changes = {}) =>
    (await host.report({ epoch, agents: [found(id, changes)], rev: 3 })).json().deletedAgents as string[];
  expect(await answer("epoch1", { rev: 3, deleted: true })).toEqual([]);
  expect(await answer("epoch2")).toEqual([id]);
});

test("a deleted agent leaves nothing long behind, and no trigger", async () => {
  const body = {
    name: "long",
    instructions: "i".repeat(60_000),
    model: "m".repeat(100),
    repository: "https://example.com/r",
  };
  const { id } = (await ask("POST", "/v1/agents", body)).json();
  const trigger = { name: "t", scheme: "token", template: `{{payload}}${"t".repeat(16_000)}` };
  const { id: triggerId, secret } = (await ask("POST", `/v1/agents/${id}/triggers`, trigger)).json();
  const deliver = () => gateway.call("POST", `/hooks/${triggerId}`, { token: secret, body: "x" });
  const { deliveryId } = (await deliver()).json();
  await remove(id);
  const row = (table: string, which: string) =>
    gateway.deps.db.all(sql.raw(`select * from ${table} where id = '${which}'`));
  const [tombstone] = await row("agents", id);
  expect(tombstone).toMatchObject({ id, name: "long", instructions: null, model: null, repository: null });
  expect(JSON.stringify(tombstone).length).toBeLessThan(1000);
  expect(await row("triggers", triggerId)).toEqual([]);
  expect((await deliver()).status).toBe(404);
  expect((await ask("POST", `/v1/deliveries/${deliveryId}/replay`)).json().code).toBe("not_found");
  const deliveries = () => gateway.deps.db.all(sql`select id from deliveries where user_id = ${user.id}`);
  // What waited is known until it is certain that no host has it.
  await until(async () => (await gateway.tick(), (await deliveries()).length === 0), "its deliveries go");
});
