import { sql } from "drizzle-orm";
import { exportSPKI, SignJWT } from "jose";
import { createHmac } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestApp, type TestApp } from "../../test/app.ts";
import { createSigningJwk, importKeyring } from "../keys/keyring.ts";
import { signTicket, signToken } from "../keys/jwt.ts";
import { systemActor } from "../http/caller.ts";
import { createSignInLink, linkMs } from "./sign-in.ts";

let gateway: TestApp;
beforeAll(async () => {
  gateway = await createTestApp();
});
afterAll(() => gateway.close());

const me = (token: string) => gateway.call("GET", "/v1/me", { token });
const issuer = () => gateway.deps.settings.BERTH_PUBLIC_URL;
const seconds = () => Math.floor(gateway.deps.now() / 1000);

describe("who may call", () => {
  test.each([
    ["GET", "/v1/me", 401, 200, 200],
    ["GET", "/v1/tokens", 401, 200, 200],
    ["GET", "/v1/agents", 401, 200, 200],
    ["GET", "/v1/runs", 401, 200, 200],
    ["GET", "/v1/workspace", 401, 200, 200],
    ["POST", "/v1/tickets", 401, 201, 201],
    ["GET", "/v1/admin/users", 401, 403, 200],
    ["GET", "/v1/admin/hosts", 401, 403, 200],
    ["POST", "/v1/admin/hosts/join-tokens", 401, 403, 201],
    ["GET", "/healthz", 200, 200, 200],
    ["GET", "/.well-known/jwks.json", 200, 200, 200],
    ["GET", "/openapi.json", 200, 200, 200],
    ["GET", "/docs", 200, 200, 200],
    ["GET", "/", 200, 200, 200],
    ["POST", "/internal/hosts/report", 401, 401, 401],
  ])("%s %s answers a guest %i, a user %i, an admin %i", async (method, path, guest, user, admin) => {
    const [known, boss] = [
      await gateway.addUser(crypto.randomUUID()),
      await gateway.addUser(crypto.randomUUID(), "admin"),
    ];
    expect((await gateway.call(method, path)).status).toBe(guest);
    expect((await gateway.call(method, path, { token: known.token })).status).toBe(user);
    expect((await gateway.call(method, path, { token: boss.token })).status).toBe(admin);
  });

  test.each([
    ["GET", "/v1/agents/ID", undefined],
    ["PATCH", "/v1/agents/ID", { name: "stolen" }],
    ["DELETE", "/v1/agents/ID", undefined],
    ["PUT", "/v1/agents/ID/env", { A: "1" }],
    ["POST", "/v1/agents/ID/reset", undefined],
    ["POST", "/v1/agents/ID/runs", { prompt: "x" }],
  ])(
    "%s %s answers another user and an admin as if it were absent, to the byte but for the request id",
    async (method, path, body) => {
      const owner = await gateway.addUser(crypto.randomUUID());
      const { id } = (
        await gateway.call("POST", "/v1/agents", { token: owner.token, body: { name: "secret name" } })
      ).json();
      for (const role of ["user", "admin"] as const) {
        const other = await gateway.addUser(crypto.randomUUID(), role);
        const [foreign, absent] = [
          await gateway.call(method, path.replace("ID", id), { token: other.token, body }),
          await gateway.call(method, path.replace("ID", "agt_absent"), { token: other.token, body }),
        ];
        expect(foreign.status).toBe(404);
        expect(withoutRequestId(foreign.text)).toBe(withoutRequestId(absent.text));
        expect(foreign.text).not.toContain("secret name");
      }
      expect((await gateway.call("GET", `/v1/agents/${id}`, { token: owner.token })).json().name).toBe("secret name");
    },
  );

  test("a refusal names the scheme and nothing of the cause", async () => {
    const answer = await me("x.y.z");
    expect(answer.headers.get("www-authenticate")).toBe("Bearer");
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(answer.json()).toMatchObject({
      status: 401,
      code: "unauthenticated",
      requestId: answer.headers.get("x-request-id"),
    });
  });
});

describe("bearer tokens", () => {
  test("a revoked token is refused at once", async () => {
    const user = await gateway.addUser("revoker");
    const made = (await gateway.call("POST", "/v1/tokens", { token: user.token, body: { name: "ci" } })).json();
    expect((await me(made.token)).status).toBe(200);
    expect((await gateway.call("GET", "/v1/tokens", { token: user.token })).text).not.toContain(made.token);
    expect((await gateway.call("DELETE", `/v1/tokens/${made.id}`, { token: user.token })).status).toBe(204);
    expect((await me(made.token)).status).toBe(401);
    expect((await gateway.call("DELETE", `/v1/tokens/${made.id}`, { token: user.token })).status).toBe(404);
  });

  test("another user's token cannot be revoked", async () => {
    const [user, other] = [await gateway.addUser("keeper"), await gateway.addUser("thief")];
    expect((await gateway.call("DELETE", `/v1/tokens/${user.tokenId}`, { token: other.token })).status).toBe(404);
    expect((await me(user.token)).status).toBe(200);
  });

  test("a disabled user's tokens are refused at once", async () => {
    const [user, boss] = [await gateway.addUser("suspended"), await gateway.addUser("suspender", "admin")];
    expect((await me(user.token)).status).toBe(200);
    await gateway.call("PATCH", `/v1/admin/users/${user.id}`, { token: boss.token, body: { disabled: true } });
    expect((await me(user.token)).status).toBe(401);
    await gateway.call("PATCH", `/v1/admin/users/${user.id}`, { token: boss.token, body: { disabled: false } });
    expect((await me(user.token)).status).toBe(200);
  });

  test("a token expires without grace, also one that was verified before", async () => {
    const user = await gateway.addUser("expiring");
    const made = (
      await gateway.call("POST", "/v1/tokens", { token: user.token, body: { name: "short", expiresInSeconds: 60 } })
    ).json();
    expect((await me(made.token)).status).toBe(200);
    gateway.clock.skewMs += 60_000;
    expect((await me(made.token)).status).toBe(401);
    gateway.clock.skewMs -= 60_000;
  });

  test.each([
    [1, 201],
    [366 * 86_400, 201],
    [0, 400],
    [366 * 86_400 + 1, 400],
    [1.5, 400],
    ["60", 400],
  ])("a token that lives for %j seconds answers %i", async (expiresInSeconds, status) => {
    const { token } = await gateway.addUser(crypto.randomUUID());
    const answer = await gateway.call("POST", "/v1/tokens", { token, body: { name: "x", expiresInSeconds } });
    expect(answer.status).toBe(status);
  });

  test("the use of a token is noted at most once a minute", async () => {
    const user = await gateway.addUser("noted");
    const lastUsed = async () => {
      const { lastUsedAt } = (await gateway.call("GET", "/v1/tokens", { token: user.token })).json().items[0];
      await gateway.tick();
      return lastUsedAt;
    };
    await lastUsed();
    const first = await lastUsed();
    expect(first).not.toBeNull();
    gateway.clock.skewMs += 30_000;
    await lastUsed();
    expect(await lastUsed()).toBe(first);
    gateway.clock.skewMs += 31_000;
    await lastUsed();
    expect(await lastUsed()).not.toBe(first);
    gateway.clock.skewMs = 0;
  });

  test("only our own key, algorithm, issuer, audience and type are taken", async () => {
    const user = await gateway.addUser("target");
    const { keyring } = gateway.deps;
    const claims = {
      iss: issuer(),
      aud: "berth",
      sub: user.id,
      jti: user.tokenId,
      iat: seconds(),
      exp: seconds() + 600,
    };
    const header = { alg: "EdDSA", typ: "at+jwt", kid: keyring.kid };
    const sign = (c: object, h: object = header) =>
      new SignJWT(c as typeof claims).setProtectedHeader(h as typeof header).sign(keyring.privateKey);
    expect((await me(await sign(claims))).status).toBe(200);

    const foreign = await importKeyring([await createSigningJwk()]);
    const pem = await exportSPKI(keyring.publicKeys.get(keyring.kid)!);
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const hmacInput = `${encode({ ...header, alg: "HS256" })}.${encode(claims)}`;
    const { exp: _exp, ...withoutExp } = claims;
    const jwk = foreign.jwks.keys[0]!;
    const refused: [string, string][] = [
      ["a foreign key under our kid", await signWith(foreign.privateKey, claims, header)],
      [
        "a foreign kid",
        await signToken(
          foreign,
          issuer(),
          { userId: user.id, tokenId: user.tokenId, expiresAt: seconds() + 60 },
          gateway.deps.now(),
        ),
      ],
      ["alg none", `${encode({ ...header, alg: "none" })}.${encode(claims)}.`],
      ["HMAC with the public key", `${hmacInput}.${createHmac("sha256", pem).update(hmacInput).digest("base64url")}`],
      ["an embedded jwk", await signWith(foreign.privateKey, claims, { ...header, jwk })],
      ["a jku", await sign(claims, { ...header, jku: "http://127.0.0.1:1/jwks" })],
      ["an x5u", await sign(claims, { ...header, x5u: "http://127.0.0.1:1/cert" })],
      ["another type", await sign(claims, { ...header, typ: "JWT" })],
      ["another issuer", await sign({ ...claims, iss: "http://elsewhere" })],
      ["another audience", await sign({ ...claims, aud: "other" })],
      ["no expiry", await sign(withoutExp)],
      ["an expiry in the past", await sign({ ...claims, exp: seconds() - 1 })],
      ["an issue time ahead", await sign({ ...claims, iat: seconds() + 60 })],
      ["a start time ahead", await sign({ ...claims, nbf: seconds() + 60 })],
      ["another user's id", await sign({ ...claims, sub: (await gateway.addUser("victim")).id })],
      [
        "a ticket",
        await signTicket(
          keyring,
          issuer(),
          { sub: user.id, tid: user.tokenId, texp: seconds() + 600 },
          gateway.deps.now(),
        ),
      ],
      ["a token of over 8 KiB", await sign({ ...claims, pad: "x".repeat(8192) })],
      ["a cut signature", (await sign(claims)).slice(0, -4)],
    ];
    for (const [what, token] of refused) expect([what, (await me(token)).status]).toEqual([what, 401]);
    expect((await me(await sign({ ...claims, iat: seconds() + 20, nbf: seconds() + 20 }))).status).toBe(200);
  });
});

describe("browser sessions", () => {
  const cookieOf = (answer: { headers: Headers }) => answer.headers.get("set-cookie")!.split(";")[0]!;
  const own = { origin: "http://localhost:8080" };

  const nobody = { actor: systemActor, address: null };
  const codeFor = async (userId: string, ageMs = 0) => {
    const deps = { ...gateway.deps, now: () => gateway.deps.now() - ageMs };
    return (await createSignInLink(deps, nobody, userId, linkMs.printed)).url.split("#code=")[1]!;
  };
  async function signIn(name: string) {
    const user = await gateway.addUser(name);
    const code = await codeFor(user.id);
    return { user, code, answer: await gateway.call("POST", "/session", { body: { code }, headers: own }) };
  }

  test("a code becomes a strict, http-only cookie that signs in", async () => {
    const { user, answer } = await signIn("browser");
    expect(answer.status).toBe(204);
    expect(answer.headers.get("set-cookie")).toMatch(
      /^berth_session=[\w.-]+; Path=\/; Max-Age=604800; HttpOnly; SameSite=Strict$/,
    );
    const whoami = await gateway.call("GET", "/v1/me", { headers: { cookie: cookieOf(answer) } });
    expect(whoami.json().user.id).toBe(user.id);
  });

  test("a code works once, even raced, and for ten minutes", async () => {
    const user = await gateway.addUser("coder");
    const code = await codeFor(user.id);
    const raced = await Promise.all(
      Array.from({ length: 5 }, () => gateway.call("POST", "/session", { body: { code } })),
    );
    expect(raced.map((answer) => answer.status).toSorted()).toEqual([204, 401, 401, 401, 401]);
    const late = await codeFor(user.id, 600_001);
    expect((await gateway.call("POST", "/session", { body: { code: late } })).status).toBe(401);
  });

  test("an API token becomes the cookie itself, and revoking it ends the session", async () => {
    const user = await gateway.addUser("pasted");
    const answer = await gateway.call("POST", "/session", { body: { token: user.token } });
    const headers = { cookie: cookieOf(answer) };
    expect((await gateway.call("GET", "/v1/me", { headers })).status).toBe(200);
    await gateway.call("DELETE", `/v1/tokens/${user.tokenId}`, { token: user.token });
    expect((await gateway.call("GET", "/v1/me", { headers })).status).toBe(401);
  });

  test("signing out ends the session everywhere and removes the cookie", async () => {
    const { answer } = await signIn("leaver");
    const headers = { ...own, cookie: cookieOf(answer) };
    const out = await gateway.call("DELETE", "/session", { headers });
    expect(out.status).toBe(204);
    expect(out.headers.get("set-cookie")).toMatch(/^berth_session=; Path=\/; Max-Age=0/);
    expect((await gateway.call("GET", "/v1/me", { headers })).status).toBe(401);
  });

  test("a session more than half gone is renewed", async () => {
    const { answer } = await signIn("stayer");
    const headers = { cookie: cookieOf(answer) };
    expect((await gateway.call("GET", "/v1/me", { headers })).headers.get("set-cookie")).toBeNull();
    gateway.clock.skewMs = 4 * 24 * 3_600_000;
    const renewed = await gateway.call("GET", "/v1/me", { headers });
    gateway.clock.skewMs = 8 * 24 * 3_600_000;
    expect((await gateway.call("GET", "/v1/me", { headers })).status).toBe(401);
    expect((await gateway.call("GET", "/v1/me", { headers: { cookie: cookieOf(renewed) } })).status).toBe(200);
    gateway.clock.skewMs = 0;
  });

  test.each([
    [{}, 403],
    [{ origin: "http://evil.example" }, 403],
    [{ origin: "null" }, 403],
    [{ origin: "http://evil.example:8080", host: "evil.example:8080" }, 403],
    [{ "sec-fetch-site": "cross-site" }, 403],
    [{ origin: "http://localhost:8080" }, 201],
    [{ origin: "http://127.0.0.1:8080", host: "127.0.0.1:8080" }, 201],
    [{ "sec-fetch-site": "same-origin" }, 201],
  ])("a state-changing cookie call with %j answers %i", async (headers, status) => {
    const { answer } = await signIn(crypto.randomUUID());
    const call = await gateway.call("POST", "/v1/agents", {
      headers: { ...headers, cookie: cookieOf(answer) },
      body: { name: "x" },
    });
    expect(call.status).toBe(status);
  });

  test("a page elsewhere cannot sign a browser in", async () => {
    const user = await gateway.addUser("login csrf");
    const answer = await gateway.call("POST", "/session", {
      body: { token: user.token },
      headers: { origin: "http://evil.example" },
    });
    expect(answer.status).toBe(403);
    expect(answer.headers.get("set-cookie")).toBeNull();
  });

  test("behind https the cookie is secure, this host's alone and read by no other name, and browsers are told to stay", async () => {
    const secure = await createTestApp({ BERTH_PUBLIC_URL: "https://berth.example" });
    const user = await secure.addUser("tls");
    const answer = await secure.call("POST", "/session", {
      body: { token: user.token },
      headers: { origin: "https://berth.example" },
    });
    const cookie = answer.headers.get("set-cookie")!;
    expect(cookie).toMatch(/^__Host-berth_session=[\w.-]+; Path=\/; .*; Secure$/);
    expect(answer.headers.get("strict-transport-security")).toBe("max-age=31536000");
    const ask = (line: string) => secure.call("GET", "/v1/me", { headers: { cookie: line } });
    expect((await ask(cookie.split(";")[0]!)).status).toBe(200);
    expect((await ask(cookie.split(";")[0]!.replace("__Host-", ""))).status).toBe(401);
    expect((await gateway.call("GET", "/healthz")).headers.get("strict-transport-security")).toBeNull();
    await secure.close();
  });
});

test("of socket tickets that were used no more are kept than are good still, however many come", async () => {
  const user = await gateway.addUser("socketed");
  const use = async () => {
    const { ticket } = (await gateway.call("POST", "/v1/tickets", { token: user.token })).json();
    const headers = { upgrade: "websocket", "sec-websocket-protocol": `berth.v1, ticket.${ticket}` };
    const connect = () => gateway.call("GET", "/v1/connect", { headers });
    expect([(await connect()).json().code, (await connect()).json().code]).toEqual(["no_host", "unauthenticated"]);
  };
  const kept = async () => (await gateway.deps.db.all(sql`select id from used_tickets`)).length;
  for (let at = 0; at < 5; at++) await use();
  expect(await kept()).toBe(5);
  gateway.clock.skewMs += 31_000;
  for (let at = 0; at < 5; at++) await use();
  expect(await kept()).toBe(5);
  gateway.clock.skewMs = 0;
});

describe("admins", () => {
  test("the last active admin can be neither disabled nor demoted", async () => {
    const alone = await createTestApp();
    const [first, second] = [await alone.addUser("first", "admin"), await alone.addUser("second", "admin")];
    const patch = (id: string, body: object, token: string) =>
      alone.call("PATCH", `/v1/admin/users/${id}`, { token, body });
    expect((await patch(second.id, { role: "user" }, first.token)).json()).toMatchObject({
      role: "user",
      disabled: false,
    });
    expect((await patch(first.id, { role: "user" }, first.token)).json().code).toBe("conflict");
    expect((await patch(first.id, { disabled: true }, first.token)).json().code).toBe("conflict");
    await alone.close();
  });

  test("users are made once per name, get tokens from an admin, and are listed in pages", async () => {
    const alone = await createTestApp();
    const boss = await alone.addUser("boss", "admin");
    const made = await alone.call("POST", "/v1/admin/users", { token: boss.token, body: { name: "worker" } });
    expect(made.json()).toMatchObject({ name: "worker", role: "user", disabled: false });
    expect(
      (await alone.call("POST", "/v1/admin/users", { token: boss.token, body: { name: "worker" } })).json().code,
    ).toBe("conflict");
    const given = await alone.call("POST", `/v1/admin/users/${made.json().id}/tokens`, {
      token: boss.token,
      body: { name: "first" },
    });
    expect((await alone.call("GET", "/v1/me", { token: given.json().token })).json().user.name).toBe("worker");
    const page = (await alone.call("GET", "/v1/admin/users?limit=1", { token: boss.token })).json();
    expect(page.items.map((user: { name: string }) => user.name)).toEqual(["boss"]);
    const next = (
      await alone.call("GET", `/v1/admin/users?limit=1&cursor=${page.nextCursor}`, { token: boss.token })
    ).json();
    expect(next).toMatchObject({ items: [{ name: "worker" }], nextCursor: null });
    await alone.close();
  });
});

function signWith(key: CryptoKey, claims: object, header: object): Promise<string> {
  return new SignJWT(claims as Record<string, string>).setProtectedHeader(header as { alg: string }).sign(key);
}

const withoutRequestId = (text: string) => text.replace(/"requestId":"[^"]+"/, "");
