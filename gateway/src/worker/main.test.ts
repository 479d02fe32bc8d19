import { expect, inject, onTestFinished, test } from "vitest";
import { createSigningJwk } from "../keys/keyring.ts";
import { createTestApp } from "../../test/app.ts";
import { joinTestHost } from "../../test/host.ts";

const workerd = inject("workerdUrl");

/** The first call of a Worker with these bindings. */
async function callWith(bindings: Record<string, unknown>) {
  const opened = await fetch(`${workerd}/~open`, { method: "POST", body: JSON.stringify(bindings) });
  const url = `${workerd}/~${(await opened.json()) as string}`;
  const answer = await fetch(`${url}/healthz`);
  const text = await answer.text();
  // It has not come as far as its database.
  await fetch(`${url}/~close`, { method: "POST", body: opened.headers.get("berth-test-empty") });
  return { status: answer.status, type: answer.headers.get("content-type"), text };
}

test.each([
  ["an unknown setting", { BERTH_PUBLIC_URL: "https://berth.example", BERTH_COLOUR: "red" }],
  ["a bad value", { BERTH_PUBLIC_URL: "https://berth.example", BERTH_MAX_AGENTS: "many" }],
  ["no public address", { BERTH_MAX_AGENTS: "5" }],
  ["no signing key", { BERTH_PUBLIC_URL: "https://berth.example" }],
  ["a signing key of another kind", { BERTH_PUBLIC_URL: "https://berth.example", BERTH_SIGNING_KEY: '{"kty":"EC"}' }],
])("a Worker with %s answers every call with a problem that tells no setting", async (_what, bindings) => {
  const { status, type, text } = await callWith(bindings);
  expect([status, type]).toEqual([500, "application/problem+json"]);
  expect(JSON.parse(text)).toMatchObject({ code: "internal", status: 500 });
  expect(text).not.toMatch(/BERTH_|red|many|kty/);
});

test("a setting may stand in [vars] as a number, and as nothing that is no text", async () => {
  const good = {
    BERTH_PUBLIC_URL: "https://berth.example",
    BERTH_SIGNING_KEY: JSON.stringify(await createSigningJwk()),
  };
  const statusOf = async (more: Record<string, unknown>) => (await callWith({ ...good, ...more })).status;
  expect([
    await statusOf({ BERTH_MAX_AGENTS: 5, BERTH_ALLOW_HTTP_HOSTS: 1 }),
    await statusOf({ BERTH_MAX_AGENTS: 5000 }),
    await statusOf({ BERTH_COLOUR: 1 }),
    await statusOf({ BERTH_OIDC_ADMINS: ["ada@example.com"] }),
  ]).toEqual([200, 500, 500, 500]);
});

test("a call goes on to its end though its caller has left: the runtime is asked to keep it before there is an answer", async () => {
  const gateway = await createTestApp();
  onTestFinished(() => gateway.close());
  const { url } = await gateway.listen();
  const answer = await fetch(`${url}/~whole/healthz`);
  await answer.text();
  expect([answer.status, answer.headers.get("berth-test-kept")]).toEqual([200, "true"]);
});

test("a host's report has the due work done, and nobody else's", async () => {
  const gateway = await createTestApp();
  const host = await joinTestHost(gateway);
  onTestFinished(async () => {
    await host.close();
    await gateway.close();
  });
  const { url } = await gateway.listen();
  const report = async (token: string, method = "POST") => {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const body = method === "POST" ? { body: JSON.stringify(host.makeReport()) } : {};
    const answer = await fetch(`${url}/~whole/internal/hosts/report`, { method, headers, ...body });
    await answer.text();
    return [answer.status, Number(answer.headers.get("berth-test-statements"))];
  };
  const [status, statements] = await report(await host.sign());
  expect(status).toBe(200);
  // As it does alone.
  await gateway.tick();
  expect(statements).toBeGreaterThan(gateway.statements());
  // Another within a second has not, however many hosts report.
  await expect.poll(async () => (await report(await host.sign()))[1]).toBeLessThan(statements!);
  expect(await report("nobody")).toEqual([401, 0]);
  expect(await report("nobody", "GET")).toEqual([404, 0]);
});
