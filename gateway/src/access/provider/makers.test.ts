/** Answers shaped as those of the providers that docs/oidc.md names, by their makers' documents: each signs people in, and each is read with its own care. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { createTestApp, type TestApp } from "../../../test/app.ts";

interface Maker {
  /** What the issuer has after its host. */
  path: string;
  secret: string;
  metadata?: object;
  header?: object;
  /** Of the ID token, beside those that each has. */
  claims: object;
  userInfo: object;
  tokens?: object;
  /** What its keys have beside the key. */
  key?: object;
}

let server: Server;
let origin: string;
let keys: Awaited<ReturnType<typeof generateKeyPair>>;
let maker: Maker;
let nonce: string | null;
let authorization: string | undefined;
let gateway: TestApp;
beforeAll(async () => {
  keys = await generateKeyPair("RS256", { extractable: true });
  server = createServer((request, response) => {
    const answer = async () => {
      const path = request.url!.slice(maker.path.length);
      if (path === "/token") authorization = request.headers.authorization;
      return { ...(await answers[path]!()) };
    };
    void answer().then((body) =>
      response.writeHead(200, { "content-type": "application/json; charset=utf-8" }).end(JSON.stringify(body)),
    );
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => void server.close());
afterEach(() => gateway.close());

const issuer = () => origin + maker.path;
const seconds = () => Math.floor(Date.now() / 1000);
const answers: Record<string, () => Promise<object> | object> = {
  "/.well-known/openid-configuration": () => ({
    issuer: issuer(),
    authorization_endpoint: `${issuer()}/auth`,
    token_endpoint: `${issuer()}/token`,
    jwks_uri: `${issuer()}/keys`,
    userinfo_endpoint: `${issuer()}/userinfo`,
    response_types_supported: ["code", "id_token", "code id_token"],
    subject_types_supported: ["public", "pairwise"],
    id_token_signing_alg_values_supported: ["RS256"],
    token_endpoint_auth_methods_supported: ["client_secret_post", "client_secret_basic"],
    ...maker.metadata,
  }),
  "/keys": async () => ({
    keys: [
      { kty: "RSA", use: "enc", alg: "RSA-OAEP", kid: "enc", n: "AQAB", e: "AQAB" },
      { ...(await exportJWK(keys.publicKey)), kid: "sig", use: "sig", x5t: "sig", x5c: ["MII"], ...maker.key },
    ],
  }),
  "/token": async () => ({
    access_token: "opaque",
    token_type: "Bearer",
    expires_in: 3599,
    scope: "openid profile email",
    id_token: await new SignJWT({
      iss: issuer(),
      aud: "berth",
      iat: seconds(),
      nbf: seconds(),
      exp: seconds() + 3600,
      nonce,
      ...maker.claims,
    })
      .setProtectedHeader({ alg: "RS256", kid: "sig", ...maker.header })
      .sign(keys.privateKey),
    ...maker.tokens,
  }),
  "/userinfo": () => maker.userInfo,
};

async function begin(settings: Record<string, string> = {}) {
  gateway = await createTestApp({
    BERTH_OIDC_ISSUER: issuer(),
    BERTH_OIDC_CLIENT_ID: "berth",
    BERTH_OIDC_CLIENT_SECRET: maker.secret,
    BERTH_OIDC_ADMINS: "ada@example.com",
    ...settings,
  });
  return gateway.call("GET", "/session/oidc");
}

/** Signs ada in. */
async function signIn() {
  const begun = await begin();
  const query = new URL(begun.headers.get("location")!).searchParams;
  nonce = query.get("nonce");
  const cookie = begun.headers.getSetCookie()[0]!.split(";")[0]!;
  const search = new URLSearchParams({ code: "any", state: query.get("state")!, iss: issuer() });
  const back = await gateway.call("GET", `/session/oidc/callback?${search}`, { headers: { cookie } });
  const session = back.headers.getSetCookie().find((line) => line.startsWith("berth_session="));
  if (!session) return { status: back.status };
  const { user } = (await gateway.call("GET", "/v1/me", { headers: { cookie: session.split(";")[0]! } })).json();
  return { status: back.status, name: user.name as string, role: user.role as string };
}

const google: Maker = {
  path: "",
  secret: "GOCSPX-a_b-C1d2E3",
  metadata: { authorization_response_iss_parameter_supported: true, claims_supported: ["aud", "email", "iss", "sub"] },
  claims: {
    azp: "berth",
    sub: "110169484474386276334",
    hd: "example.com",
    email: "ada@example.com",
    email_verified: true,
    at_hash: "HK6E_P6Dh8Y93mRNtsDB1Q",
    name: "Ada L.",
  },
  userInfo: {
    sub: "110169484474386276334",
    name: "Ada L.",
    email: "ada@example.com",
    email_verified: true,
    hd: "example.com",
  },
};
const dex: Maker = {
  path: "",
  secret: "a secret of one's own: 100 % ü",
  claims: {
    sub: "Cg0wLTM4NS0yODA4OS0wEgRtb2Nr",
    email: "ada@example.com",
    email_verified: true,
    name: "Ada L.",
    preferred_username: "ada",
    groups: ["acme:developers"],
  },
  userInfo: {
    iss: "",
    aud: "berth",
    sub: "Cg0wLTM4NS0yODA4OS0wEgRtb2Nr",
    email: "ada@example.com",
    email_verified: true,
  },
  tokens: { token_type: "bearer", scope: undefined },
};
const keycloak: Maker = {
  path: "/realms/team",
  secret: "Xk2fQ9sV",
  header: { typ: "JWT" },
  claims: {
    azp: "berth",
    typ: "ID",
    sid: "s",
    acr: "1",
    auth_time: 1,
    sub: "f:1:ada",
    at_hash: "x",
    preferred_username: "ada",
    email: "ada@example.com",
    email_verified: false,
    given_name: "Ada",
  },
  userInfo: { sub: "f:1:ada", preferred_username: "ada", email: "ada@example.com", email_verified: false },
};
const entra: Maker = {
  path: "/9122040d-6c67-4c5b-b112-36a304b66dad/v2.0",
  secret: "abC8Q~x.y_z-1~",
  metadata: {
    claims_supported: ["sub", "iss", "cloud_instance_name"],
    tenant_region_scope: "EU",
    subject_types_supported: ["pairwise"],
  },
  header: { typ: "JWT", x5t: "sig" },
  key: { issuer: "https://login.example.com/9122040d/v2.0", cloud_instance_name: "example.com" },
  claims: {
    ver: "2.0",
    tid: "9122040d",
    oid: "00000000-0000",
    rh: "0.A",
    uti: "u",
    aio: "a",
    sub: "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
    preferred_username: "ada@example.com",
    email: "ada@example.com",
    name: "Ada L.",
    _claim_names: {
      groups: "src1",
      _claim_sources: { src1: { endpoint: "https://graph.example.com/getMemberObjects" } },
    },
  },
  userInfo: {
    sub: "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
    name: "Ada L.",
    family_name: "L.",
    given_name: "Ada",
    email: "ada@example.com",
    picture: "https://graph.example.com/photo",
  },
  tokens: { ext_expires_in: 3599, scope: "email openid profile 00000003-0000-0000-c000-000000000000/User.Read" },
};
const withWordsForBooleans: Maker = {
  ...keycloak,
  claims: { ...keycloak.claims, email_verified: "true" },
  userInfo: { ...keycloak.userInfo, email_verified: "true" },
};

describe("signs in", () => {
  test.each<[string, Maker, { name: string; role: string }]>([
    [
      "Google, which has no user names: by the address, and as admin",
      google,
      { name: "ada@example.com", role: "admin" },
    ],
    ["Dex, whose subjects are long: as admin", dex, { name: "ada", role: "admin" }],
    ["Keycloak, with an address that it has not verified: as no admin", keycloak, { name: "ada", role: "user" }],
    ['a provider that says "true" for true: as admin', withWordsForBooleans, { name: "ada", role: "admin" }],
    [
      "Entra, which verifies no address, has a tenant in its issuer and too many groups: as no admin",
      entra,
      { name: "ada@example.com", role: "user" },
    ],
  ])("%s", async (_, which, who) => {
    maker = which;
    expect(await signIn()).toEqual({ status: 302, ...who });
  });
});

test.each([google, entra, keycloak])(
  "a secret as %j goes as it is, whether or not the provider undoes escapes",
  async (which) => {
    maker = which;
    await signIn();
    expect(atob(authorization!.replace("Basic ", ""))).toBe(`berth:${which.secret}`);
  },
);

test("what must be escaped in a secret is", async () => {
  maker = dex;
  await signIn();
  expect(atob(authorization!.replace("Basic ", ""))).toBe("berth:a+secret+of+one's+own%3A+100+%25+%C3%BC");
});

test("an issuer of all tenants at once, and one that is a stroke off, are refused with a sentence that says so", async () => {
  maker = { ...entra, path: "/common/v2.0", metadata: { issuer: `${origin}/{tenantid}/v2.0` } };
  const common = await begin();
  expect([common.status, common.text]).toEqual([503, expect.stringContaining("calls itself otherwise")]);
  await gateway.close();
  maker = keycloak;
  const slash = await begin({ BERTH_OIDC_ISSUER: `${issuer()}/` });
  expect([slash.status, slash.text]).toEqual([503, expect.stringContaining("calls itself otherwise")]);
});
