import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Run } from "@berth/shared/resources";
import type { Client } from "./harness/client.ts";
import { until } from "../gateway/test/wait.ts";
import { type Berth, startBerth, userIdOf } from "./harness/harness.ts";

let berth: Berth;
let boss: Client;
beforeAll(async () => {
  berth = await startBerth({ BERTH_IDLE_SECONDS: "60" });
  boss = await berth.client("boss", { admin: true });
});
afterAll(() => berth?.close());

const change = (userId: string, body: object) => boss.ok("PATCH", `/v1/admin/users/${userId}`, body);
const runsNow = async (userId: string) => (await berth.processes(userId)).filter(({ gid }) => gid === 19001);

/** A user with a run in progress, somebody who reads its events, and an open socket. */
async function busyUser(name: string) {
  const user = await berth.client(name);
  const userId = await userIdOf(user);
  const agent = await user.createAgent("busy", { runtime: "shell" });
  const run = await user.send(agent.id, "echo begun; sleep 600");
  const socket = await user.connect();
  const events = user.events(run.id);
  await until(async () => (await events.next()).value?.event === "output", "the run has begun");
  return { user, userId, run, socket, rest: drain(events) };
}

/** Resolves when the stream ends, however it ends; says whether it ended as a run's does. */
async function drain(events: AsyncGenerator<{ event: string; data: string }>): Promise<boolean> {
  try {
    for await (const { event, data } of events) if (event === "run" && (JSON.parse(data) as Run).endedAt) return true;
  } catch {
    // A stream that is cut has no end of its own.
  }
  return false;
}

describe("a user who is disabled", () => {
  test("is out at once on the API and within 10 s on sockets and streams, while the run goes on", async () => {
    const { user, userId, run, socket, rest } = await busyUser("suspended");
    const began = performance.now();
    await change(userId, { disabled: true });
    expect((await user.call("GET", "/v1/me")).status).toBe(401);
    expect((await user.call("POST", "/v1/tickets")).status).toBe(401);
    await expect(user.connect()).rejects.toThrow(/401/);
    expect(await socket.closed).toBe(4001);
    expect(await rest).toBe(false);
    expect(performance.now() - began).toBeLessThan(10_000);
    expect(await runsNow(userId)).not.toEqual([]);
    await change(userId, { disabled: false });
    expect((await user.run(run.id)).status).toBe("running");
    await user.ok("POST", `/v1/runs/${run.id}/cancel`);
  });

  test("has no process left when the admin cancels the runs too", async () => {
    const { user, userId, run } = await busyUser("dismissed");
    await change(userId, { disabled: true, cancelRuns: true });
    expect(await runsNow(userId)).toEqual([]);
    await change(userId, { disabled: false });
    await until(async () => (await user.run(run.id)).reason === "cancelled", "the gateway knows it");
    expect((await user.runToEnd(run.agentId, "echo again")).run.result).toBe("again\n");
  });

  test("has no process left once a host is back that was away then", async () => {
    const { user, userId, run } = await busyUser("late");
    await berth.host.kill();
    await change(userId, { disabled: true, cancelRuns: true });
    expect(await runsNow(userId)).not.toEqual([]);
    await berth.host.start();
    await until(async () => (await runsNow(userId)).length === 0, "the host has ended the run");
    await change(userId, { disabled: false });
    await until(async () => (await user.run(run.id)).reason === "cancelled", "the gateway knows it");
  });
});

describe("a token that is revoked", () => {
  test("closes its sockets and streams within 10 s, and no other's", async () => {
    const { user, run, socket } = await busyUser("holder");
    const made = await user.ok<{ id: string; token: string }>("POST", "/v1/tokens", { name: "short" });
    const { connectClient } = await import("./harness/client.ts");
    const other = connectClient(berth.url, made.token);
    const [closing, ending] = [await other.connect(), drain(other.events(run.id))];
    const began = performance.now();
    await user.ok("DELETE", `/v1/tokens/${made.id}`);
    expect(await closing.closed).toBe(4001);
    expect(await ending).toBe(false);
    expect(performance.now() - began).toBeLessThan(10_000);
    expect(socket.ws.readyState).toBe(socket.ws.OPEN);
    await user.ok("POST", `/v1/runs/${run.id}/cancel`);
    await socket.close();
  });
});
