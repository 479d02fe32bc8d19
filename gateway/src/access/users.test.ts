import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestApp, type TestApp } from "../../test/app.ts";
import { joinTestHost, makeRun } from "../../test/host.ts";

let gateway: TestApp;
let boss: Awaited<ReturnType<TestApp["addUser"]>>;
beforeAll(async () => {
  gateway = await createTestApp();
  boss = await gateway.addUser("boss", "admin");
});
afterAll(() => gateway.close());

const patch = (id: string, body: object, token = boss.token, app = gateway) =>
  app.call("PATCH", `/v1/admin/users/${id}`, { token, body });
const audited = async (query: string) =>
  (await gateway.call("GET", `/v1/admin/audit?${query}`, { token: boss.token })).json().items;
const me = (headers: Record<string, string>) => gateway.call("GET", "/v1/me", { headers });
const makeLink = (id: string) => gateway.call("POST", `/v1/admin/users/${id}/links`, { token: boss.token });

describe("a sign-in link that an admin makes", () => {
  test("signs its user in once, within the hour, and is written down without its code", async () => {
    const user = await gateway.addUser("newcomer");
    const { url, expiresAt } = (await makeLink(user.id)).json();
    expect(url).toMatch(/^http:\/\/localhost:8080\/#code=[\w-]{32}$/);
    expect(Date.parse(expiresAt) - gateway.deps.now()).toBeLessThanOrEqual(3_600_000);
    const signIn = () => gateway.call("POST", "/session", { body: { code: url.split("#code=")[1] } });
    const answer = await signIn();
    expect(answer.status).toBe(204);
    const cookie = answer.headers.get("set-cookie")!.split(";")[0]!;
    expect((await me({ cookie })).json().user.id).toBe(user.id);
    expect((await signIn()).status).toBe(401);
    const [entry, ...more] = await audited(`action=sign_in_link.created&target=${user.id}`);
    expect(more).toEqual([]);
    expect(entry).toMatchObject({ actor: { id: boss.id }, target: { name: "newcomer" }, detail: { expiresAt } });
    expect(JSON.stringify(entry)).not.toContain(url.split("#code=")[1]);
  });

  test("is refused for who is disabled or unknown, and nothing is written down", async () => {
    const user = await gateway.addUser("gone");
    await patch(user.id, { disabled: true });
    expect((await makeLink(user.id)).json()).toMatchObject({
      code: "conflict",
      detail: "This user is disabled; enable it first.",
    });
    expect((await makeLink("usr_nobody")).json().code).toBe("not_found");
    expect(await audited(`action=sign_in_link.created&target=${user.id}`)).toEqual([]);
  });
});

describe("disabling a user", () => {
  test("refuses tokens, sessions, tickets and links at once, and gives only the tokens back", async () => {
    const user = await gateway.addUser("leaver");
    const link = async () => (await makeLink(user.id)).json().url.split("#code=")[1];
    const [used, unused] = [await link(), await link()];
    const session = await gateway.call("POST", "/session", { body: { code: used } });
    const cookie = session.headers.get("set-cookie")!.split(";")[0]!;
    const { ticket } = (await gateway.call("POST", "/v1/tickets", { token: user.token })).json();
    const connect = () =>
      gateway.call("GET", "/v1/connect", {
        headers: { upgrade: "websocket", "sec-websocket-protocol": `berth.v1, ticket.${ticket}` },
      });
    expect((await connect()).json().code).toBe("no_host");

    expect((await patch(user.id, { disabled: true })).json()).toMatchObject({ disabled: true });
    expect((await me({ authorization: `Bearer ${user.token}` })).status).toBe(401);
    expect((await me({ cookie })).status).toBe(401);
    expect((await connect()).status).toBe(401);
    expect((await gateway.call("POST", "/session", { body: { code: unused } })).status).toBe(401);
    expect((await gateway.call("POST", "/session", { body: { token: user.token } })).status).toBe(401);
    const body = { name: "new" };
    expect(
      (await gateway.call("POST", `/v1/admin/users/${user.id}/tokens`, { token: boss.token, body })).json().code,
    ).toBe("conflict");

    await patch(user.id, { disabled: false });
    expect((await me({ authorization: `Bearer ${user.token}` })).status).toBe(200);
    expect((await me({ cookie })).status).toBe(401);
    expect((await gateway.call("POST", "/session", { body: { code: unused } })).status).toBe(401);
  });

  test("is told to the user's host, whose runs it ends when the admin says so, also later", async () => {
    const app = await createTestApp();
    const host = await joinTestHost(app);
    const [admin, user] = [await app.addUser("admin", "admin"), await app.addUser("busy")];
    const agent = (await app.call("POST", "/v1/agents", { token: user.token, body: { name: "a" } })).json();
    await app.call("POST", `/v1/agents/${agent.id}/runs`, { token: user.token, body: { prompt: "x" } });
    const told = async () => (await host.report()).json();
    expect(await told()).toMatchObject({ disabledUsers: [], stoppedUsers: [] });
    await patch(user.id, { disabled: true }, admin.token, app);
    expect(await told()).toMatchObject({ disabledUsers: [user.id], stoppedUsers: [] });
    expect(host.requests.some(({ path }) => path === "/v1/workspace/stop")).toBe(false);
    expect((await patch(user.id, { disabled: true, cancelRuns: true }, admin.token, app)).status).toBe(200);
    expect(host.requests.filter(({ path }) => path === "/v1/workspace/stop")).toHaveLength(1);
    expect(await told()).toMatchObject({ disabledUsers: [user.id], stoppedUsers: [user.id] });
    await patch(user.id, { disabled: false }, admin.token, app);
    expect(await told()).toMatchObject({ disabledUsers: [], stoppedUsers: [] });
    expect(makeRun({ id: "r", userId: user.id, agentId: agent.id, rev: 1 }).userId).toBe(user.id);
    await host.close();
    await app.close();
  });

  test("cancels what waits at the gateway too, when the admin says so", async () => {
    const user = await gateway.addUser("waiting");
    const call = async (method: string, path: string, body?: object) =>
      (await gateway.call(method, path, { token: user.token, body })).json();
    const agent = await call("POST", "/v1/agents", { name: "a" });
    const trigger = await call("POST", `/v1/agents/${agent.id}/triggers`, {
      name: "t",
      scheme: "token",
      template: "x",
    });
    const { runId } = (await gateway.call("POST", `/hooks/${trigger.id}`, { token: trigger.secret, body: {} })).json();
    expect((await call("GET", `/v1/runs/${runId}`)).status).toBe("pending");
    await patch(user.id, { disabled: true, cancelRuns: true });
    await patch(user.id, { disabled: false });
    // Once whoever was just trying to start it has seen that there is no host.
    const asked = () => call("GET", `/v1/runs/${runId}`);
    await expect.poll(asked).toMatchObject({ status: "cancelled", reason: "cancelled" });
  });

  test.each([
    { cancelRuns: true },
    { disabled: false, cancelRuns: true },
    { role: "user", cancelRuns: true },
    { disabled: "yes" },
    { name: "x" },
  ])("with %j is refused", async (body) => {
    const user = await gateway.addUser(crypto.randomUUID());
    expect((await patch(user.id, body)).json().code).toBe("invalid_request");
  });

  test("and roles are written down once each, refusals too", async () => {
    const user = await gateway.addUser("watched");
    await patch(user.id, { disabled: true, cancelRuns: true });
    await patch(user.id, { disabled: true });
    await patch(user.id, { disabled: false, role: "admin" });
    await patch(user.id, { role: "user" });
    const entries = await audited(`target=${user.id}`);
    expect(entries.map((entry: { action: string }) => entry.action).toSorted()).toEqual([
      "user.created",
      "user.demoted",
      "user.disabled",
      "user.enabled",
      "user.promoted",
    ]);
    expect(entries.find((entry: { action: string }) => entry.action === "user.disabled")).toMatchObject({
      actor: { kind: "token", id: boss.id, name: "boss", tokenId: boss.tokenId },
      target: { id: user.id, name: "watched" },
      outcome: "succeeded",
      detail: { cancelRuns: true },
    });
    expect((await patch(boss.id, { role: "user" })).json().code).toBe("conflict");
    expect(
      (await audited(`target=${boss.id}&outcome=refused`)).map((entry: { action: string }) => entry.action),
    ).toEqual(["user.demoted"]);
  });
});

describe("the last active admin", () => {
  test.each([
    [[{ role: "user" }]],
    [[{ disabled: true }]],
    [[{ role: "user" }, { disabled: true }]],
    [
      [
        { role: "user", disabled: true },
        { disabled: true, cancelRuns: true },
      ],
    ],
  ])("stays when all admins race to change each other by %j", async (changes) => {
    const app = await createTestApp();
    const admins = await Promise.all(Array.from({ length: 8 }, (_, at) => app.addUser(`admin ${at}`, "admin")));
    const answers = await Promise.all(
      admins.map(({ id }, at) => patch(id, changes[at % changes.length]!, admins[(at + 1) % 8]!.token, app)),
    );
    expect(answers.filter((answer) => answer.status === 200).length).toBeLessThan(8);
    const left = [];
    for (const { token } of admins) {
      const list = await app.call("GET", "/v1/admin/users", { token });
      if (list.status === 200)
        left.push(
          list
            .json()
            .items.filter((user: { role: string; disabled: boolean }) => user.role === "admin" && !user.disabled)
            .length,
        );
    }
    expect(left.length).toBeGreaterThan(0);
    expect(new Set(left)).toEqual(new Set([left.length]));
    await app.close();
  });
});

describe("what is written down", () => {
  test("each change once, by whom, and no secret or value", async () => {
    const user = await gateway.addUser("writer");
    const call = (method: string, path: string, body?: object) =>
      gateway.call(method, path, { token: user.token, body });
    const token = (await call("POST", "/v1/tokens", { name: "ci" })).json();
    await call("DELETE", `/v1/tokens/${token.id}`);
    const agent = (await call("POST", "/v1/agents", { name: "first", instructions: "hidden words" })).json();
    await call("POST", "/v1/agents", { name: "first" });
    await call("PATCH", `/v1/agents/${agent.id}`, { name: "second" });
    await call("DELETE", `/v1/agents/${agent.id}`);
    await call("DELETE", `/v1/agents/${agent.id}`);
    const mine = await audited(`actor=${user.id}`);
    expect(mine.map((entry: { action: string }) => entry.action).toSorted()).toEqual([
      "agent.created",
      "agent.deleted",
      "agent.updated",
      "token.created",
      "token.revoked",
    ]);
    const named = mine.map((entry: { action: string; target: { name: string } }) => [entry.action, entry.target.name]);
    expect(Object.fromEntries(named)).toEqual({
      "agent.created": "first",
      "agent.deleted": "second",
      "agent.updated": "second",
      "token.created": "ci",
      "token.revoked": "ci",
    });
    expect(mine.every((entry: { actor: { tokenId: string } }) => entry.actor.tokenId === user.tokenId)).toBe(true);
    const all = (await gateway.call("GET", "/v1/admin/audit?limit=200", { token: boss.token })).text;
    for (const secret of [token.token, user.token, "hidden words"]) expect(all).not.toContain(secret);
  });

  test("the client's address, as trusted proxies tell it and nobody else", async () => {
    const addressWith = async (proxies: string, forwarded: string) => {
      const app = await createTestApp({ BERTH_TRUST_PROXY: proxies });
      const admin = await app.addUser("admin", "admin");
      const { url } = await app.listen();
      const headers = {
        authorization: `Bearer ${admin.token}`,
        "content-type": "application/json",
        "x-forwarded-for": forwarded,
      };
      await fetch(`${url}/v1/tokens`, { method: "POST", headers, body: JSON.stringify({ name: "one" }) });
      const { items } = (await app.call("GET", `/v1/admin/audit?actor=${admin.id}`, { token: admin.token })).json();
      await app.close();
      return items[0].address;
    };
    expect(await addressWith("0", "192.0.2.9")).toBe("127.0.0.1");
    expect(await addressWith("1", "203.0.113.66, 192.0.2.9")).toBe("192.0.2.9");
    expect(await addressWith("2", "203.0.113.66, 192.0.2.9, 198.51.100.7")).toBe("192.0.2.9");
    expect(await addressWith("1", "192.0.2.9:50123")).toBe("192.0.2.9");
    expect(await addressWith("1", "<script>")).toBe("127.0.0.1");
    expect(await addressWith("1", "")).toBe("127.0.0.1");
  });
});
