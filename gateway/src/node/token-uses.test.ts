import { expect, test } from "vitest";
import { createTestApp } from "../../test/app.ts";

test("the uses of many tokens are stored together, by the next tick", async () => {
  const gateway = await createTestApp();
  const users = await Promise.all([1, 2, 3].map((at) => gateway.addUser(`user ${at}`)));
  const asked = () => Promise.all(users.map(({ token }) => gateway.call("GET", "/v1/tokens", { token })));
  const lastUses = async () => (await asked()).map((answer) => answer.json().items[0].lastUsedAt);
  const before = gateway.statements();
  expect(await lastUses()).toEqual([null, null, null]);
  // Two ask whether anything has changed, two read: who calls, and the list.
  expect(gateway.statements() - before).toBe(4 * users.length);
  await gateway.tick();
  expect(await lastUses()).not.toContain(null);
  await gateway.close();
});
