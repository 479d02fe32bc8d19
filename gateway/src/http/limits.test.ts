import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createTestApp, type TestApp } from "../../test/app.ts";
import { networkOf } from "@berth/shared/bounds/network";
import { changesPerDay, createLimits, failuresPerMinute, longBodies } from "./limits.ts";

const caller = (tokenId: string) => ({
  user: {
    id: "usr_1",
    name: "x",
    role: "user" as const,
    hostId: null,
    createdAt: "",
    gitName: null,
    gitEmail: null,
    limits: {},
  },
  token: { id: tokenId, kind: "api" as const, expiresAt: 0 },
});
const limited = expect.objectContaining({ code: "rate_limited" });

describe("limits", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test("let a busy credential pass, stop it when it floods, and let it go on in the next minute", async () => {
    const limits = createLimits();
    for (let count = 0; count < 6000; count++) await limits.spend("runs", caller("tok_1"), "192.0.2.1");
    await expect(limits.spend("runs", caller("tok_1"), "192.0.2.1")).rejects.toEqual(limited);
    await limits.spend("runs", caller("tok_2"), "192.0.2.1");
    vi.advanceTimersByTime(60_001);
    await limits.spend("runs", caller("tok_1"), "192.0.2.1");
  });

  test("bound all credentials of one network together", async () => {
    const limits = createLimits();
    const spend = (at: number) => limits.spend("tokens", caller(`tok_${at % 10}`), "192.0.2.1");
    for (let at = 0; at < 1500; at++) await spend(at);
    await expect(spend(1500)).rejects.toEqual(limited);
    await limits.spend("tokens", caller("tok_1"), "198.51.100.1");
  });

  test("bound the changes of a user by the minute and by the day, whatever the credential, and nobody else's", async () => {
    const limits = createLimits();
    const change = (at: number) => limits.spend("changes", caller(`tok_${at}`), `192.0.2.${at % 250}`);
    const other = () => limits.spendKey("changes", "usr_2");
    for (let done = 0, inMinute = 0; done < changesPerDay; done++, inMinute++) {
      if (inMinute === 300) {
        await expect(change(done)).rejects.toEqual(limited);
        vi.advanceTimersByTime(60_001);
        inMinute = 0;
      }
      await change(done);
    }
    vi.advanceTimersByTime(60_001);
    const { fields } = (await change(0).catch((reason: unknown) => reason)) as { fields: { retryAfter: number } };
    expect(fields.retryAfter).toBeGreaterThan(80_000);
    await other();
    vi.advanceTimersByTime(fields.retryAfter * 1000);
    await change(0);
  });

  test("of failed sign-ins from everywhere write down sixty in a minute, then none for a pause that doubles", async () => {
    const limits = createLimits();
    const written: number[] = [];
    for (let minute = 0; minute < 12; minute++) {
      let count = 0;
      for (let at = 0; at < 200; at++) if (await limits.mayWriteDown()) count++;
      written.push(count);
      vi.advanceTimersByTime(60_001);
    }
    expect(written).toEqual([60, 60, 0, 60, 0, 0, 0, 60, 0, 0, 0, 0]);
  });

  test("take a few long bodies of a user in some seconds, whatever the credential, and those of others", async () => {
    const limits = createLimits();
    for (let at = 0; at < longBodies.most; at++) await limits.spendLong(caller(`tok_${at}`));
    await expect(limits.spendLong(caller("tok_new"))).rejects.toEqual(limited);
    await limits.spendLong({ user: { ...caller("tok_1").user, id: "usr_2" } });
    vi.advanceTimersByTime(longBodies.seconds * 1000 + 1);
    await limits.spendLong(caller("tok_1"));
  });

  test("failures pause a key for a minute, then two, then four, up to an hour", async () => {
    const limits = createLimits();
    const pauses: number[] = [];
    for (let round = 0; round < 9; round++) {
      for (let count = 0; count < failuresPerMinute.sign_in; count++) await limits.noteFailure("sign_in", "192.0.2.1");
      await limits.refusePaused("sign_in", "192.0.2.1");
      const error = await limits.noteFailure("sign_in", "192.0.2.1").catch((reason: unknown) => reason);
      const { retryAfter } = (error as { fields: { retryAfter: number } }).fields;
      pauses.push(retryAfter);
      await expect(limits.refusePaused("sign_in", "192.0.2.1")).rejects.toEqual(limited);
      await expect(limits.noteFailure("sign_in", "192.0.2.1")).rejects.toEqual(limited);
      await limits.refusePaused("sign_in", "192.0.2.2");
      vi.advanceTimersByTime(retryAfter * 1000 + 1);
      await limits.refusePaused("sign_in", "192.0.2.1");
    }
    expect(pauses).toEqual([60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]);
  });

  test("hold a bounded number of keys: of too many, the one that was counted first is forgotten", async () => {
    const limits = createLimits({ hooks: 1 });
    for (let at = 0; at < 20_000; at++) await limits.spendKey("hooks", `key ${at}`);
    await expect(limits.spendKey("hooks", "key 0")).rejects.toEqual(limited);
    await limits.spendKey("hooks", "one more");
    await limits.spendKey("hooks", "key 0");
    await expect(limits.spendKey("hooks", "key 2")).rejects.toEqual(limited);
  });

  test.each([
    ["192.0.2.1", "192.0.2.1"],
    ["2001:db8:0:1:aaaa::1", "2001:db8:0:1::/64"],
    ["2001:DB8:0:1::2", "2001:db8:0:1::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["fe80::1:2:3:4", "fe80:0:0:0::/64"],
  ])("count %s as %s", (address, network) => expect(networkOf(address)).toBe(network));
});

describe("signing in", () => {
  let gateway: TestApp;
  beforeEach(async () => {
    gateway = await createTestApp();
  });
  afterEach(() => gateway.close());

  test("is refused with Retry-After once an address has failed too often in a minute, also with a good token", async () => {
    const user = await gateway.addUser("user");
    const signIn = (token: string) => gateway.call("POST", "/session", { body: { token } });
    for (let count = 0; count < failuresPerMinute.sign_in; count++) expect((await signIn("x.y.z")).status).toBe(401);
    const over = await signIn("x.y.z");
    expect([over.status, over.headers.get("retry-after"), over.json().code]).toEqual([429, "60", "rate_limited"]);
    expect((await signIn(user.token)).status).toBe(429);
    expect((await gateway.call("GET", "/v1/me", { token: user.token })).status).toBe(200);
  });

  test("failures are written down, those during a pause are not", async () => {
    const admin = await gateway.addUser("admin", "admin");
    for (let count = 0; count < failuresPerMinute.sign_in + 30; count++)
      await gateway.call("POST", "/session", { body: { code: "wrong" } });
    const { items } = (
      await gateway.call("GET", "/v1/admin/audit?action=sign_in.failed&limit=200", { token: admin.token })
    ).json();
    expect(items).toHaveLength(failuresPerMinute.sign_in);
    expect(items[0]).toMatchObject({
      actor: { kind: "system", id: null },
      outcome: "refused",
      detail: { method: "link" },
    });
    expect(JSON.stringify(items)).not.toContain("wrong");
  });

  test("hundreds of times with good credentials is no failure, and 50 agents that race are none", async () => {
    const user = await gateway.addUser("heavy");
    const signIns = await Promise.all(
      Array.from({ length: 200 }, () => gateway.call("POST", "/session", { body: { token: user.token } })),
    );
    expect(new Set(signIns.map((answer) => answer.status))).toEqual(new Set([204]));
    const agents = await Promise.all(
      Array.from({ length: 50 }, (_, at) =>
        gateway.call("POST", "/v1/agents", { token: user.token, body: { name: `a${at}` } }),
      ),
    );
    expect(agents.filter((answer) => answer.status === 201)).toHaveLength(10);
  });
});

describe("wrong signatures at a hook", () => {
  test("are counted for their trigger and network alone, and never stop a right one", async () => {
    const gateway = await createTestApp();
    const user = await gateway.addUser("owner");
    const call = (path: string, body: object) => gateway.call("POST", path, { token: user.token, body });
    const agent = (await call("/v1/agents", { name: "a" })).json();
    const make = async (name: string) =>
      (await call(`/v1/agents/${agent.id}/triggers`, { name, scheme: "token", template: "x" })).json();
    const [one, two] = [await make("one"), await make("two")];
    const deliver = (trigger: { id: string }, secret: string) =>
      gateway.call("POST", `/hooks/${trigger.id}`, { token: secret, body: {} });
    for (let count = 0; count < 100; count++) expect((await deliver(one, "wrong")).status).toBe(401);
    const over = await deliver(one, "wrong");
    expect([over.status, over.headers.get("retry-after")]).toEqual([429, "60"]);
    expect((await deliver(one, one.secret)).status).toBe(202);
    expect((await deliver(two, "wrong")).status).toBe(401);
    await gateway.close();
  });
});
