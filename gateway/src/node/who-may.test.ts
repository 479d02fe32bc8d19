/** Who may do what: each route of the app, as it is registered, with every credential that somebody may have or make up. */
import { randomText } from "@berth/shared/ids";
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { callerOf, createTestApp, type Answer, type TestApp } from "../../test/app.ts";
import { until } from "../../test/wait.ts";
import { joinTestHost, type TestHost } from "../../test/host.ts";
import { createApp } from "../app.ts";
import { createLimits } from "../http/limits.ts";
import { signHostCall, signToken } from "../keys/jwt.ts";

/** `owner`: who made the thing, and nobody else, an admin included. `other`: a credential of its own kind, or none. */
type Access = "other" | "user" | "owner" | "admin";
interface Row {
  access: Access;
  body?: unknown;
  /** Ids of the path, of the owner's things. */
  id?: keyof Things;
  /** Whether it is written down in the audit. */
  isAudited?: boolean;
}
interface Things {
  agent: string;
  run: string;
  trigger: string;
  delivery: string;
  token: string;
  user: string;
  host: string;
}

const user = (body?: unknown): Row => ({ access: "user", body });
const owner = (id: keyof Things, body?: unknown): Row => ({ access: "owner", id, body });
const admin = (id?: keyof Things, body?: unknown): Row => ({ access: "admin", body, ...(id && { id }) });
const other = (id?: keyof Things): Row => ({ access: "other", ...(id && { id }) });
const audited = (row: Row): Row => ({ ...row, isAudited: true });
const newTrigger = { name: "hook", scheme: "token", template: "hello" };

/** A route that is not here fails the test below: whoever adds one says who may call it. */
const rows: Record<string, Row> = {
  "GET /healthz": other(),
  "GET /readyz": other(),
  "GET /.well-known/jwks.json": other(),
  "GET /openapi.json": other(),
  "GET /docs": other(),
  "GET /": other(),
  "GET /page.css": other(),
  "GET /session": other(),
  "POST /session": other(),
  "DELETE /session": other(),
  "GET /session/oidc": other(),
  "GET /session/oidc/callback": other(),
  "POST /hooks/:id": other("trigger"),
  "POST /internal/hosts/join": other(),
  "POST /internal/hosts/report": other(),
  "GET /v1/connect": user(),
  "POST /v1/tickets": user(),
  "GET /v1/me": user(),
  "PATCH /v1/me": audited(user({ gitName: "Ada" })),
  "DELETE /v1/me/notice": user(),
  "GET /v1/tokens": user(),
  "POST /v1/tokens": audited(user({ name: "ci" })),
  "DELETE /v1/tokens/:id": audited(owner("token")),
  "GET /v1/workspace": user(),
  "POST /v1/workspace/start": user(),
  "POST /v1/workspace/stop": user(),
  "GET /v1/models": user(),
  "GET /v1/agents": user(),
  "POST /v1/agents": audited(user({ name: "further" })),
  "GET /v1/agents/:id": owner("agent"),
  "PATCH /v1/agents/:id": audited(owner("agent", { name: "renamed" })),
  "DELETE /v1/agents/:id": audited(owner("agent")),
  "PUT /v1/agents/:id/env": audited(owner("agent", { A: "1" })),
  "PATCH /v1/agents/:id/env": audited(owner("agent", { A: null })),
  "POST /v1/agents/:id/reset": audited(owner("agent")),
  "POST /v1/agents/:id/ahead": owner("agent"),
  "POST /v1/agents/:id/pull-requests": audited(owner("agent", { title: "Mend it", base: "main" })),
  "POST /v1/agents/:id/runs": owner("agent", { prompt: "x" }),
  "GET /v1/agents/:id/terminal": owner("agent"),
  "GET /v1/agents/:id/changes": owner("agent"),
  "GET /v1/agents/:id/files/*": owner("agent"),
  "PUT /v1/agents/:id/files/*": owner("agent", { agent: { id: "x" }, env: {} }),
  "DELETE /v1/agents/:id/files/*": owner("agent"),
  "GET /v1/runs": user(),
  "GET /v1/search": user(),
  "GET /v1/use": user(),
  "GET /v1/runs/:id": owner("run"),
  "PATCH /v1/runs/:id": owner("run", { prompt: "y" }),
  "POST /v1/runs/:id/cancel": owner("run"),
  "POST /v1/runs/:id/interrupt": owner("run"),
  "POST /v1/runs/:id/messages": owner("run", { text: "x" }),
  "POST /v1/runs/:id/answers": owner("run", { requestId: "x", behavior: "allow" }),
  "GET /v1/runs/:id/context": owner("run"),
  "GET /v1/runs/:id/events": owner("run"),
  "GET /v1/runs/:id/stderr": owner("run"),
  "GET /v1/agents/:id/triggers": owner("agent"),
  "POST /v1/agents/:id/triggers": audited(owner("agent", newTrigger)),
  "GET /v1/triggers/:id": owner("trigger"),
  "PATCH /v1/triggers/:id": audited(owner("trigger", { name: "renamed" })),
  "DELETE /v1/triggers/:id": audited(owner("trigger")),
  "POST /v1/triggers/:id/rotate": audited(owner("trigger", {})),
  "GET /v1/triggers/:id/deliveries": owner("trigger"),
  "POST /v1/deliveries/:id/replay": audited(owner("delivery")),
  "GET /v1/git-credentials": user(),
  "PUT /v1/git-credentials/:host": audited(user({ username: "ada", token: "tok_12345678" })),
  "DELETE /v1/git-credentials/:host": audited(user()),
  "GET /v1/secrets": user(),
  "PUT /v1/secrets/:name": audited(user({ value: "val_12345678", hosts: ["api.example.com"] })),
  "DELETE /v1/secrets/:name": audited(user()),
  "GET /v1/admin/users": admin(),
  "POST /v1/admin/users": admin(undefined, { name: "newcomer", role: "user" }),
  "PATCH /v1/admin/users/:id": admin("user", { disabled: false }),
  "DELETE /v1/admin/users/:id": admin("user"),
  "POST /v1/admin/users/:id/tokens": admin("user", { name: "made" }),
  "POST /v1/admin/users/:id/links": admin("user"),
  "DELETE /v1/admin/users/:id/sessions": admin("user"),
  "GET /v1/admin/use": admin(),
  "GET /v1/admin/audit": admin(),
  "GET /v1/admin/health": admin(),
  "GET /v1/admin/hosts": admin(),
  "POST /v1/admin/hosts/join-tokens": admin(),
  "POST /v1/admin/hosts/:id/drain": admin("host"),
  "POST /v1/admin/hosts/:id/resume": admin("host"),
  "DELETE /v1/admin/hosts/:id": admin("host"),
};

let gateway: TestApp;
let host: TestHost;
/** Credentials that open nothing, each with the header that it comes in. */
let useless: Record<string, Record<string, string>>;
let boss: Awaited<ReturnType<TestApp["addUser"]>>;
let stranger: typeof boss;
/** Of somebody whom all of that leaves as they are. */
let kept: Things;
beforeAll(async () => {
  // With a provider, for some routes are there with one alone; nobody answers there.
  gateway = await createTestApp({ BERTH_OIDC_ISSUER: "http://127.0.0.1:9", BERTH_OIDC_CLIENT_ID: "berth" });
  host = await joinTestHost(gateway);
  boss = await gateway.addUser("boss", "admin");
  stranger = await gateway.addUser("stranger");
  useless = await makeUseless();
  kept = (await makeOwner()).things;
});
afterAll(async () => {
  await host.close();
  await gateway.close();
});

async function makeUseless(): Promise<typeof useless> {
  const { keyring, settings, now } = gateway.deps;
  const seconds = Math.floor(now() / 1000);
  const [disabled, revoked] = [await gateway.addUser("disabled"), await gateway.addUser("revoked")];
  const { ticket } = (await gateway.call("POST", "/v1/tickets", { token: stranger.token })).json();
  await gateway.call("PATCH", `/v1/admin/users/${disabled.id}`, { token: boss.token, body: { disabled: true } });
  await gateway.call("DELETE", `/v1/tokens/${revoked.tokenId}`, { token: revoked.token });
  const claims = { userId: boss.id, tokenId: boss.tokenId, expiresAt: seconds - 1 };
  const toHost = { sub: boss.id, tid: boss.tokenId, texp: seconds + 600, call: "GET /v1/workspace", body: null };
  const join = (await gateway.call("POST", "/v1/admin/hosts/join-tokens", { token: boss.token })).json().token;
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
  const origin = settings.BERTH_PUBLIC_URL;
  return {
    nothing: {},
    "made-up words": bearer("x.y.z"),
    "a token that has expired": bearer(await signToken(keyring, origin, claims, (seconds - 600) * 1000)),
    "a revoked token": bearer(revoked.token),
    "a disabled user's token": bearer(disabled.token),
    "a ticket as token": bearer(ticket),
    "a ticket as cookie": { cookie: `berth_session=${ticket}`, origin },
    "a gateway's call to a host": bearer(await signHostCall(keyring, host.id, toHost, now())),
    "a host's report": bearer(await host.sign()),
    "a used join token": bearer(host.joinToken),
    "a fresh join token": bearer(join),
    "a run's token": bearer(`run_${randomText(40)}`),
    "a user's session from another site": { cookie: `berth_session=${boss.token}`, origin: "https://evil.example" },
  };
}

/** A user with one thing of each kind. */
async function makeOwner(): Promise<{ token: string; things: Things }> {
  // One that is silent for 30 s takes nobody.
  await host.report();
  const calls = host.requests.length;
  const { id, token, tokenId } = await gateway.addUser(randomText(8));
  const make = async (path: string, body: unknown) => (await gateway.call("POST", path, { token, body })).json();
  const agent = await make("/v1/agents", { name: "secret" });
  const run = await make(`/v1/agents/${agent.id}/runs`, { prompt: "x" });
  const trigger = await make(`/v1/agents/${agent.id}/triggers`, newTrigger);
  const headers = { authorization: `Bearer ${trigger.secret}` };
  await gateway.call("POST", `/hooks/${trigger.id}`, { headers, body: "x" });
  await until(async () => host.requests.length === calls + 2, "the host has been asked for both runs");
  const deliveries = (await gateway.call("GET", `/v1/triggers/${trigger.id}/deliveries`, { token })).json().items;
  const [things, delivery] = [{ agent: agent.id, run: run.id, trigger: trigger.id }, deliveries[0].id];
  return { token, things: { ...things, delivery, token: tokenId, user: id, host: host.id } };
}

/** Calls the route of this name for the thing of this id; a socket as a socket. */
function call(
  name: string,
  id: string,
  headers: Record<string, string>,
  send: TestApp["call"] = gateway.call,
): Promise<Answer> {
  const [method = "", path = ""] = name.split(" ");
  const { body } = rows[name]!;
  const isSocket = /\/(connect|terminal)$/.test(path);
  const socket = isSocket && { upgrade: "websocket", "sec-websocket-protocol": "berth.v1" };
  const options = { headers: { ...headers, ...socket }, ...(body !== undefined && { body }) };
  return send(
    method,
    path.replace(":id", id).replace(":host", "git.example.com").replace(":name", "tracker").replace("*", "notes.txt"),
    options,
  );
}
const withToken = (token: string) => ({ authorization: `Bearer ${token}` });
const withoutRequestId = (text: string) => text.replace(/"requestId":"[^"]+"/, "");

test("each route says here who may call it, and nothing is said of routes that are not", () => {
  const registered = createApp(gateway.deps).routes.filter(({ method }) => method !== "ALL");
  expect(registered.map(({ method, path }) => `${method} ${path}`).toSorted()).toEqual(Object.keys(rows).toSorted());
});

const rowsOf = (...kinds: Access[]) => Object.entries(rows).filter(([, { access }]) => kinds.includes(access));

/** A cookie is the browser's own on every page: from what only reads, other sites are kept by the browser (SameSite, no CORS). */
const isLeftToBrowser = (name: string, what: string) =>
  what.endsWith("another site") && name.startsWith("GET") && !/\/(connect|terminal)$/.test(name);

/** Status by credential. */
async function answersToUseless(name: string): Promise<[string, number][]> {
  const { id } = rows[name]!;
  const answers: [string, number][] = [];
  for (const [what, headers] of Object.entries(useless))
    if (!isLeftToBrowser(name, what)) answers.push([what, (await call(name, id ? kept[id] : "", headers)).status]);
  return answers;
}

test.each(rowsOf("user", "owner", "admin"))("%s is shut to credentials that open nothing", async (name) => {
  const answers = await answersToUseless(name);
  expect(answers).toEqual(answers.map(([what]) => [what, what.endsWith("another site") ? 403 : 401]));
});

test.each(rowsOf("other"))("%s answers other credentials than its own as it does none", async (name, { id }) => {
  const nothing = await call(name, id ? kept[id] : "", {});
  // What a host signs is for reports alone; and a page elsewhere is refused before anything else is looked at.
  const own = (what: string) => what === "a host's report" && name.endsWith("/report");
  const answers = (await answersToUseless(name)).filter(([what, status]) => !own(what) && status !== 403);
  expect(answers.length).toBeGreaterThan(10);
  expect(answers).toEqual(answers.map(([what]) => [what, nothing.status]));
});

test.each(rowsOf("owner"))("%s is there for its owner alone", async (name, { id }) => {
  const { token, things } = await makeOwner();
  const calls = host.requests.length;
  for (const { token: foreign } of [stranger, boss]) {
    const [there, absent] = [
      await call(name, things[id!], withToken(foreign)),
      await call(name, "xyz_absent", withToken(foreign)),
    ];
    expect([there.status, withoutRequestId(there.text)]).toEqual([404, withoutRequestId(absent.text)]);
  }
  expect(host.requests).toHaveLength(calls);
  expect(await isLetIn(name, things[id!], token)).toBe(true);
});

test.each(rowsOf("user"))("%s lets every user in", async (name) => {
  expect([await isLetIn(name, "", stranger.token), await isLetIn(name, "", boss.token)]).toEqual([true, true]);
});

test("what a user has written down in the audit is bounded, and nothing else of theirs is in it", async () => {
  const { token, things } = await makeOwner();
  const spent = callerOf(createApp(gateway.deps, createLimits({ changes: 0 })).request);
  const entries = () => gateway.deps.db.all(sql`select action from audit where actor_id = ${things.user}`);
  const before = await entries();
  const isRefused = async ([name, { id }]: [string, Row]) => {
    const { status, headers } = await call(name, id ? things[id] : "", withToken(token), spent);
    return [name, status === 429 && headers.get("retry-after") !== null];
  };
  // What is deleted was made within the bound; and who has lost a token, or a secret, must be able to.
  const all = rowsOf("user", "owner").filter(([name]) => !name.startsWith("DELETE "));
  const refused = Object.fromEntries(await Promise.all(all.map(isRefused)));
  expect(refused).toEqual(Object.fromEntries(all.map(([name, { isAudited = false }]) => [name, isAudited])));
  expect(await entries()).toEqual(before);
});

test.each(rowsOf("admin"))("%s lets admins in alone", async (name, { id }) => {
  expect((await call(name, id ? kept[id] : "", withToken(stranger.token))).status).toBe(403);
  // The host stays: the rows after this one need it.
  const of = name.startsWith("DELETE") ? "hst_absent" : id ? kept[id] : "";
  expect([401, 403]).not.toContain((await call(name, of, withToken(boss.token))).status);
});

/** Not refused; or by the host itself, which knows little. */
async function isLetIn(name: string, id: string, token: string): Promise<boolean> {
  const calls = host.requests.length;
  const { status } = await call(name, id, withToken(token));
  return ![401, 403].includes(status) && (status !== 404 || host.requests.length > calls);
}
