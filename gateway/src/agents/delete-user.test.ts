import { sql } from "drizzle-orm";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AppError } from "@berth/shared/errors";
import { createAgentBody } from "@berth/shared/resources";
import { systemActor } from "../http/caller.ts";
import { createAgent } from "./agents.ts";
import { createTestApp, type TestApp } from "../../test/app.ts";
import { joinTestHost, makeRun, type TestHost } from "../../test/host.ts";

let gateway: TestApp;
let host: TestHost;
let boss: Awaited<ReturnType<TestApp["addUser"]>>;
let user: typeof boss;
let agentId: string;
beforeEach(async () => {
  gateway = await createTestApp();
  host = await joinTestHost(gateway);
  boss = await gateway.addUser("boss", "admin");
  user = await gateway.addUser("leaver");
  agentId = (await ask("POST", "/v1/agents", { name: "a" })).json().id;
  await ask("POST", `/v1/agents/${agentId}/runs`, { prompt: "x" });
});
afterEach(async () => {
  await host.close();
  await gateway.close();
});

const ask = (method: string, path: string, body?: object, token = user.token) =>
  gateway.call(method, path, { token, body });
const askBoss = (method: string, path: string, body?: object) => ask(method, path, body, boss.token);
const remove = (id: string, confirm = "") =>
  askBoss("DELETE", `/v1/admin/users/${id}${confirm && `?confirm=${confirm}`}`);
const audited = async (action: string) =>
  (await askBoss("GET", `/v1/admin/audit?action=${action}`)).json().items as { actor: object; target: object }[];
const told = async (changes: Parameters<TestHost["report"]>[0] = {}) =>
  (await host.report(changes)).json().deletedUsers as string[];
const leaving = async () => (await askBoss("GET", "/v1/admin/hosts")).json().items[0].leaving;
const count = async (table: string) =>
  (
    await gateway.deps.db.all<{ rows: number }>(sql`select count(*) as rows from ${sql.raw(table)}
    where user_id = ${user.id}`)
  )[0]!.rows;

describe("a user who is deleted", () => {
  test("is out at once, and nothing of theirs is left but what it cost", async () => {
    const trigger = (
      await ask("POST", `/v1/agents/${agentId}/triggers`, { name: "t", scheme: "token", template: "x" })
    ).json();
    const hook = (id: string) => gateway.call("POST", `/hooks/${id}`, { token: trigger.secret, body: {} });
    expect((await hook(trigger.id)).status).toBe(202);
    const link = (await askBoss("POST", `/v1/admin/users/${user.id}/links`)).json().url.split("#code=")[1];
    const { ticket } = (await ask("POST", "/v1/tickets")).json();
    // Of today: no retention takes them.
    const now = new Date(gateway.deps.now()).toISOString();
    const ended = Array.from({ length: 250 }, (_, at) => {
      const end = { status: "completed", reason: "completed", createdAt: now, endedAt: now } as const;
      return makeRun({ id: `run_${at}`, userId: user.id, agentId, rev: at + 100, ...end });
    });
    await host.report({ runs: ended, rev: 400 });

    // The hour's retention is over.
    await gateway.tick();
    expect((await remove(user.id, "leaver")).status).toBe(204);
    expect((await ask("GET", "/v1/me")).status).toBe(401);
    expect((await gateway.call("POST", "/session", { body: { code: link } })).status).toBe(401);
    const headers = { upgrade: "websocket", "sec-websocket-protocol": `berth.v1, ticket.${ticket}` };
    expect((await gateway.call("GET", "/v1/connect", { headers })).status).toBe(401);
    expect((await hook(trigger.id)).text.replace(/"requestId":"[^"]+"/, "")).toBe(
      (await hook("trg_none")).text.replace(/"requestId":"[^"]+"/, ""),
    );
    const listed = (await askBoss("GET", "/v1/admin/users")).json().items.map(({ id }: { id: string }) => id);
    expect(listed).not.toContain(user.id);
    expect(listed).toContain(boss.id);
    for (let at = 0; at < 24; at++) await gateway.tick();
    const tables = ["tokens", "sign_in_codes", "agents", "triggers", "deliveries", "runs", "workspaces"];
    expect(await Promise.all(tables.map(count))).toEqual(tables.map(() => 0));
    expect((await askBoss("GET", "/v1/admin/use")).json().users).toMatchObject([{ userId: user.id, runs: 252 }]);
    expect((await askBoss("GET", "/v1/admin/hosts")).json().items).toMatchObject([{ users: 0 }]);
  });

  test("is deleted once, however often it is asked for, by their name alone", async () => {
    expect((await remove(user.id)).json()).toMatchObject({ code: "conflict" });
    expect((await remove(user.id, "boss")).json()).toMatchObject({ code: "conflict" });
    expect((await ask("GET", "/v1/me")).status).toBe(200);
    const answers = await Promise.all([remove(user.id, "leaver"), remove(user.id, "leaver")]);
    expect([...answers, await remove(user.id)].map(({ status }) => status)).toEqual([204, 204, 204]);
    expect((await remove("usr_none", "leaver")).status).toBe(404);
    const entries = await audited("user.deleted");
    expect(entries).toMatchObject([{ actor: { id: boss.id }, target: { id: user.id, name: "leaver" } }]);
  });

  test("has nothing running any more, without waiting for the host's next report", async () => {
    await remove(user.id, "leaver");
    await expect.poll(() => host.requests.at(-1)).toMatchObject({ method: "POST", path: "/v1/workspace/stop" });
  });

  test("is told to the host until it has nothing left, and nothing that it tells brings them back", async () => {
    const [run] = [...host.runs.values()];
    const all = { runs: [run!], agents: [{ id: agentId, userId: user.id, envKeys: [], rev: 1 }], rev: 9 };
    await remove(user.id, "leaver");
    expect(await leaving()).toBe(1);
    expect(await told(all)).toEqual([user.id]);
    expect((await host.report()).json().heldRuns).toEqual([]);
    // Another host has no say in it.
    const other = await joinTestHost(gateway);
    expect((await other.report({ goneUsers: [user.id] })).json().deletedUsers).toEqual([]);
    expect(await told()).toEqual([user.id]);
    expect(await audited("user.files_deleted")).toEqual([]);
    expect(await told({ goneUsers: [user.id] })).toEqual([]);
    await host.report({ goneUsers: [user.id] });
    expect(await leaving()).toBe(0);
    expect(await audited("user.files_deleted")).toMatchObject([{ actor: { kind: "host", id: host.id } }]);
    // It was put back from an older copy.
    expect(await told(all)).toEqual([user.id]);
    expect(await told()).toEqual([]);
    expect([await count("runs"), await count("agents")]).toEqual([0, 0]);
    await other.close();
  });

  test("is told to a host that was removed, and joins anew with their files", async () => {
    await remove(user.id, "leaver");
    await askBoss("DELETE", `/v1/admin/hosts/${host.id}`);
    const anew = await joinTestHost(gateway);
    const agents = [{ id: agentId, userId: user.id, envKeys: [], rev: 1 }];
    expect((await anew.report({ agents })).json().deletedUsers).toEqual([user.id]);
    await anew.report({ goneUsers: [user.id] });
    expect(await audited("user.files_deleted")).toMatchObject([{ actor: { id: anew.id } }]);
    await anew.close();
  });

  test("is refused, and no defect, where a call of theirs was under way", async () => {
    await remove(user.id, "leaver");
    const body = createAgentBody.parse({ name: "late" });
    const source = { actor: systemActor, address: null };
    const late = createAgent(gateway.deps, source, { id: user.id, limits: {} }, body);
    await expect(late).rejects.toBeInstanceOf(AppError);
  });

  test("leaves the name to whoever comes next, who is somebody else", async () => {
    await remove(user.id, "leaver");
    const next = await gateway.addUser("leaver");
    expect(next.id).not.toBe(user.id);
    expect((await ask("GET", "/v1/agents", undefined, next.token)).json().items).toEqual([]);
    expect((await remove(next.id, "leaver")).status).toBe(204);
  });
});

test("the last active admin cannot be deleted, and that somebody tried is written down", async () => {
  const { items } = (await askBoss("GET", "/v1/admin/users")).json();
  for (const one of items as { id: string; name: string; role: string }[])
    if (one.role === "admin" && one.id !== boss.id)
      expect((await remove(one.id, encodeURIComponent(one.name))).status).toBe(204);
  expect((await remove(boss.id, "boss")).json()).toMatchObject({ code: "conflict" });
  expect((await ask("GET", "/v1/me", undefined, boss.token)).status).toBe(200);
  const refused = (await askBoss("GET", "/v1/admin/audit?action=user.deleted&outcome=refused")).json().items;
  expect(refused).toMatchObject([{ target: { id: boss.id } }]);
});
