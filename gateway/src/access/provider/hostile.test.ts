/** A provider that does what it should not: at length, slowly, in circles, or with lies. */
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { exportJWK, exportSPKI, generateKeyPair, type JWTPayload, SignJWT } from "jose";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createTestApp, type TestApp } from "../../../test/app.ts";

type Path = "/.well-known/openid-configuration" | "/jwks" | "/token" | "/userinfo";
type Answer = (response: ServerResponse, request: IncomingMessage) => unknown;

const secret = "secret of berth, which is long enough";
let server: Server;
let issuer: string;
let keys: Awaited<ReturnType<typeof generateKeyPair>>;
/** In place of what an honest one would answer. */
let lies: Partial<Record<Path, Answer>>;
let asked: string[];
/** Bytes that an endless answer got rid of. */
let sent: number;
let nonce: string | undefined;
let gateway: TestApp;
beforeAll(async () => {
  keys = await generateKeyPair("RS256", { extractable: true });
  server = createServer((request, response) => {
    const path = request.url!.split("?")[0] as Path;
    asked.push(path);
    response.on("error", () => undefined);
    const answer = lies[path] ?? honest[path] ?? ((unknown) => unknown.writeHead(404).end());
    answer(response, request);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(async () => {
  [lies, asked, sent] = [{}, [], 0];
  gateway = await createTestApp({
    BERTH_OIDC_ISSUER: issuer,
    BERTH_OIDC_CLIENT_ID: "berth",
    BERTH_OIDC_CLIENT_SECRET: secret,
  });
});
afterEach(() => gateway.close());

const json = (response: ServerResponse, body: unknown) =>
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
const metadata = () => ({
  issuer,
  authorization_endpoint: `${issuer}/auth`,
  token_endpoint: `${issuer}/token`,
  jwks_uri: `${issuer}/jwks`,
  userinfo_endpoint: `${issuer}/userinfo`,
  response_types_supported: ["code"],
  id_token_signing_alg_values_supported: ["RS256", "HS256", "none"],
  authorization_response_iss_parameter_supported: false,
});
const ownKey = async () => ({ ...(await exportJWK(keys.publicKey)), kid: "own", alg: "RS256", use: "sig" });
const seconds = () => Math.floor(Date.now() / 1000);
const claims = () => ({ iss: issuer, aud: "berth", sub: "ada", iat: seconds(), exp: seconds() + 600, nonce });
const sign = (changes: JWTPayload = {}, header: object = {}, key = keys.privateKey) => {
  const all = Object.entries({ ...claims(), ...changes }).filter(([, value]) => value !== undefined);
  return new SignJWT(Object.fromEntries(all)).setProtectedHeader({ alg: "RS256", kid: "own", ...header }).sign(key);
};
const tokens = (id_token: string) => ({ access_token: "access", token_type: "Bearer", expires_in: 60, id_token });
const honest: Record<Path, Answer> = {
  "/.well-known/openid-configuration": (response) => json(response, metadata()),
  "/jwks": async (response) => json(response, { keys: [await ownKey()] }),
  "/token": async (response) => json(response, tokens(await sign())),
  "/userinfo": (response) => json(response, { sub: "ada", preferred_username: "ada" }),
};

const endless: Answer = (response) => {
  response.writeHead(200, { "content-type": "application/json" });
  const chunk = Buffer.alloc(65_536, " ");
  const more = () => {
    while (!response.destroyed && response.write(chunk)) sent += chunk.length;
    sent += chunk.length;
  };
  response.on("drain", more);
  more();
};
const dripping: Answer = (response) => {
  response.writeHead(200, { "content-type": "application/json" }).write("{");
  const timer = setInterval(() => response.write(" "), 200);
  response.once("close", () => clearInterval(timer));
};
/** What is true, and blanks after it that were 8 MB before they were packed. */
const packed =
  (truth: () => Promise<object>): Answer =>
  async (response) => {
    const body = gzipSync(JSON.stringify(await truth()) + " ".repeat(2 ** 23));
    const about = { "content-encoding": "gzip", "content-length": String(body.length) };
    response.writeHead(200, { "content-type": "application/json", ...about }).end(body);
  };
const redirect =
  (to: () => string): Answer =>
  (response) =>
    void response.writeHead(307, { location: to() }).end();
const mostSent = 16 * 2 ** 20;

async function begin() {
  const answer = await gateway.call("GET", "/session/oidc");
  const location = answer.headers.get("location");
  const query = new URL(location ?? issuer).searchParams;
  nonce = query.get("nonce") ?? undefined;
  const cookie = answer.headers.getSetCookie()[0]?.split(";")[0] ?? "";
  return { answer, state: query.get("state"), cookie };
}
async function signIn() {
  const { state, cookie } = await begin();
  return gateway.call("GET", `/session/oidc/callback?code=any&state=${state}`, { headers: { cookie } });
}

describe("a provider that describes itself", () => {
  test.each<[string, Path, Answer]>([
    ["without an end", "/.well-known/openid-configuration", endless],
    ["byte by byte", "/.well-known/openid-configuration", dripping],
    ["in 8 KB that unpack to 8 MB", "/.well-known/openid-configuration", packed(async () => metadata())],
    [
      "by an address that is itself",
      "/.well-known/openid-configuration",
      redirect(() => `${issuer}/.well-known/openid-configuration`),
    ],
    ["by an address elsewhere", "/.well-known/openid-configuration", redirect(() => `${issuer}/elsewhere`)],
    [
      "as another issuer",
      "/.well-known/openid-configuration",
      (response) => json(response, { ...metadata(), issuer: "http://other" }),
    ],
    [
      "a hundred thousand levels deep",
      "/.well-known/openid-configuration",
      (response) => void response.end("[".repeat(100_000)),
    ],
    [
      "with keys in a file",
      "/.well-known/openid-configuration",
      (response) => json(response, { ...metadata(), jwks_uri: "file:///etc/passwd" }),
    ],
    ["with keys without an end", "/jwks", endless],
    ["with keys byte by byte", "/jwks", dripping],
    ["with keys in 8 KB that unpack to 8 MB", "/jwks", packed(async () => ({ keys: [await ownKey()] }))],
    ["with keys elsewhere", "/jwks", redirect(() => `${issuer}/elsewhere`)],
    ["with a thousand keys", "/jwks", async (response) => json(response, { keys: Array(1000).fill(await ownKey()) })],
  ])("%s is not there, and costs a bounded amount", async (_what, path, lie) => {
    lies[path] = lie;
    const { answer } = await begin();
    expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "30"]);
    expect(sent).toBeLessThan(mostSent);
    expect(asked).not.toContain("/elsewhere");
    const before = asked.length;
    await Promise.all(Array.from({ length: 10 }, begin));
    expect(asked).toHaveLength(before);
  });
});

describe("a provider that answers a sign-in", () => {
  test("honestly is believed", async () => {
    expect((await signIn()).status).toBe(302);
  });

  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString("base64url");
  const mac = (key: string) => {
    const input = `${encode({ alg: "HS256", kid: "own" })}.${encode(claims())}`;
    return `${input}.${createHmac("sha256", key).update(input).digest("base64url")}`;
  };
  test.each<[string, () => string | Promise<string>]>([
    ["another nonce", () => sign({ nonce: "other" })],
    ["no nonce", () => sign({ nonce: undefined })],
    ["another audience", () => sign({ aud: "other" })],
    ["another party", () => sign({ azp: "other" })],
    ["several audiences and no party", () => sign({ aud: ["berth", "other"] })],
    ["another issuer", () => sign({ iss: "http://other" })],
    ["an end a minute ago", () => sign({ exp: seconds() - 60 })],
    ["no subject", () => sign({ sub: undefined })],
    ["another subject than its user information", () => sign({ sub: "boss" })],
    ["no signature", () => `${encode({ alg: "none" })}.${encode(claims())}.`],
    ["the client's secret as key", () => mac(secret)],
    ["its public key as a secret", async () => mac(await exportSPKI(keys.publicKey))],
    ["a key that it does not list", async () => sign({}, {}, (await generateKeyPair("RS256")).privateKey)],
    [
      "a key that the token brings",
      async () => {
        const other = await generateKeyPair("RS256", { extractable: true });
        return sign({}, { jwk: await exportJWK(other.publicKey) }, other.privateKey);
      },
    ],
    ["an address of keys", () => sign({}, { jku: `${issuer}/elsewhere` })],
  ])("with a token with %s is refused", async (_what, make) => {
    lies["/token"] = async (response) => void json(response, tokens(await make()));
    const back = await signIn();
    expect([back.status, back.headers.getSetCookie().filter((line) => line.includes("berth_session="))]).toEqual([
      401,
      [],
    ]);
    expect(asked).not.toContain("/elsewhere");
  });

  test.each<[string, Path, Answer]>([
    ["a token without an end", "/token", endless],
    ["a token in 8 KB that unpacks to 8 MB", "/token", packed(async () => tokens(await sign()))],
    ["another place to ask for it, code and secret in hand", "/token", redirect(() => `${issuer}/elsewhere`)],
    ["no token", "/token", (response) => json(response, { access_token: "access", token_type: "Bearer" })],
    ["user information without an end", "/userinfo", endless],
    ["another place for user information", "/userinfo", redirect(() => `${issuer}/elsewhere`)],
    ["user information of somebody else", "/userinfo", (response) => json(response, { sub: "boss" })],
  ])("with %s is refused, and costs a bounded amount", async (_what, path, lie) => {
    lies[path] = lie;
    const back = await signIn();
    expect([back.status, back.headers.getSetCookie().filter((line) => line.includes("berth_session="))]).toEqual([
      401,
      [],
    ]);
    expect(sent).toBeLessThan(mostSent);
    expect(asked).not.toContain("/elsewhere");
  });
});
