import { sql } from "drizzle-orm";
import { exportJWK, exportSPKI, generateKeyPair, type JWK } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestApp, type Answer, type TestApp } from "../../test/app.ts";
import { joinTestHost, type TestHost } from "../../test/host.ts";
import { encode, macRaw, signRaw } from "../../test/raw-jwt.ts";
import { signAttempt, signHostCall, signTicket } from "./jwt.ts";

let gateway: TestApp;
let host: TestHost;
let user: Awaited<ReturnType<TestApp["addUser"]>>;
let victim: typeof user;
let otherKey: CryptoKey;
let otherX: string;
let publicJwk: JWK;
let publicPem: string;
beforeAll(async () => {
  gateway = await createTestApp();
  host = await joinTestHost(gateway);
  [user, victim] = [await gateway.addUser("attacker"), await gateway.addUser("victim", "admin")];
  const other = await generateKeyPair("EdDSA", { crv: "Ed25519" });
  otherKey = other.privateKey;
  otherX = (await exportJWK(other.publicKey)).x!;
  const publicKey = gateway.deps.keyring.publicKeys.get(kid())!;
  good = await own();
  [publicJwk, publicPem] = [await exportJWK(publicKey), await exportSPKI(publicKey)];
});
afterAll(async () => {
  await host?.close();
  await gateway?.close();
});

const kid = () => gateway.deps.keyring.kid;
const seconds = () => Math.floor(gateway.deps.now() / 1000);
const issuer = () => gateway.deps.settings.BERTH_PUBLIC_URL;
const header = () => ({ alg: "EdDSA", typ: "at+jwt", kid: kid() });
const claims = () => ({
  iss: issuer(),
  aud: "berth",
  sub: user.id,
  jti: user.tokenId,
  iat: seconds(),
  exp: seconds() + 600,
});
/** Signed with the gateway's own key: what only a defect of the gateway could issue. */
const own = (payload: object | string = claims(), head: object | string = header()) =>
  signRaw(head, payload, keyring().privateKey);
/** Signed with a key of the attacker's. */
const forged = (head: object = {}, payload: object | string = claims()) =>
  signRaw({ ...header(), ...head }, payload, otherKey);
const without = (object: object, name: string) =>
  Object.fromEntries(Object.entries(object).filter(([key]) => key !== name));
const unsigned = (alg: unknown, signature = "") => `${encode({ ...header(), alg })}.${encode(claims())}.${signature}`;
/** One that is good: what others are made from. */
let good: string;
const parts = () => good.split(".") as [string, string, string];
const keyring = () => gateway.deps.keyring;
const hostClaims = () => ({ sub: user.id, tid: user.tokenId, texp: seconds() + 600 });

const attacks: [string, () => string | Promise<string>][] = [
  ["alg none", () => unsigned("none")],
  ["alg None", () => unsigned("None")],
  ["alg NONE", () => unsigned("NONE")],
  ["alg nOnE", () => unsigned("nOnE")],
  ["alg none with a blank", () => unsigned("none ")],
  ["alg empty", () => unsigned("")],
  ["alg null", () => unsigned(null)],
  ["alg missing", () => signRaw({ typ: "at+jwt", kid: kid() }, claims(), keyring().privateKey)],
  ["alg as a list", () => unsigned(["none", "EdDSA"])],
  ["alg none with our signature", () => unsigned("none", parts()[2])],
  ["EdDSA without a signature", () => unsigned("EdDSA")],
  ["EdDSA with a signature of zeros", () => unsigned("EdDSA", encode(new Uint8Array(64)))],
  ["ES256 with a signature of zeros", () => unsigned("ES256", encode(new Uint8Array(64)))],
  ["HS256 with our public key as PEM", () => macRaw({ ...header(), alg: "HS256" }, claims(), publicPem)],
  ["HS256 with our public key as trimmed PEM", () => macRaw({ ...header(), alg: "HS256" }, claims(), publicPem.trim())],
  [
    "HS256 with our public key as bytes",
    () => macRaw({ ...header(), alg: "HS256" }, claims(), Buffer.from(publicJwk.x!, "base64url")),
  ],
  [
    "HS256 with our public key as JWK",
    () => macRaw({ ...header(), alg: "HS256" }, claims(), JSON.stringify(publicJwk)),
  ],
  ["HS256 with x of our public key", () => macRaw({ ...header(), alg: "HS256" }, claims(), publicJwk.x!)],
  ["HS256 with an empty secret", () => macRaw({ ...header(), alg: "HS256" }, claims(), "")],
  ["HS512 with our public key as PEM", () => macRaw({ ...header(), alg: "HS512" }, claims(), publicPem, "sha512")],
  ["our signature under alg RS256", () => own(claims(), { ...header(), alg: "RS256" })],
  ["our signature under alg Ed25519", () => own(claims(), { ...header(), alg: "Ed25519" })],
  ["our signature under alg eddsa", () => own(claims(), { ...header(), alg: "eddsa" })],
  ["another gateway's key under our key id", () => forged()],
  ["another gateway's key under its own key id", () => forged({ kid: "another" })],
  ["no key id", () => own(claims(), without(header(), "kid"))],
  ["a key id that is a path", () => forged({ kid: "../../../../dev/null" })],
  ["a key id that is SQL", () => forged({ kid: "' or 1=1 --" })],
  ["a key id that is a number", () => own(claims(), { ...header(), kid: 0 })],
  ["a key id that is a method of maps", () => forged({ kid: "constructor" })],
  ["an address of keys (jku)", () => own(claims(), { ...header(), jku: "https://evil.example/jwks" })],
  ["an address of certificates (x5u)", () => own(claims(), { ...header(), x5u: "https://evil.example/x" })],
  ["certificates of its own (x5c)", () => forged({ x5c: ["MIIB"] })],
  ["a key of its own (jwk)", () => forged({ jwk: { kty: "OKP", crv: "Ed25519", x: otherX }, kid: undefined })],
  ["a key of its own beside our key id", () => forged({ jwk: { kty: "OKP", crv: "Ed25519", x: otherX } })],
  ["a critical header that nobody knows", () => own(claims(), { ...header(), crit: ["exp"] })],
  ["an empty critical header", () => own(claims(), { ...header(), crit: [] })],
  ["an unencoded payload (b64)", () => own(claims(), { ...header(), crit: ["b64"], b64: false })],
  ["a compressed payload (zip)", () => own(claims(), { ...header(), zip: "DEF" })],
  ["a nested token (cty)", () => own(claims(), { ...header(), cty: "JWT" })],
  ["the type of another kind of token", () => own(claims(), { ...header(), typ: "JWT" })],
  ["no type", () => own(claims(), without(header(), "typ"))],
  [
    "duplicate claims, forged",
    () => forged({}, `{"sub":"${user.id}",${JSON.stringify(claims()).slice(1, -1)},"sub":"${victim.id}"}`),
  ],
  ["a duplicate subject of another user", () => own(`{${JSON.stringify(claims()).slice(1, -1)},"sub":"${victim.id}"}`)],
  ["a duplicate issuer", () => own(`{${JSON.stringify(claims()).slice(1, -1)},"iss":"https://evil.example"}`)],
  [
    "a duplicate algorithm",
    () => `${encode(`{"alg":"EdDSA","typ":"at+jwt","kid":"${kid()}","alg":"none"}`)}.${encode(claims())}.`,
  ],
  ["expired a second ago", () => own({ ...claims(), exp: seconds() - 1 })],
  ["expired a second beyond the skew", () => own({ ...claims(), exp: seconds() - 31 })],
  ["no expiry", () => own(without(claims(), "exp"))],
  ["an expiry as text", () => own({ ...claims(), exp: String(seconds() + 600) })],
  ["an expiry of null", () => own({ ...claims(), exp: null })],
  ["an expiry beyond numbers", () => own(JSON.stringify(claims()).replace(/"exp":\d+/, '"exp":1e999'))],
  ["an expiry below zero", () => own({ ...claims(), exp: -1 })],
  ["a start beyond the skew", () => own({ ...claims(), nbf: seconds() + 90 })],
  ["a start as text", () => own({ ...claims(), nbf: "0" })],
  ["a time of issue beyond the skew", () => own({ ...claims(), iat: seconds() + 90 })],
  ["no subject", () => own(without(claims(), "sub"))],
  ["a subject that is an object", () => own({ ...claims(), sub: { id: user.id } })],
  ["a subject that is a list", () => own({ ...claims(), sub: [user.id] })],
  ["another user's subject", () => own({ ...claims(), sub: victim.id })],
  ["another user's token id", () => own({ ...claims(), jti: victim.tokenId })],
  ["no token id", () => own(without(claims(), "jti"))],
  ["a token id that nobody has", () => own({ ...claims(), jti: "tok_absent" })],
  ["a token id that is SQL", () => own({ ...claims(), jti: "' or 1=1 --" })],
  ["no issuer", () => own(without(claims(), "iss"))],
  ["another issuer", () => own({ ...claims(), iss: "https://evil.example" })],
  ["our issuer with a slash", () => own({ ...claims(), iss: `${issuer()}/` })],
  ["no audience", () => own(without(claims(), "aud"))],
  ["another audience", () => own({ ...claims(), aud: "other" })],
  ["the audience of tickets", () => own({ ...claims(), aud: "berth:ticket" })],
  ["an audience in another case", () => own({ ...claims(), aud: "Berth" })],
  ["a socket ticket", () => signTicket(keyring(), issuer(), hostClaims(), gateway.deps.now())],
  [
    "a sign-in attempt",
    () => signAttempt(keyring(), issuer(), { state: "s", nonce: "n", verifier: "v" }, gateway.deps.now()),
  ],
  [
    "a call to a host",
    () => signHostCall(keyring(), host.id, { ...hostClaims(), call: "GET /v1/me", body: null }, gateway.deps.now()),
  ],
  ["a host's own token", () => host.sign()],
  ["a host's own token as a user's", () => host.sign({ iss: issuer(), aud: "berth", sub: user.id, jti: user.tokenId })],
  ["a payload that is a list", () => own("[]")],
  ["a payload that is null", () => own("null")],
  ["a payload that is text", () => own('"admin"')],
  ["a payload that is no JSON", () => own("{")],
  ["a payload that is empty", () => own("")],
  ["a header that is no JSON", () => own(claims(), "{")],
  ["a header that is a list", () => own(claims(), "[]")],
  [
    "a header with a prototype",
    () => own(claims(), `{"alg":"EdDSA","typ":"at+jwt","kid":"${kid()}","__proto__":{"x":1}}`),
  ],
  [
    "a changed payload",
    () => [parts()[0], encode({ ...claims(), sub: victim.id, jti: victim.tokenId }), parts()[2]].join("."),
  ],
  ["a cut signature", () => good.slice(0, -2)],
  ["a longer signature", () => `${good}AAAA`],
  ["two parts", () => parts().slice(0, 2).join(".")],
  ["four parts", () => `${good}.x`],
  ["five parts, as if encrypted", () => `${good}.x.y`],
  ["empty parts", () => ".."],
  ["nothing", () => ""],
  ["a dot", () => "."],
  ["no token at all", () => "undefined"],
  ["the token id alone", () => user.tokenId],
  [
    "padding",
    () =>
      parts()
        .map((part) => `${part}==`)
        .join("."),
  ],
  [
    "plain base64",
    () =>
      parts()
        .map((part) => part.replaceAll("-", "+").replaceAll("_", "/"))
        .join("./"),
  ],
  ["JSON serialisation", () => JSON.stringify({ protected: parts()[0], payload: parts()[1], signature: parts()[2] })],
  ["two tokens", () => `${good}, ${user.token}`],
  ["a token of 9 KiB", () => own({ ...claims(), pad: "x".repeat(9 * 1024) })],
  ["a token of 15 KiB of dots", () => ".".repeat(15 * 1024)],
  ["a deep payload", () => own(`{"a":${"[".repeat(2000)}${"]".repeat(2000)}}`)],
];

/** All that a client sees but what names the request. */
function shapeOf({ status, headers, text }: Answer) {
  const seen = [...headers].filter(
    ([name]) => name !== "x-request-id" && name !== "date" && !name.startsWith("berth-test-"),
  );
  return JSON.stringify([status, seen, text.replace(/"requestId":"[^"]+"/, "")]);
}

describe("a token that is not ours", () => {
  test("there are enough of them, and the one they are made from is good", async () => {
    expect(attacks.length).toBeGreaterThanOrEqual(40);
    expect(new Set(attacks.map(([what]) => what)).size).toBe(attacks.length);
    expect((await gateway.call("GET", "/v1/me", { token: good })).json().user.id).toBe(user.id);
  });

  test.each(attacks)("is refused as bearer, and looks like any other: %s", async (_what, make) => {
    const plain = await gateway.call("GET", "/v1/me");
    const answer = await gateway.call("GET", "/v1/me", { token: await make() });
    expect(answer.status).toBe(401);
    expect(shapeOf(answer)).toBe(shapeOf(plain));
  });

  test.each(attacks)("is refused as cookie: %s", async (_what, make) => {
    const headers = { cookie: `berth_session=${await make()}`, origin: "http://localhost:8080" };
    for (const method of ["GET", "POST"]) {
      const path = method === "GET" ? "/v1/me" : "/v1/tickets";
      const plain = await gateway.call(method, path, { headers: { origin: headers.origin } });
      expect(shapeOf(await gateway.call(method, path, { headers }))).toBe(shapeOf(plain));
    }
  });

  test.each(attacks.filter(([what]) => what !== "a socket ticket"))("is refused as ticket: %s", async (_what, make) => {
    const protocols = (ticket: string) => ({
      upgrade: "websocket",
      "sec-websocket-protocol": `berth.v1, ticket.${ticket}`,
    });
    const plain = await gateway.call("GET", "/v1/connect", { headers: protocols("x") });
    expect(plain.status).toBe(401);
    expect(shapeOf(await gateway.call("GET", "/v1/connect", { headers: protocols(await make()) }))).toBe(
      shapeOf(plain),
    );
  });

  test.each(attacks.filter(([what]) => what !== "a host's own token"))(
    "is refused as a host's: %s",
    async (_what, make) => {
      const report = async (token: string) =>
        gateway.call("POST", "/internal/hosts/report", { token, body: host.makeReport() });
      expect(shapeOf(await report(await make()))).toBe(shapeOf(await report("x")));
    },
  );
});

describe("a ticket that is not ours", () => {
  const ticket = () => ({ alg: "EdDSA", typ: "berth-ticket+jwt", kid: kid() });
  const ofTicket = () => ({
    iss: issuer(),
    aud: "berth:ticket",
    jti: crypto.randomUUID(),
    iat: seconds(),
    exp: seconds() + 30,
    ...hostClaims(),
  });
  const connect = (jwt: string) =>
    gateway.call("GET", "/v1/connect", {
      headers: { upgrade: "websocket", "sec-websocket-protocol": `berth.v1, ticket.${jwt}` },
    });

  test.each<[string, () => string | Promise<string>]>([
    ["an API token", () => user.token],
    ["of another key", () => signRaw(ticket(), ofTicket(), otherKey)],
    ["expired", () => own({ ...ofTicket(), exp: seconds() - 1 }, ticket())],
    ["without an expiry", () => own(without(ofTicket(), "exp"), ticket())],
    ["of a credential that has expired", () => own({ ...ofTicket(), texp: seconds() - 1 }, ticket())],
    ["of a credential that nobody has", () => own({ ...ofTicket(), tid: "tok_absent" }, ticket())],
    ["of another user's credential", () => own({ ...ofTicket(), tid: victim.tokenId }, ticket())],
    ["for a user whom nobody knows", () => own({ ...ofTicket(), tid: null, sub: "usr_absent" }, ticket())],
    ["with a credential id that is a number", () => own({ ...ofTicket(), tid: 1 }, ticket())],
    ["without an id of its own", () => own(without(ofTicket(), "jti"), ticket())],
    ["with the type of an API token", () => own(ofTicket(), header())],
    ["with the audience of a host", () => own({ ...ofTicket(), aud: host.id }, ticket())],
    [
      "a call to a host",
      () => signHostCall(keyring(), host.id, { ...hostClaims(), call: "GET /v1/me", body: null }, gateway.deps.now()),
    ],
  ])("is refused: %s", async (_what, make) => {
    expect((await connect(await make())).status).toBe(401);
  });

  test("is used up by the first of many that bring it, and let in no later", async () => {
    const asked = await Promise.all(
      Array.from({ length: 5 }, async () => gateway.call("POST", "/v1/tickets", { token: user.token })),
    );
    const tickets = asked.map((answer) => answer.json().ticket as string);
    expect(new Set(tickets).size).toBe(5);
    const raced = await Promise.all(Array.from({ length: 5 }, () => connect(tickets[0]!)));
    expect(raced.filter(({ status }) => status !== 401)).toHaveLength(1);
    expect((await connect(tickets[0]!)).status).toBe(401);
    expect((await connect(tickets[1]!)).status).not.toBe(401);
  });

  test("is refused from when its credential is revoked", async () => {
    const made = (await gateway.call("POST", "/v1/tokens", { token: user.token, body: { name: "short" } })).json();
    const { ticket: jwt } = (await gateway.call("POST", "/v1/tickets", { token: made.token })).json();
    await gateway.call("DELETE", `/v1/tokens/${made.id}`, { token: user.token });
    expect((await connect(jwt)).status).toBe(401);
  });
});

describe("a host's token that is not its own", () => {
  const report = async (token: string) =>
    gateway.call("POST", "/internal/hosts/report", { token, body: host.makeReport() });

  test.each<[string, () => string | Promise<string>]>([
    [
      "another key",
      async () =>
        signRaw(
          { alg: "EdDSA", typ: "berth-host+jwt" },
          { iss: host.id, sub: host.id, aud: "berth:gateway", iat: seconds(), exp: seconds() + 60 },
          otherKey,
        ),
    ],
    [
      "the gateway's key",
      () =>
        own(
          { iss: host.id, sub: host.id, aud: "berth:gateway", iat: seconds(), exp: seconds() + 60 },
          { alg: "EdDSA", typ: "berth-host+jwt" },
        ),
    ],
    ["another host's id", () => host.sign({ iss: "hst_other", sub: "hst_other" })],
    ["another subject", () => host.sign({ sub: "hst_other" })],
    ["a host id that is SQL", () => host.sign({ iss: "' or 1=1 --" })],
    ["another audience", () => host.sign({ aud: "berth" })],
    ["an expiry of an hour", () => host.sign({ exp: seconds() + 3600 })],
    ["an expiry a second ago", () => host.sign({ exp: seconds() - 1 })],
    ["no expiry", () => host.sign({ exp: undefined })],
    ["a user's token", () => user.token],
  ])("is refused with %s", async (_what, make) => {
    expect((await report(await make())).status).toBe(401);
    expect((await report(await host.sign())).status).toBe(200);
  });

  test("is refused although it was taken before, once its time is over, or the clock is before it, or the host has another key", async () => {
    const jwt = await host.sign();
    const statusAt = async (skewMs: number) => {
      gateway.clock.skewMs = skewMs;
      const { status } = await report(jwt);
      gateway.clock.skewMs = 0;
      return status;
    };
    expect([await statusAt(0), await statusAt(0), await statusAt(61_000), await statusAt(-61_000)]).toEqual([
      200, 200, 401, 401,
    ]);
    const withKey = async (publicKey: object) =>
      gateway.deps.db.all(
        sql`update hosts set public_key = ${JSON.stringify(publicKey)} where id = ${host.id} returning id`,
      );
    const [row] = await gateway.deps.db.all<{ key: string }>(
      sql`select public_key as key from hosts where id = ${host.id}`,
    );
    const publicKey = JSON.parse(row!.key) as JWK;
    await withKey({ ...publicKey, x: otherX });
    expect(await statusAt(0)).toBe(401);
    await withKey(publicKey);
    expect(await statusAt(0)).toBe(200);
  });
});
