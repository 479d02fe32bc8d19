import { expect, test } from "vitest";
import { createTestApp } from "../../test/app.ts";
import { joinTestHost } from "../../test/host.ts";
import { placeUser } from "./placement.ts";

test("the demo model is there for whom the own host has it, or any where that is silent; and the gateway is ready while one host is well", async () => {
  const gateway = await createTestApp();
  const plain = await joinTestHost(gateway, { demoModel: false });
  const placed = await gateway.addUser("placed");
  await placeUser(gateway.deps, placed.id);
  const demo = await joinTestHost(gateway);
  const newcomer = await gateway.addUser("newcomer");
  const sees = async ({ token }: { token: string }) =>
    (await gateway.call("GET", "/v1/me", { token })).json().demoModel;
  expect([await sees(placed), await sees(newcomer)]).toEqual([false, true]);

  const ready = async () => (await gateway.call("GET", "/readyz")).json();
  const problem = "There is no workspace image.";
  const ill = (host: typeof plain) => host.report({ load: { ...host.makeReport().load, problem } });
  await ill(plain);
  expect(await ready()).toEqual({ status: "ready", reason: null });
  await ill(demo);
  expect(await ready()).toEqual({ status: "unready", reason: problem });

  gateway.clock.skewMs = 31_000;
  await demo.report();
  expect([await sees(placed), await sees(newcomer)]).toEqual([true, true]);
  await plain.close();
  await demo.close();
  await gateway.close();
});
