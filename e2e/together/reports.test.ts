import type { Alert, ReportedWorkspace } from "@berth/shared/host-api";
import { describeWorkspace } from "@berth/shared/resources";
import { sql } from "drizzle-orm";
import { afterEach, beforeEach, expect, test } from "vitest";
import { UnendedError } from "../../host-agent/src/machine/processes.ts";
import { closeUnended } from "../../host-agent/src/workspace/unended.ts";
import { type Pair, startPair } from "./pair.ts";
import { unseenAgent } from "@berth/shared/host-api";
import { threeRuns } from "../../host-agent/test/room.ts";

let pair: Pair;
let user: Awaited<ReturnType<Pair["gateway"]["addUser"]>>;
beforeEach(async () => {
  pair = await startPair();
  user = await pair.gateway.addUser("alice");
});
afterEach(() => pair.close());

const spec = { ...unseenAgent(""), version: 1, name: "a" };
const call = { inputTokens: 1000, outputTokens: 10, cacheReadTokens: 0, cacheWriteTokens: 0, costUsd: 0.01 };
const trigger = { kind: "api", triggerId: null } as const;
/** Has the host admit a run of an agent of its own, and begin it. */
const begin = (id: string, prompt: string) => {
  const store = pair.store();
  store.learnAgent(user.id, { ...spec, id: `agt_${id}` }, null);
  store.admit({ id, agentId: `agt_${id}`, userId: user.id, trigger, prompt, payload: null }, threeRuns);
  store.updateRun(id, { status: "running", startedAt: new Date().toISOString() });
};
const end = (id: string) =>
  pair.store().updateRun(id, { status: "completed", reason: "completed", endedAt: new Date().toISOString() });
const copied = async () => (await pair.gateway.call("GET", "/v1/runs", { token: user.token })).json().items;

test("the prompt of a run goes to the gateway once, however often the run changes", async () => {
  const prompt = "p".repeat(2 ** 20);
  begin("run_1", prompt);
  await pair.reported();
  for (let at = 0; at < 50; at++) {
    pair.store().addUsage("run_1", call);
    await pair.reported();
  }
  end("run_1");
  await pair.reported();
  const bytes = pair.exchanges.reduce((sum, exchange) => sum + exchange.bytes, 0);
  expect(bytes).toBeGreaterThan(2 ** 20);
  expect(bytes).toBeLessThan(2 ** 20 + 100_000);
  const [run] = await copied();
  expect(run).toMatchObject({ status: "completed", usage: { inputTokens: 50_000 } });
  expect(run.prompt === prompt).toBe(true);
});

/** A workspace that runs, as it was sampled last. */
const workspaceOf = (userId: string, usedBytes: number): ReportedWorkspace => {
  const absent = describeWorkspace(pair.context.settings, pair.context.hostId);
  const sampled = { memory: { ...absent.memory, usedBytes }, sampledAt: new Date().toISOString() };
  return { ...absent, ...sampled, status: "running", containerId: "c", userId };
};
const toldOf = (userId: string) =>
  pair.exchanges.map(({ report }) => report.workspaces.filter((one) => one.userId === userId).length);

test("a workspace goes to the gateway when it changes, however often the host reports and however it is sampled", async () => {
  const other = await pair.gateway.addUser("bob");
  for (let at = 0; at < 5; at++) {
    pair.workspaces.splice(0, 2, workspaceOf(user.id, at), workspaceOf(other.id, at));
    if (at === 3) pair.workspaces[1]!.reason = "It is stopped for the night.";
    if (at === 4) pair.workspaces[1]!.reason = "It is stopped for the night.";
    await pair.reported();
  }
  const sum = (counts: number[]) => counts.reduce((all, one) => all + one, 0);
  expect([sum(toldOf(user.id)), sum(toldOf(other.id))]).toEqual([1, 2]);
  const seen = (await pair.gateway.call("GET", "/v1/me", { token: other.token })).json().workspace;
  expect(seen).toMatchObject({ status: "running", reason: "It is stopped for the night." });
});

test("a gateway restored from an older copy takes no host as heard before it was told of all its workspaces", async () => {
  const copied = async () => {
    const [[host]] = (await pair.gateway.deps.atomic([sql`select last_report_at as at, seq from hosts`])) as [
      [{ at: string; seq: number }],
    ];
    return host;
  };
  await pair.reported();
  const { at, seq } = await copied();
  pair.workspaces.push(workspaceOf(user.id, 1));
  await pair.reported();
  expect(seq).toBeLessThan((await copied()).seq);
  // As it was before the workspace came.
  await pair.gateway.deps.atomic([
    sql`delete from workspaces`,
    sql`update users set host_id = null`,
    sql`update hosts set seq = ${seq}, last_report_at = ${at}`,
  ]);
  const before = pair.exchanges.length;
  await pair.reported();
  const [first] = pair.exchanges.slice(before);
  expect(first).toMatchObject({ report: { workspaces: [] }, answer: { ack: { seq: 0 } } });
  await pair.reported();
  expect(pair.exchanges.at(-1)!.answer.ack.seq).toBeGreaterThan(seq);
  expect(toldOf(user.id).slice(before)).toContain(1);
  const me = (await pair.gateway.call("GET", "/v1/me", { token: user.token })).json();
  expect(me.workspace).toMatchObject({ status: "running", hostId: pair.context.hostId });
});

test("a gateway that was restored from an older copy gets the prompts that it has lost", async () => {
  begin("run_1", "the first");
  end("run_1");
  await pair.reported();
  const [{ rev }] = (await pair.gateway.deps.atomic([sql`select rev from hosts`]))[0] as [{ rev: number }];
  begin("run_2", "the second");
  await pair.reported();
  await pair.gateway.deps.atomic([sql`delete from runs where id = 'run_2'`, sql`update hosts set rev = ${rev}`]);
  pair.store().addUsage("run_2", call);
  await pair.reported();
  expect(await copied()).toMatchObject([
    { id: "run_2", prompt: "the second", usage: { inputTokens: 1000 } },
    { id: "run_1", prompt: "the first" },
  ]);
});

test("a host whose database was restored from an older copy tells all anew, and what it forgot ends as host_lost", async () => {
  begin("run_1", "before the copy");
  await pair.reported();
  const copy = pair.image();
  await pair.restart(copy);
  begin("run_2", "after the copy");
  for (let at = 0; at < 3; at++) pair.store().addUsage("run_2", call);
  await pair.reported();
  await pair.restart(copy);
  end("run_1");
  // As many revisions as the history that is lost had, so that no number shows what happened.
  for (let at = 0; at < 9; at++) begin("run_3", "after the restore");
  await pair.reported();
  expect(await copied()).toMatchObject([
    { id: "run_3", status: "running", prompt: "after the restore" },
    { id: "run_2", status: "failed", reason: "host_lost" },
    { id: "run_1", status: "completed" },
  ]);
});

test("an admin is told for an hour of a program that could not be ended, and of a limit that a user meets ten times", async () => {
  const { context } = pair;
  const admin = await pair.gateway.addUser("root", "admin");
  const told = async () => {
    await pair.reported();
    const [host] = (await pair.gateway.call("GET", "/v1/admin/hosts", { token: admin.token })).json().items;
    return host.load.alerts.map(({ kind, userId, count }: Alert) => [kind, userId, count]);
  };
  for (let at = 0; at < 9; at++) context.alerts.note("out_of_memory", user.id);
  expect(await told()).toEqual([]);
  context.alerts.note("out_of_memory", user.id);
  const evicted: string[] = [];
  const workspaces = { evict: (userId: string) => void evicted.push(userId) };
  closeUnended({ context, workspaces }, user.id, new UnendedError("it goes on"));
  expect(evicted).toEqual([user.id]);
  expect(await told()).toEqual([
    ["unended", user.id, 1],
    ["out_of_memory", user.id, 10],
  ]);
  pair.pass(3_599_000);
  expect(await told()).toHaveLength(2);
  for (let at = 0; at < 300; at++) context.alerts.note("timed_out", user.id);
  pair.pass(2000);
  expect(await told()).toEqual([["timed_out", user.id, 100]]);
  for (let at = 0; at < 30; at++) context.alerts.note("unended", `usr_${at}`);
  expect(await told()).toHaveLength(20);
});
