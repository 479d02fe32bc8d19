import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { unseenAgent } from "@berth/shared/host-api";
import { runReasons } from "@berth/shared/resources";
import { Store } from "../store/store.ts";
import { openDatabase } from "../store/open.ts";
import type { AgentRow, NewRun, RunRow } from "../store/rows.ts";
import { threeRuns } from "../../test/room.ts";
import { beginningOf, continuationOf } from "./continuation.ts";

const dir = mkdtempSync(join(tmpdir(), "berth-continuation-"));
afterAll(() => rmSync(dir, { recursive: true }));
let count = 0;
const userId = "usr_1";
const lost = { reason: "container_lost", isTurnOver: false } as const;

function open(spec: object = {}) {
  const store = new Store(openDatabase(join(dir, `${++count}.db`)), Date.now);
  const wants = {
    ...unseenAgent("agt_1"),
    version: 1,
    runtime: "claude",
    onInterruption: "continue",
    ...spec,
  } as const;
  const agent = store.learnAgent(userId, wants, null) as AgentRow;
  const trigger = { kind: "webhook", triggerId: "trg_1" } as const;
  const asked = { prompt: "go", payload: null, attachments: ["a.png"] };
  store.admit({ id: "run_1", agentId: agent.id, userId, trigger, ...asked }, threeRuns, true);
  return { store, agent };
}
const end = (store: Store, run: RunRow, next: NewRun | null) =>
  store.endRun(run.id, { status: "failed", reason: "container_lost", endedAt: "2026-01-01T00:00:00.000Z" }, next);

test("a lost turn is taken up twice, by the same run from any copy of the database, and not a third time", () => {
  const { store, agent } = open();
  let run = store.getRun("run_1")!;
  for (const depth of [0, 1]) {
    const next = continuationOf(store, run, agent, lost)!;
    expect(continuationOf(store, run, agent, lost)).toEqual(next);
    expect(next).toMatchObject({
      trigger: { kind: "continuation", triggerId: "trg_1" },
      continues: run.id,
      prompt: "go",
      attachments: ["a.png"],
    });
    expect(end(store, run, next)).toMatchObject({ reason: "container_lost" });
    expect(end(store, run, next)).toBeNull();
    expect(store.activeRuns().map(({ id }) => id)).toEqual([next.id]);
    expect(beginningOf(store, store.getRun(next.id)!)).toMatchObject({ first: { id: "run_1" }, depth: depth + 1 });
    run = store.getRun(next.id)!;
  }
  expect(continuationOf(store, run, agent, lost)).toBeNull();
  store.close();
});

test("no other end is gone on from, no turn that was over, and no agent that does not want it", () => {
  const { store, agent } = open();
  const run = store.getRun("run_1")!;
  const goesOn = runReasons.filter((reason) => continuationOf(store, run, agent, { ...lost, reason }));
  expect(goesOn).toEqual(["container_lost"]);
  expect(continuationOf(store, run, agent, { ...lost, isTurnOver: true })).toBeNull();
  const others = [{ onInterruption: "stop" }, { runtime: "shell" }, { deleted: "removing" }] as const;
  for (const other of others) expect(continuationOf(store, run, { ...agent, ...other }, lost)).toBeNull();
  store.close();
});
