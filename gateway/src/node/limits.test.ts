import { sql } from "drizzle-orm";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createTestApp, type TestApp } from "../../test/app.ts";
import { issueToken } from "../access/tokens.ts";
import { createApp } from "../app.ts";
import { systemActor } from "../http/caller.ts";
import { createLimits, failuresPerMinute } from "../http/limits.ts";

const limit = 3;
const few = { sign_in: limit, tokens: limit, tickets: limit, runs: limit, hooks: limit };
let gateway: TestApp;
let app: ReturnType<typeof createApp>;
let user: Awaited<ReturnType<TestApp["addUser"]>>;
beforeEach(async () => {
  gateway = await createTestApp({ BERTH_TRUST_PROXY: "1" });
  app = createApp(gateway.deps, createLimits(few));
  user = await gateway.addUser("flood");
});
afterEach(() => gateway.close());

interface From {
  token?: string;
  address?: string;
}
async function post(path: string, body: object, { token, address = "192.0.2.1" }: From) {
  const headers = new Headers({ "content-type": "application/json", "x-forwarded-for": address });
  if (token !== undefined) headers.set("authorization", `Bearer ${token}`);
  const init = { method: "POST", headers, body: JSON.stringify(body) };
  const answer = await app.request(path, init, { address: "127.0.0.1" });
  const retryAfter = Number(answer.headers.get("retry-after"));
  return { status: answer.status, retryAfter, body: JSON.parse((await answer.text()) || "{}") as { code?: string } };
}
type Post = (from: From) => ReturnType<typeof post>;

/** Calls as often as may be from this one, then once more: no call but the last is refused for its number. */
async function exhaust(call: Post, from: From) {
  for (let at = 0; at < limit; at++) expect((await call(from)).status).not.toBe(429);
  const over = await call(from);
  expect([over.status, over.body.code]).toEqual([429, "rate_limited"]);
  expect(over.retryAfter).toBeGreaterThanOrEqual(1);
  expect(over.retryAfter).toBeLessThanOrEqual(60);
}

/** Through the app itself, with limits that a test can reach; limits.test.ts has the real ones. */
describe("a flood through the front door", () => {
  test.each<[string, Post]>([
    ["new tokens", (from) => post("/v1/tokens", { name: "x" }, from)],
    ["runs", (from) => post("/v1/agents/agt_x/runs", {}, from)],
    ["tickets", (from) => post("/v1/tickets", {}, from)],
  ])("of %s is stopped by its token, and by its network", async (_what, call) => {
    const others = await Promise.all([1, 2, 3, 4].map((at) => gateway.addUser(`flood ${at}`)));
    await Promise.all([user, ...others].map(({ token }) => exhaust(call, { token })));
    const { token } = await gateway.addUser("other");
    expect((await call({ token })).status).toBe(429);
    expect((await call({ token, address: "198.51.100.1" })).status).not.toBe(429);
  });

  test("of a user is answered a second later, on whatever connection: who asks again at once makes no work", async () => {
    const tickets = () => post("/v1/tickets", {}, { token: user.token });
    for (let at = 0; at < limit; at++) await tickets();
    const since = performance.now();
    expect((await Promise.all([tickets(), tickets()])).map(({ status }) => status)).toEqual([429, 429]);
    expect(performance.now() - since).toBeGreaterThan(990);
  });

  test.each<[string, Post]>([
    ["sign-ins", (from) => post("/session", { token: user.token, code: "both" }, from)],
    ["hooks", (from) => post("/hooks/trg_x", {}, from)],
  ])("of %s is stopped by its network, before anything is looked at", async (_what, call) => {
    await exhaust(call, {});
    expect((await call({ address: "198.51.100.1" })).status).not.toBe(429);
  });

  test("of genuine hooks is stopped by their trigger, wherever they come from", async () => {
    const agent = (await gateway.call("POST", "/v1/agents", { token: user.token, body: { name: "a" } })).json();
    const make = async () => {
      const body = { name: "t", scheme: "token", template: "{{#no}}x{{/no}}" };
      return (await gateway.call("POST", `/v1/agents/${agent.id}/triggers`, { token: user.token, body })).json();
    };
    const [flooded, other] = [await make(), await make()];
    let at = 0;
    const deliver = ({ id, secret }: { id: string; secret: string }) =>
      post(`/hooks/${id}`, {}, { token: secret, address: `192.0.2.${++at}` });
    await exhaust(() => deliver(flooded), {});
    expect((await deliver(other)).status).toBe(202);
  });

  test("of changes is stopped by its user, whatever tokens and networks it comes by, and keeps nobody from signing in", async () => {
    app = createApp(gateway.deps, createLimits({ changes: limit }));
    const entry = { actor: systemActor, address: null, action: "token.created" } as const;
    const wanted = { userId: user.id, kind: "api", name: "x", seconds: 600 } as const;
    let at = 0;
    const from = async () => ({
      token: (await issueToken(gateway.deps, entry, wanted)).token,
      address: `2001:db8:0:${++at}::1`,
    });
    const reset = async () => post("/v1/agents/agt_x/reset", {}, await from());
    await exhaust(reset, {});
    const other = await gateway.addUser("other");
    expect((await post("/v1/agents/agt_x/reset", {}, { token: other.token })).status).toBe(404);
    const signIn = async () => {
      const { token, address } = await from();
      return post("/session", { token }, { address });
    };
    await exhaust(signIn, {});
    expect((await post("/session", { token: other.token }, {})).status).toBe(204);
  });
});

test("failed sign-ins from very many networks are refused as ever, and fill no audit", async () => {
  app = createApp(gateway.deps, createLimits());
  const statuses = new Set<number>();
  for (let at = 0; at < 300; at++)
    statuses.add((await post("/session", { code: "wrong" }, { address: `2001:db8:0:${at.toString(16)}::1` })).status);
  expect(statuses).toEqual(new Set([401]));
  const entries = await gateway.deps.db.all(sql`select address from audit where action = 'sign_in.failed'`);
  expect(entries).toHaveLength(failuresPerMinute.sign_in);
});
