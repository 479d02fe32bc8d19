import { createHmac } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, exportSPKI, generateKeyPair, type JWTPayload, SignJWT } from "jose";
import { createLog } from "@berth/shared/log";
import { parseSettings } from "@berth/shared/settings";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { claimedSubject, createGatewayVerifier, keepGatewayKeys, type VerifyGateway } from "./verify.ts";
import { createAlerts } from "../context/alerts.ts";
import { createBus } from "../context/bus.ts";
import { createTurns } from "../context/turns.ts";
import { createClock } from "../context/clock.ts";
import { Store } from "../store/store.ts";
import { inMemory } from "../../test/memory.ts";

const hostId = "hst_this";
let server: Server;
let store: Store;
const call = "GET /v1/workspace";
let verifyCall: VerifyGateway;
const verify = (authorization: string) => verifyCall(authorization, call);
let publicPem: string;
let keys: { own: CryptoKey; other: CryptoKey };
let asked = 0;
/** A verifier of a host whose gateway is at this address. */
let verifierAt: (gatewayUrl: string) => VerifyGateway;

beforeAll(async () => {
  const [own, other] = await Promise.all([generateKeyPair("EdDSA"), generateKeyPair("EdDSA")]);
  keys = { own: own.privateKey, other: other.privateKey };
  publicPem = await exportSPKI(own.publicKey);
  const jwks = { keys: [{ ...(await exportJWK(own.publicKey)), kid: "gateway", alg: "EdDSA", use: "sig" }] };
  server = createServer((_request, response) => {
    asked += 1;
    response.setHeader("content-type", "application/json").end(JSON.stringify(jwks));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  store = new Store(inMemory(), Date.now);
  const context = {
    hostId,
    settings: parseSettings({}),
    settingsOf: () => parseSettings({}),
    dataDir: "/nonexistent",
    clock: createClock(),
    log: createLog(() => {}),
    bus: createBus(),
    turns: createTurns(),
    alerts: createAlerts(Date.now),
  };
  verifierAt = (gatewayUrl) =>
    createGatewayVerifier(context, { hostId, issuer: "berth:gateway", gatewayUrl, sign: async () => "" }, store);
  verifyCall = verifierAt(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
afterAll(() => {
  store.close();
  server.close();
});

const seconds = () => Math.floor(Date.now() / 1000);
const claims = () => ({
  iss: "berth:gateway",
  aud: hostId,
  sub: "usr_1",
  tid: "tok_1",
  texp: seconds() + 600,
  iat: seconds(),
  exp: seconds() + 30,
  jti: crypto.randomUUID(),
  call,
  body: "",
});
const header = { alg: "EdDSA", typ: "berth-call+jwt", kid: "gateway" };
function sign(changes: JWTPayload = {}, head: object = {}, key = keys.own): Promise<string> {
  const all = Object.entries({ ...claims(), ...changes }).filter(([, value]) => value !== undefined);
  return new SignJWT(Object.fromEntries(all)).setProtectedHeader({ ...header, ...head }).sign(key);
}
const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString("base64url");
function hmac(): string {
  const input = `${encode({ ...header, alg: "HS256" })}.${encode(claims())}`;
  return `${input}.${createHmac("sha256", publicPem).update(input).digest("base64url")}`;
}

describe("a call of the gateway", () => {
  test("tells user and credential", async () => {
    expect(await verify(`Bearer ${await sign()}`)).toMatchObject({ sub: "usr_1", tid: "tok_1" });
    expect(await verify(`Bearer ${await sign({ tid: null })}`)).toMatchObject({ tid: null });
  });

  test.each<[string, () => string | Promise<string>]>([
    ["no token", () => ""],
    ["alg none", () => `${encode({ ...header, alg: "none" })}.${encode(claims())}.`],
    ["alg None", () => `${encode({ ...header, alg: "None" })}.${encode(claims())}.`],
    ["HS256 with the public key", () => hmac()],
    ["another key under the gateway's key id", () => sign({}, {}, keys.other)],
    ["an unknown key id", () => sign({}, { kid: "other" }, keys.other)],
    [
      "a key of its own",
      async () => sign({}, { kid: undefined, jwk: { kty: "OKP", crv: "Ed25519", x: "AA" } }, keys.other),
    ],
    ["another host's audience", () => sign({ aud: "hst_other" })],
    ["the audience of users", () => sign({ aud: "berth" })],
    ["no audience", () => sign({ aud: undefined })],
    ["the gateway's public address as issuer", () => sign({ iss: "http://localhost:8080" })],
    ["the type of a user's token", () => sign({}, { typ: "at+jwt" })],
    ["the type of a ticket", () => sign({}, { typ: "berth-ticket+jwt" })],
    ["no type", () => sign({}, { typ: undefined })],
    ["an expiry beyond the skew", () => sign({ exp: seconds() - 31 })],
    ["no expiry", () => sign({ exp: undefined })],
    ["no subject", () => sign({ sub: undefined })],
    ["a subject that is a path", () => sign({ sub: "../etc" })],
    ["no credential's expiry", () => sign({ texp: undefined })],
    ["a credential that is a number", () => sign({ tid: 1 })],
    ["another path", () => sign({ call: "GET /v1/workspace/start" })],
    ["another query", () => sign({ call: `${call}?after=1` })],
    ["another method", () => sign({ call: "POST /v1/workspace" })],
    ["no call", () => sign({ call: undefined })],
    ["no word on its body", () => sign({ body: undefined })],
    ["no id", () => sign({ jti: undefined })],
    [
      "a changed payload",
      async () => {
        const [head, , signature] = (await sign()).split(".");
        return `${head}.${encode({ ...claims(), sub: "usr_2" })}.${signature}`;
      },
    ],
    ["a cut signature", async () => (await sign()).slice(0, -4)],
  ])("with %s is refused, in one way", async (_what, make) => {
    const error = await verify(`Bearer ${await make()}`).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: "unauthenticated",
      message: "This call does not carry a valid token of this host's gateway.",
    });
  });

  test("that streams or upgrades is taken once, and any other as often as its connection breaks", async () => {
    const [once, again] = [await sign({ body: null }), await sign()];
    expect(await verify(`Bearer ${once}`)).toMatchObject({ sub: "usr_1" });
    await expect(verify(`Bearer ${once}`)).rejects.toMatchObject({ code: "unauthenticated" });
    for (const token of [await sign({ body: null }), again, again])
      expect(await verify(`Bearer ${token}`)).toMatchObject({ sub: "usr_1" });
  });

  test("with unknown key ids asks the gateway for its keys once in a while", async () => {
    const before = asked;
    for (let count = 0; count < 20; count++)
      await verify(`Bearer ${await sign({}, { kid: `other ${count}` })}`).catch(() => null);
    expect(asked - before).toBeLessThanOrEqual(1);
  });

  test("is taken as before where something else answers for the gateway", async () => {
    const other = createServer((_request, response) => response.end("<html>"));
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const verifyThere = verifierAt(`http://127.0.0.1:${(other.address() as AddressInfo).port}`);
    const unknown = await sign({}, { kid: "new" });
    await expect(verifyThere(`Bearer ${unknown}`, call)).rejects.toMatchObject({ code: "unauthenticated" });
    await expect(verifyThere(`Bearer ${await sign()}`, call)).resolves.toMatchObject({ sub: "usr_1" });
    other.close();
    other.closeAllConnections();
  });

  test("is refused from when a report's answer no longer has its key, and taken with a key that it brings", async () => {
    const before = store.getMeta("jwks")!;
    const next = await generateKeyPair("EdDSA");
    const jwk = { ...(await exportJWK(next.publicKey)), kid: "next", alg: "EdDSA", use: "sig" };
    keepGatewayKeys(store, JSON.stringify({ keys: [jwk] }));
    expect(await verify(`Bearer ${await sign({}, { kid: "next" }, next.privateKey)}`)).toMatchObject({ sub: "usr_1" });
    await expect(verify(`Bearer ${await sign()}`)).rejects.toMatchObject({ code: "unauthenticated" });
    keepGatewayKeys(store, before);
    expect(await verify(`Bearer ${await sign()}`)).toMatchObject({ sub: "usr_1" });
  });
});

test("whom a call says it is for is a text, whatever a stranger says", () => {
  const said = (claims: unknown) => `Bearer x.${encode(claims as object)}.y`;
  expect(claimedSubject(said({ sub: "usr_1" }))).toBe("usr_1");
  const odd: unknown[] = [
    { sub: { toString: 1 } },
    { sub: { toString: null, valueOf: null } },
    { sub: [{ toString: 1 }] },
    { sub: 1 },
  ];
  const authorizations = [...odd, {}, null, "x", []].map(said);
  expect([undefined, "", "Bearer", "Bearer x.y.z", ...authorizations].map((one) => claimedSubject(one))).toEqual(
    Array(12).fill(""),
  );
});
