import { sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestApp, type TestApp } from "../../test/app.ts";
import { joinTestHost, type TestHost } from "../../test/host.ts";
import { audit, auditChange } from "./audit.ts";
import { isoTime } from "../data/database.ts";
import { deleteOld } from "../tick.ts";
import { systemActor } from "../http/caller.ts";

let gateway: TestApp;
let boss: Awaited<ReturnType<TestApp["addUser"]>>;
beforeAll(async () => {
  gateway = await createTestApp();
  boss = await gateway.addUser("boss", "admin");
});
afterAll(() => gateway.close());

const list = async (query = "") => (await gateway.call("GET", `/v1/admin/audit${query}`, { token: boss.token })).json();
const source = { actor: systemActor, address: "192.0.2.1" };

describe("the audit", () => {
  test("shows entries newest first, filtered and in pages", async () => {
    const { deps } = gateway;
    for (const at of [1, 2, 3]) {
      gateway.clock.skewMs = at * 1000;
      await audit(deps, { ...source, action: "host.joined", target: { id: `hst_${at}`, name: `host ${at}` } });
    }
    gateway.clock.skewMs = 0;
    const first = await list("?action=host.joined&limit=2");
    expect(first.items.map((entry: { target: unknown }) => entry.target)).toEqual([
      { id: "hst_3", name: "host 3" },
      { id: "hst_2", name: "host 2" },
    ]);
    const rest = await list(`?action=host.joined&limit=2&cursor=${first.nextCursor}`);
    expect(rest).toMatchObject({ items: [{ target: { id: "hst_1" } }], nextCursor: null });
    expect((await list("?target=hst_2")).items).toMatchObject([{ address: "192.0.2.1", outcome: "succeeded" }]);
    const { at } = first.items[1];
    expect((await list(`?action=host.joined&since=${at}`)).items).toHaveLength(2);
    expect((await list(`?action=host.joined&until=${at}`)).items).toHaveLength(1);
    expect((await list("?action=host.joined&outcome=refused")).items).toEqual([]);
  });

  test.each(["action=dance", "outcome=maybe", "since=yesterday", "limit=0", "cursor=x"])(
    "refuses the query %s",
    async (query) => {
      expect((await list(`?${query}`)).code).toBe("invalid_request");
    },
  );

  test("is for admins alone", async () => {
    const user = await gateway.addUser("curious");
    expect((await gateway.call("GET", "/v1/admin/audit", { token: user.token })).status).toBe(403);
    expect((await gateway.call("GET", "/v1/admin/audit")).status).toBe(401);
  });

  test("can be neither changed nor, within a year, deleted", async () => {
    const { atomic } = gateway.deps;
    await audit(gateway.deps, { ...source, action: "host.removed", target: { id: "hst_kept" } });
    await expect(atomic([sql`update audit set outcome = 'refused'`])).rejects.toThrow(/appended only/);
    await expect(atomic([sql`delete from audit where target_id = 'hst_kept'`])).rejects.toThrow(/kept for a year/);
    expect((await list("?target=hst_kept")).items).toHaveLength(1);
  });

  test("lets go of entries after a year", async () => {
    const old = { ...gateway.deps, now: () => Date.now() - 400 * 24 * 3_600_000 };
    await audit(old, { ...source, action: "host.removed", target: { id: "hst_old" } });
    expect((await list("?target=hst_old")).items).toHaveLength(1);
    await deleteOld(gateway.deps, gateway.deps.now());
    expect((await list("?target=hst_old")).items).toEqual([]);
  });

  test("has an entry exactly when the change in its batch touched a row", async () => {
    const { atomic, now } = gateway.deps;
    const rename = (id: string, name: string) =>
      atomic([
        sql`update users set name = ${name} where id = ${id} returning id`,
        auditChange(now(), { ...source, action: "user.promoted", target: { id } }),
      ]);
    expect((await rename("usr_absent", "x"))[0]).toEqual([]);
    expect((await rename(boss.id, "chief"))[0]).toEqual([{ id: boss.id }]);
    await gateway.addUser("taken");
    await expect(rename(boss.id, "taken")).rejects.toThrow(/UNIQUE/);
    expect(
      (await list("?action=user.promoted")).items.map((entry: { target: { id: string } }) => entry.target.id),
    ).toEqual([boss.id]);
    expect((await list()).items.every((entry: { at: string }) => entry.at <= isoTime(Date.now() + 5000))).toBe(true);
  });

  describe("with a change whose entry cannot be written", () => {
    let host: TestHost;
    beforeAll(async () => {
      host = await joinTestHost(gateway);
    });
    afterAll(() => host.close());

    test.each([
      "host.joined",
      "join_token.created",
      "delivery.replayed",
      "agent.environment_set",
      "user.git_identity_set",
    ])("has neither (%s)", async (action) => {
      const call = (method: string, path: string, body?: unknown) =>
        gateway.call(method, path, { token: boss.token, body });
      const { token } = (await call("POST", "/v1/admin/hosts/join-tokens")).json();
      const { id } = (await call("POST", "/v1/agents", { name: action })).json();
      const hook = { name: "t", scheme: "token", template: "x" };
      const trigger = (await call("POST", `/v1/agents/${id}/triggers`, hook)).json();
      const headers = { authorization: `Bearer ${trigger.secret}` };
      const sent = await gateway.call("POST", `/hooks/${trigger.id}`, { headers, body: "x" });
      const { deliveryId } = sent.json();
      const count = async () =>
        gateway.deps.db.all(sql`select (select count(*) from hosts) as hosts, (select count(*) from join_tokens
            where used_at is not null) as used, (select count(*) from join_tokens) as tokens,
            (select count(*) from deliveries) as deliveries, (select count(*) from agents where env_keys <> '[]') as envs,
            (select count(*) from users where git_name is not null) as authors`);
      const before = await count();
      await gateway.deps.atomic([
        sql.raw(
          `create trigger full before insert on audit when new.action = '${action}' begin select raise(abort, 'full'); end`,
        ),
      ]);
      const changes: Record<string, () => Promise<{ status: number }>> = {
        "host.joined": () => call("POST", "/internal/hosts/join", { ...host.join, token }),
        "join_token.created": () => call("POST", "/v1/admin/hosts/join-tokens"),
        "delivery.replayed": () => call("POST", `/v1/deliveries/${deliveryId}/replay`),
        "user.git_identity_set": () => call("PATCH", "/v1/me", { gitName: "Ada" }),
        "agent.environment_set": () => call("PUT", `/v1/agents/${id}/env`, { A: "1" }),
      };
      const { status } = await changes[action]!();
      await gateway.deps.atomic([sql`drop trigger full`]);
      expect(status).toBe(500);
      expect(await count()).toEqual(before);
      expect((await changes[action]!()).status).toBeLessThan(300);
      expect(await count()).not.toEqual(before);
    });
  });
});
