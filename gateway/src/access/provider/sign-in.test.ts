import type { JWTPayload } from "jose";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createTestApp, type TestApp } from "../../../test/app.ts";
import { startProvider, type TestProvider } from "../../../test/provider/provider.ts";
import { createApp } from "../../app.ts";

const publicUrl = "http://localhost:8080";
const accounts = {
  ada: { preferred_username: "ada", email: "ada@example.org", email_verified: true, name: "Ada L." },
  boss: { preferred_username: "boss", email: "Boss@example.org", email_verified: true },
  liar: { preferred_username: "liar", email: "boss@example.org", email_verified: false },
  chosen: { preferred_username: "chosen" },
  admin: { preferred_username: "Admin" },
  plain: {},
  returning: { preferred_username: "returning" },
};

let provider: TestProvider;
let gateway: TestApp;
let chief: Awaited<ReturnType<TestApp["addUser"]>>;
beforeAll(async () => {
  provider = await startProvider({ redirectUri: `${publicUrl}/session/oidc/callback`, accounts });
  gateway = await createTestApp(settings());
  chief = await gateway.addUser("chief", "admin");
});
afterAll(async () => {
  await gateway?.close();
  await provider?.close();
});
beforeEach(() => {
  gateway.clock.skewMs = 0;
});

const settings = () => ({
  BERTH_OIDC_ISSUER: provider.issuer,
  BERTH_OIDC_CLIENT_ID: "berth",
  BERTH_OIDC_CLIENT_SECRET: "secret of berth, which is long enough",
  BERTH_OIDC_ADMINS: "boss@example.org, sub-of-an-admin, chosen",
});
const cookieIn = (headers: Headers, name: string) =>
  headers
    .getSetCookie()
    .find((line) => line.startsWith(`${name}=`))
    ?.split(";")[0];
const me = (token: string) => gateway.call("GET", "/v1/me", { token });

async function begin() {
  const begun = await gateway.call("GET", "/session/oidc");
  return { begun, location: begun.headers.get("location")!, cookie: cookieIn(begun.headers, "berth_sign_in")! };
}
async function comeBack(at: string, cookie?: string) {
  const { pathname, search } = new URL(at);
  return gateway.call("GET", pathname + search, cookie ? { headers: { cookie } } : {});
}
async function signIn(subject: string) {
  const { location, cookie } = await begin();
  const back = await comeBack(await provider.signIn(location, subject), cookie);
  const session = cookieIn(back.headers, "berth_session");
  const who = session ? (await gateway.call("GET", "/v1/me", { headers: { cookie: session } })).json() : null;
  return { back, session, user: who?.user as { id: string; name: string; role: string } };
}

describe("signing in at the provider", () => {
  test("the public page learns that it is possible, and whether it happened", async () => {
    expect((await gateway.call("GET", "/session")).json()).toEqual({ oidc: true, signedIn: false });
    const { session } = await signIn("ada");
    expect((await gateway.call("GET", "/session", { headers: { cookie: session! } })).json()).toEqual({
      oidc: true,
      signedIn: true,
    });
    expect((await gateway.call("GET", "/session", { headers: { cookie: "berth_session=x" } })).json()).toEqual({
      oidc: true,
      signedIn: false,
    });
  });

  test("goes there with code, PKCE, state and nonce, and comes back with a session", async () => {
    const { begun, location } = await begin();
    expect(begun.status).toBe(302);
    expect(Object.fromEntries(new URL(location).searchParams)).toMatchObject({
      response_type: "code",
      code_challenge_method: "S256",
      code_challenge: expect.stringMatching(/^[\w-]{43}$/),
      state: expect.stringMatching(/^[\w-]{43}$/),
      nonce: expect.stringMatching(/^[\w-]{43}$/),
      redirect_uri: `${publicUrl}/session/oidc/callback`,
    });
    expect(begun.headers.getSetCookie()).toEqual([
      expect.stringMatching(/^berth_sign_in=[\w.-]+; Path=\/; Max-Age=600; HttpOnly; SameSite=Lax$/),
    ]);
    const { back, user } = await signIn("ada");
    expect([back.status, back.headers.get("location")]).toEqual([302, "/"]);
    expect(cookieIn(back.headers, "berth_sign_in")).toBe("berth_sign_in=");
    expect(back.headers.getSetCookie().find((line) => line.startsWith("berth_session="))).toMatch(
      /HttpOnly; SameSite=Strict/,
    );
    expect(user).toMatchObject({ name: "ada", role: "user" });
    expect((await signIn("ada")).user.id).toBe(user.id);
  });

  test("is written down with user and address, and holds no secret", async () => {
    const { user } = await signIn("ada");
    const { items } = (
      await gateway.call("GET", `/v1/admin/audit?actor=${user.id}&action=sign_in.succeeded`, { token: chief.token })
    ).json();
    expect(items[0]).toMatchObject({
      actor: { kind: "user", name: "ada" },
      outcome: "succeeded",
      detail: { method: "oidc" },
    });
    expect((await gateway.call("GET", "/v1/admin/audit", { token: chief.token })).text).not.toMatch(/eyJ|code=|secret/);
  });

  test.each([
    ["no cookie", async (at: string) => comeBack(at)],
    ["a cookie of another attempt", async (at: string) => comeBack(at, (await begin()).cookie)],
    ["another state", async (at: string, cookie: string) => comeBack(at.replace(/state=[^&]+/, "state=other"), cookie)],
    ["another code", async (at: string, cookie: string) => comeBack(at.replace(/code=[^&]+/, "code=other"), cookie)],
    [
      "another issuer",
      async (at: string, cookie: string) => comeBack(at.replace(/iss=[^&]+/, "iss=http%3A%2F%2Fother"), cookie),
    ],
    ["a forged cookie", async (at: string, cookie: string) => comeBack(at, `${cookie.slice(0, -4)}AAAA`)],
    ["nothing at all", async () => comeBack(`${publicUrl}/session/oidc/callback`)],
    [
      "an answer too late",
      async (at: string, cookie: string) => {
        gateway.clock.skewMs = 601_000;
        return comeBack(at, cookie);
      },
    ],
  ])("with %s is refused by a page with a sentence", async (_what, back) => {
    gateway = await fresh();
    const { location, cookie } = await begin();
    const answer = await back(await provider.signIn(location, "ada"), cookie);
    expect(answer.status).toBe(401);
    expect(answer.headers.get("content-type")).toMatch(/^text\/html/);
    expect(answer.text).toContain("Try again");
    expect(answer.text).not.toMatch(/Error|at \w+ \(/);
    expect(cookieIn(answer.headers, "berth_session")).toBeUndefined();
  });

  test("a page elsewhere that sends browsers here keeps nobody from signing in", async () => {
    gateway = await fresh();
    for (let count = 0; count < 70; count++)
      expect((await comeBack(`${publicUrl}/session/oidc/callback?code=x`)).status).toBe(401);
    expect((await signIn("ada")).back.status).toBe(302);
    const failed = await gateway.call("GET", "/v1/admin/audit?action=sign_in.failed", { token: chief.token });
    expect(failed.json().items).toEqual([]);
  });

  test("works for a client without a secret, at a provider that signs with EdDSA", async () => {
    const other = await startProvider({
      redirectUri: `${publicUrl}/session/oidc/callback`,
      accounts,
      algorithm: "EdDSA",
    });
    const ours = [provider, gateway] as const;
    try {
      provider = other;
      gateway = await createTestApp({ BERTH_OIDC_ISSUER: other.issuer, BERTH_OIDC_CLIENT_ID: "public" });
      expect((await signIn("ada")).user.name).toBe("ada");
    } finally {
      await gateway.close();
      await other.close();
      [provider, gateway] = ours;
    }
  });

  test("a code is used once", async () => {
    const { location, cookie } = await begin();
    const at = await provider.signIn(location, "ada");
    expect((await comeBack(at, cookie)).status).toBe(302);
    expect((await comeBack(at, cookie)).status).toBe(401);
  });

  test("a refusal of the provider is a page too", async () => {
    const { location, cookie } = await begin();
    const back = await comeBack(await provider.signIn(location, "nobody"), cookie);
    expect([back.status, back.headers.get("content-type")]).toEqual([401, "text/html; charset=utf-8"]);
  });

  test("a disabled user stays disabled", async () => {
    const { user, session } = await signIn("plain");
    await gateway.call("PATCH", `/v1/admin/users/${user.id}`, { token: chief.token, body: { disabled: true } });
    expect((await gateway.call("GET", "/v1/me", { headers: { cookie: session! } })).status).toBe(401);
    const again = await signIn("plain");
    expect([again.back.status, again.session]).toEqual([401, undefined]);
    expect((await me(await provider.idToken("plain"))).status).toBe(401);
  });
});

describe("who somebody is here", () => {
  test("a user who was deleted is refused until an admin lets them in, and then is somebody new, who has nothing", async () => {
    const { user } = await signIn("returning");
    const asChief = { token: chief.token };
    const remove = (id: string, query: string) =>
      gateway.call("DELETE", `/v1/admin/users/${id}?confirm=${user.name}${query}`, asChief);
    await gateway.call("PATCH", `/v1/admin/users/${user.id}`, { ...asChief, body: { role: "admin" } });
    await remove(user.id, "");
    const { back, session } = await signIn("returning");
    expect([back.status, back.text, session]).toEqual([401, expect.stringContaining("deleted here"), undefined]);
    expect((await me(await provider.idToken("returning"))).status).toBe(401);
    await remove(user.id, "");
    expect((await signIn("returning")).session).toBeUndefined();
    await remove(user.id, "&mayReturn=1");
    const { user: next } = await signIn("returning");
    expect(next).toMatchObject({ name: user.name, role: "user" });
    expect(next.id).not.toBe(user.id);
    await remove(next.id, "&mayReturn=1");
    expect((await signIn("returning")).user.id).not.toBe(next.id);
    const entries = (await gateway.call("GET", "/v1/admin/audit?action=user.may_return", asChief)).json().items;
    expect(entries).toMatchObject([{ actor: { id: chief.id }, target: { id: user.id, name: user.name } }]);
  });

  test("a name that is taken gets a number, and admin is never given away", async () => {
    gateway = await fresh();
    const there = await gateway.addUser("ada", "admin");
    const { user } = await signIn("ada");
    expect(user).toMatchObject({ name: "ada 2", role: "user" });
    expect(user.id).not.toBe(there.id);
    expect((await signIn("admin")).user).toMatchObject({ name: "Admin 2", role: "user" });
    expect((await signIn("plain")).user.name).toBe("plain");
  });

  test("settings name admins by verified address, subject, or user name", async () => {
    gateway = await fresh();
    expect((await signIn("liar")).user.role).toBe("user");
    expect((await signIn("boss")).user.role).toBe("admin");
    expect((await signIn("chosen")).user.role).toBe("admin");
    expect((await me(await provider.forge({ sub: "sub-of-an-admin" }))).json().role).toBe("admin");
  });

  test("the last admin stays, also one whom the settings name", async () => {
    gateway = await fresh();
    const { user, session } = await signIn("boss");
    const headers = { cookie: session!, origin: publicUrl };
    const patch = (id: string, body: object) => gateway.call("PATCH", `/v1/admin/users/${id}`, { headers, body });
    expect((await patch(chief.id, { role: "user" })).status).toBe(200);
    for (const change of [{ role: "user" }, { disabled: true }, { role: "user", disabled: true }])
      expect((await patch(user.id, change)).json().code).toBe("conflict");
    expect((await gateway.call("GET", "/v1/admin/users", { headers })).status).toBe(200);
  });

  test("first sights that race make one user", async () => {
    gateway = await fresh();
    const token = await provider.forge({ sub: "racer", preferred_username: "racer" });
    const seen = await Promise.all(Array.from({ length: 10 }, () => me(token)));
    expect(new Set(seen.map((answer) => answer.json().user.id)).size).toBe(1);
    expect(
      (await gateway.call("GET", "/v1/admin/users", { token: chief.token }))
        .json()
        .items.filter((user: { name: string }) => user.name.startsWith("racer")),
    ).toHaveLength(1);
  });
});

describe("tokens of the provider on the API", () => {
  test("an ID token of our client is taken until it expires, one of another client is not", async () => {
    const token = await provider.idToken("ada");
    expect((await me(token)).json().user.name).toBe("ada");
    expect((await me(await provider.idToken("ada", "other"))).status).toBe(401);
    gateway.clock.skewMs = 3_601_000;
    expect((await me(token)).status).toBe(401);
  });

  test("a ticket asked for with it opens a socket for the same user", async () => {
    const { ticket } = (await gateway.call("POST", "/v1/tickets", { token: await provider.idToken("ada") })).json();
    const headers = { upgrade: "websocket", "sec-websocket-protocol": `berth.v1, ticket.${ticket}` };
    expect((await gateway.call("GET", "/v1/connect", { headers })).json().code).toBe("no_host");
  });

  test("it does not become a session by being pasted", async () => {
    const answer = await gateway.call("POST", "/session", { body: { token: await provider.idToken("ada") } });
    expect(answer.status).toBe(401);
  });

  test.each<[string, JWTPayload, Record<string, unknown>?]>([
    ["another audience", { aud: "other" }],
    ["no audience", { aud: undefined }],
    ["our own API's audience", { aud: "berth:ticket" }],
    ["several audiences and no party", { aud: ["berth", "other"] }],
    ["several audiences and another party", { aud: ["berth", "other"], azp: "other" }],
    ["one audience and another party", { azp: "other" }],
    ["another issuer", { iss: "http://127.0.0.1:1" }],
    ["the issuer with a slash", { iss: "SLASH" }],
    ["no expiry", { exp: undefined }],
    ["an expiry as text", { exp: "9999999999" as unknown as number }],
    ["an expiry a second ago", { exp: Math.floor(Date.now() / 1000) - 1 }],
    ["no subject", { sub: undefined }],
    ["an empty subject", { sub: "" }],
    ["a subject of 300 characters", { sub: "x".repeat(300) }],
    ["a time of issue ahead", { iat: Math.floor(Date.now() / 1000) + 3600 }],
    ["a start ahead", { nbf: Math.floor(Date.now() / 1000) + 3600 }],
    ["a key confirmation", { cnf: { jkt: "x" } }],
    ["a logout event", { events: { "http://schemas.openid.net/event/backchannel-logout": {} } }],
    ["the type of a logout token", {}, { typ: "logout+jwt" }],
    ["the type of a DPoP proof", {}, { typ: "dpop+jwt" }],
    ["an address of keys", {}, { jku: "http://127.0.0.1:1/jwks" }],
    ["an unknown key id", {}, { kid: "unknown" }],
    ["a header that nobody knows", {}, { purpose: "x" }],
    ["a critical header", {}, { crit: ["kid"] }],
  ])("with %s is refused", async (_what, claims, header = {}) => {
    const given = claims.iss === "SLASH" ? { iss: `${provider.issuer}/` } : claims;
    expect((await me(await provider.forge(given, header))).status).toBe(401);
    expect((await me(await provider.forge())).status).toBe(200);
  });

  test.each<[string, JWTPayload, Record<string, unknown>?]>([
    ["several audiences and our party", { aud: ["berth", "other"], azp: "berth" }],
    ["the type of an access token", {}, { typ: "at+jwt" }],
    ["no time of issue", { iat: undefined }],
    ["a time of issue 20 s ahead", { iat: Math.floor(Date.now() / 1000) + 20 }],
  ])("with %s is taken", async (_what, claims, header = {}) => {
    expect((await me(await provider.forge(claims, header))).status).toBe(200);
  });
});

describe("the provider's keys", () => {
  test("50 first calls ask once, and unknown key ids make us ask at most every 30 s", async () => {
    gateway = await fresh();
    const token = await provider.forge();
    const before = await provider.asked("/jwks");
    await Promise.all(Array.from({ length: 50 }, () => me(token)));
    expect(await provider.asked("/jwks")).toBe(before + 1);
    for (let count = 0; count < 20; count++) await me(await provider.forge({}, { kid: `unknown ${count}` }));
    expect(await provider.asked("/jwks")).toBe(before + 1);
    gateway.clock.skewMs = 31_000;
    for (let count = 0; count < 20; count++) await me(await provider.forge({}, { kid: `unknown ${count}` }));
    expect(await provider.asked("/jwks")).toBe(before + 2);
  });

  test("a new key is taken within 30 s, the old one no more", async () => {
    gateway = await fresh();
    const old = await provider.forge();
    expect((await me(old)).status).toBe(200);
    await provider.rotate("second");
    const fresher = await provider.forge();
    expect((await me(fresher)).status).toBe(401);
    gateway.clock.skewMs = 31_000;
    expect((await me(fresher)).status).toBe(200);
    expect((await me(old)).status).toBe(401);
  });

  test("while the provider is away, known keys go on, also in a gateway that starts then; sign-in says so", async () => {
    gateway = await fresh();
    const token = await provider.idToken("ada");
    expect((await me(token)).status).toBe(200);
    await provider.stop();
    try {
      gateway.clock.skewMs = 700_000;
      expect((await me(token)).status).toBe(200);
      const restarted = createApp(gateway.deps);
      const headers = { authorization: `Bearer ${token}` };
      expect((await restarted.request("/v1/me", { headers })).status).toBe(200);
      expect((await restarted.request("/healthz")).status).toBe(200);
      const never = await fresh();
      const begun = await never.call("GET", "/session/oidc");
      expect([begun.status, begun.headers.get("retry-after")]).toEqual([503, "30"]);
      expect(begun.text).toContain("does not answer");
      expect((await never.call("GET", "/v1/me", { token })).status).toBe(401);
      await never.close();
    } finally {
      await provider.start();
    }
  });
});

const made: TestApp[] = [];
async function fresh(): Promise<TestApp> {
  const app = await createTestApp(settings());
  chief = await app.addUser("chief", "admin");
  made.push(app);
  return app;
}
afterAll(() => Promise.all(made.map((app) => app.close().catch(() => undefined))));
