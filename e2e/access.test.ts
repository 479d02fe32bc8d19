import Database from "better-sqlite3";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Run, Workspace } from "@berth/shared/resources";
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

const shell = { runtime: "shell" } as const;
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

describe("a user who is deleted", () => {
  /** What the host has of the user: rows, and files by any path that names them. */
  const left = (userId: string) => {
    const db = new Database(join(berth.hostDir, "host.db"), { readonly: true });
    const rows = ["agents", "runs", "credentials"].map((table) =>
      db.prepare(`SELECT count(*) FROM ${table} WHERE user_id = ?`).pluck().get(userId),
    );
    db.close();
    const files = ["volumes", "mnt", "run", "passwd"].flatMap((name) => readdirSync(join(berth.hostDir, name)));
    return { rows, files: files.filter((name) => name.includes(userId)) };
  };
  const nothing = { rows: [0, 0, 0], files: [] };
  const remove = (userId: string, name: string) => boss.ok("DELETE", `/v1/admin/users/${userId}?confirm=${name}`);
  const isNoted = async (userId: string) => {
    const path = `/v1/admin/audit?action=user.files_deleted&target=${userId}`;
    return (await boss.ok<{ items: unknown[] }>("GET", path)).items.length === 1;
  };

  test("is out at once, and within 10 s nothing of theirs runs, is open or lies on the host", async () => {
    const { user, userId, socket, rest } = await busyUser("deleted");
    await user.ok("PUT", "/v1/git-credentials/git.example.com", { username: "ada", token: "tok_12345678" });
    expect(left(userId).files).toHaveLength(4);
    const began = performance.now();
    await remove(userId, "deleted");
    expect((await user.call("GET", "/v1/me")).status).toBe(401);
    expect(await socket.closed).toBe(4001);
    // The stream is cut, or has said before that its run was ended.
    await rest;
    expect(performance.now() - began).toBeLessThan(10_000);
    await until(() => isNoted(userId), "the host has said that nothing is left");
    expect(left(userId)).toEqual(nothing);
    expect(await berth.processes(userId)).toEqual([]);
    await remove(userId, "deleted");
  });

  test("is gone from a host too that was away then, and others there lose nothing", async () => {
    const { userId } = await busyUser("deleted late");
    const other = await busyUser("neighbour");
    await berth.host.kill();
    await remove(userId, "deleted%20late");
    expect(await runsNow(userId)).not.toEqual([]);
    await berth.host.start();
    await until(() => isNoted(userId), "the host has said that nothing is left");
    expect([left(userId), await berth.processes(userId)]).toEqual([nothing, []]);
    expect((await other.user.run(other.run.id)).status).toBe("running");
    await other.user.ok("POST", `/v1/runs/${other.run.id}/cancel`);
  });
});

test("a user's own limits hold on their host, those of the workspace once nothing runs in it", async () => {
  const user = await berth.client("limited");
  const userId = await userIdOf(user);
  const [first, second] = [await user.createAgent("1", shell), await user.createAgent("2", shell)];
  const limit = (limits: object) => change(userId, { limits });
  const workspace = async () => {
    const { memory, cpu, disk } = await user.ok<Workspace>("GET", "/v1/workspace");
    return [memory.limitBytes, cpu.cores, disk.limitBytes];
  };
  const size = async () => Number((await user.runToEnd(first.id, "df -B1 --output=size . | tail -1")).run.result);
  await limit({ concurrentRuns: 1, memoryBytes: 2 ** 29, diskBytes: 2 ** 27, cpus: 0.5 });
  expect(await size()).toBeLessThan(2 ** 27);
  expect(await workspace()).toEqual([2 ** 29, 0.5, 2 ** 27]);
  // What is just being started is counted with the memory that it may take.
  const run = await user.send(first.id, "echo on; sleep 600");
  await user.firstLine(run.id);
  const send = () => user.call("POST", `/v1/agents/${second.id}/runs`, { prompt: "true" });
  expect((await send()).body).toMatchObject({ code: "run_limit", limit: 1 });
  await limit({ concurrentRuns: null, memoryBytes: 2 ** 30, diskBytes: 2 ** 28 });
  expect((await send()).status).toBe(202);
  expect(await workspace()).toEqual([2 ** 29, 0.5, 2 ** 27]);
  await user.ok("POST", `/v1/runs/${run.id}/cancel`);
  await until(async () => (await berth.processes(userId)).length === 0, "the container of the earlier limits is gone");
  expect(await size()).toBeGreaterThan(2 ** 27);
  expect(await workspace()).toEqual([2 ** 30, 0.5, 2 ** 28]);
});

describe("a token that is revoked", () => {
  test("closes its sockets and streams within 10 s, and no other's", async () => {
    const { user, run, socket } = await busyUser("holder");
    const made = await user.ok<{ id: string; token: string }>("POST", "/v1/tokens", { name: "short" });
    const { connectClient } = await import("./harness/client.ts");
    const other = connectClient(berth.url, made.token);
    const [closing, events] = [await other.connect(), other.events(run.id)];
    expect((await events.next()).done).toBe(false);
    const ending = drain(events);
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
