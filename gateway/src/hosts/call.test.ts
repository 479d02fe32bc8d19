import { AppError } from "@berth/shared/errors";
import { expect, onTestFinished, test } from "vitest";
import { createTestApp } from "../../test/app.ts";
import { joinTestHost } from "../../test/host.ts";
import { UnsentError } from "../deps.ts";
import { hostUnavailable, isUncertain } from "./call.ts";

test("a host may have what it was asked for where it said nothing definite, or has it with another message", () => {
  expect(isUncertain(hostUnavailable(new Error("read ECONNRESET")))).toBe(true);
  expect(isUncertain(hostUnavailable(new UnsentError("connect ECONNREFUSED")))).toBe(false);
  // Its own word, of a workspace that cannot be had now: what is asked meanwhile with the same id may be admitted.
  expect(isUncertain(new AppError("host_unavailable", "-"))).toBe(true);
  expect(isUncertain(new AppError("internal", "-"))).toBe(true);
  expect(isUncertain(new AppError("conflict", "-", { runId: "run_1" }))).toBe(true);
  for (const code of ["conflict", "agent_busy", "run_limit", "no_host", "not_found"] as const)
    expect([code, isUncertain(new AppError(code, "-"))]).toEqual([code, false]);
});

test("a host that says that its answer is longer than any, and says nothing more, keeps no connection", async () => {
  const gateway = await createTestApp();
  const host = await joinTestHost(gateway);
  onTestFinished(async () => {
    await host.close();
    await gateway.close();
  });
  const { token } = await gateway.addUser("caller");
  const agent = (await gateway.call("POST", "/v1/agents", { token, body: { name: "a" } })).json();
  await gateway.call("PUT", `/v1/agents/${agent.id}/env`, { token, body: {} });
  const left = new Promise((resolve) => {
    host.handle = ({ incoming }, response) => {
      incoming.socket.once("close", resolve);
      response.writeHead(200, { "content-length": String(2 ** 23 + 1) }).flushHeaders();
    };
  });
  expect((await gateway.call("POST", `/v1/agents/${agent.id}/reset`, { token })).status).toBe(503);
  await left;
});
