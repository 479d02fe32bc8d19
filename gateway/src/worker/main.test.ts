import { expect, inject, test } from "vitest";

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
