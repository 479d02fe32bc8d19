import { expect, inject, onTestFinished, test } from "vitest";
import { createTestApp } from "../../test/app.ts";
import { joinTestHost } from "../../test/host.ts";

const workerd = inject("workerdUrl");

/** The first call of a Worker with these bindings. */
async function callWith(bindings: Record<string, string>) {
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
  expect(await report("nobody")).toEqual([401, 0]);
  expect(await report("nobody", "GET")).toEqual([404, 0]);
});
