/** What who has a host's key, its machine or the wire to it can do to users of other hosts, and what they get to see. */
import { protocolVersion } from "@berth/shared/host-api";
import { sha256Hex } from "@berth/shared/ids";
import { describeWorkspace } from "@berth/shared/resources";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createTestApp, type TestApp } from "../../test/app.ts";
import { claimsOf, joinTestHost, makeRun, type TestHost } from "../../test/host.ts";

let gateway: TestApp;
/** The host of the victim, and the one that was stolen, with a user of its own. */
let host: TestHost;
let thief: TestHost;
let victim: Awaited<ReturnType<typeof placeOn>>;
let own: typeof victim;
beforeEach(async () => {
  gateway = await createTestApp();
  host = await joinTestHost(gateway);
  victim = await placeOn(host, "victim");
  thief = await joinTestHost(gateway);
  own = await placeOn(thief, "own");
});
afterEach(async () => {
  await Promise.all([host.close(), thief.close()]);
  await gateway.close();
});

/** A user of this host, with an agent that has a variable, and a run. */
async function placeOn(on: TestHost, name: string) {
  const user = await gateway.addUser(name);
  await on.report({ workspaces: [workspace(on, user.id, 1)] });
  const call = async (method: string, path: string, body?: unknown) =>
    (await gateway.call(method, path, { token: user.token, body })).json();
  const agent = await call("POST", "/v1/agents", { name });
  await call("PUT", `/v1/agents/${agent.id}/env`, { SECRET: "of the user" });
  const run = await call("POST", `/v1/agents/${agent.id}/runs`, { prompt: "a private word" });
  return { ...user, agentId: agent.id as string, runId: run.id as string };
}
const workspace = (on: TestHost, userId: string, connections: number) => ({
  ...describeWorkspace(gateway.deps.settings, on.id),
  userId,
  connections,
});
/** All that the user sees. */
async function seen({ token, agentId, runId }: typeof victim): Promise<string[]> {
  const paths = ["/v1/me", "/v1/runs", "/v1/agents", `/v1/agents/${agentId}`, `/v1/runs/${runId}`];
  return Promise.all(paths.map(async (path) => (await gateway.call("GET", path, { token })).text));
}

describe("a stolen host's key", () => {
  test("reports for no other host", async () => {
    const before = await seen(victim);
    const names = [{ iss: host.id, sub: host.id }, { iss: host.id }, { sub: host.id }];
    for (const claims of names) {
      const token = await thief.sign(claims);
      expect((await gateway.call("POST", "/internal/hosts/report", { token, body: host.makeReport() })).status).toBe(
        401,
      );
    }
    expect(await seen(victim)).toEqual(before);
  });

  const forged = (changes: object) =>
    makeRun({ id: victim.runId, userId: victim.id, agentId: victim.agentId, rev: 1000, result: "forged", ...changes });
  test.each([
    ["a run of theirs", () => ({ runs: [forged({})] })],
    ["a run of theirs as a user's of its own", () => ({ runs: [forged({ userId: own.id, agentId: own.agentId })] })],
    ["the end of a run of theirs", () => ({ runs: [forged({ status: "failed", reason: "error" })] })],
    ["a new run of theirs", () => ({ runs: [forged({ id: "run_new" })] })],
    ["their workspace", () => ({ workspaces: [workspace(thief, victim.id, 99)] })],
    ["their agent's variables", () => ({ agents: [told(victim.id)] })],
    ["their agent as a user's of its own", () => ({ agents: [told(own.id)] })],
    ["their agent as deleted", () => ({ agents: [{ ...told(victim.id), deleted: true }] })],
    ["a database that knows nothing", () => ({ epoch: "epoch9", complete: true })],
  ])("tells of users elsewhere in vain: %s", async (_what, report) => {
    const before = await seen(victim);
    const answer = await thief.report({ rev: 1000, ...(report() as object) });
    expect(answer.status).toBe(200);
    expect(await seen(victim)).toEqual(before);
    const victims = [victim.id, victim.tokenId, victim.agentId, victim.runId, host.id];
    expect(victims.filter((id) => answer.text.includes(id))).toEqual([]);
  });
  const told = (userId: string) => ({ id: victim.agentId, userId, envKeys: ["FORGED"], rev: 1000 });

  test("gets no second place by its join token, which is spent", async () => {
    const { publicKey } = thief.join;
    const again = { ...host.join, publicKey, token: host.joinToken };
    expect((await gateway.call("POST", "/internal/hosts/join", { body: again })).status).toBe(401);
  });

  test("leads the gateway to no other path than the host API's", async () => {
    const elsewhere = `${host.url}/internal?secret=`;
    await thief.report({ url: elsewhere, workspaces: [workspace(thief, own.id, 1)] });
    await gateway.call("GET", `/v1/agents/${own.agentId}/files/a`, { token: own.token });
    expect(host.requests.at(-1)!.path).toBe(`/v1/agents/${own.agentId}/files?path=a`);
  });
});

describe("a call to a host", () => {
  test("speaks for that host, that path, that body, and 30 s; of the user's own credentials it has none", async () => {
    const { token, agentId, runId } = own;
    thief.requests.length = 0;
    const cookie = { cookie: `berth_session=${token}`, origin: gateway.deps.settings.BERTH_PUBLIC_URL };
    for (const [method, path, body] of [
      ["POST", `/v1/agents/${agentId}/runs`, { prompt: "größe" }],
      ["PUT", `/v1/agents/${agentId}/env`, { A: "1" }],
      ["POST", `/v1/runs/${runId}/cancel`, undefined],
      ["GET", `/v1/agents/${agentId}/files/a%20b?download=zip`, undefined],
      ["DELETE", `/v1/agents/${agentId}`, undefined],
    ] as const)
      await gateway.call(method, path, { headers: cookie, body });
    expect(thief.requests).toHaveLength(5);
    for (const request of thief.requests) {
      const { aud, call, body, exp, iat } = claimsOf(request);
      expect([aud, call, body]).toEqual([thief.id, `${request.method} ${request.path}`, await sha256Hex(request.body)]);
      expect(Number(exp) - Number(iat)).toBe(30);
      expect(request.headers).toMatchObject({ "berth-protocol": String(protocolVersion) });
      expect(JSON.stringify(request.headers)).not.toContain(token);
      expect(request.headers).not.toHaveProperty("cookie");
    }
  });

  test("that streams says so, and counts once", async () => {
    thief.handle = (_request, response) => void response.writeHead(204).end();
    const headers = { "content-type": "application/octet-stream" };
    await gateway.call("PUT", `/v1/agents/${own.agentId}/files/a`, { token: own.token, headers, body: "bytes" });
    expect(claimsOf(thief.requests.at(-1)!)).toMatchObject({ body: null, jti: expect.any(String) });
  });
});
