import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { unseenAgent } from "@berth/shared/host-api";
import { runReasons } from "@berth/shared/resources";
import { Store } from "../store/store.ts";
import { openDatabase } from "../store/open.ts";
import type { AgentRow, NewRun, RunRow } from "../store/rows.ts";
import { threeRuns } from "../../test/room.ts";
import type { Volume } from "../workspace/volume.ts";
import { beginningOf, continuationOf, lastWordsOf } from "./continuation.ts";

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

test("a turn that was lost between its last words and its result has those words, of the run before it too", async () => {
  const { store, agent } = open();
  const volume = { runs: join(dir, "runs") } as Volume;
  const write = (runId: string, ...lines: object[]) => {
    mkdirSync(join(volume.runs, runId), { recursive: true });
    writeFileSync(join(volume.runs, runId, "out"), lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  };
  const says = (text: string, more: object = {}) => ({
    type: "assistant",
    message: { content: [{ type: "text", text }] },
    ...more,
  });
  const words = (runId: string) => lastWordsOf(store, volume, store.getRun(runId)!, agent);
  const first = store.getRun("run_1")!;
  write("run_1", says("All done."), { type: "assistant", message: { content: [{ type: "tool_use" }] } }, { type: "x" });
  const next = continuationOf(store, first, agent, lost)!;
  end(store, first, next);
  write(next.id, { type: "system", subtype: "init" });
  expect(await words(next.id)).toBe("All done.");
  // Another's words, one that the agent has made to cost much, and none of all.
  write(next.id, says("I help.", { parent_tool_use_id: "toolu_1" }), says("Rich.", { a: Array(1000).fill(0) }));
  expect(await words(next.id)).toBe("All done.");
  write(next.id, says("Done again."));
  expect(await words(next.id)).toBe("Done again.");
  write(next.id);
  write("run_1");
  expect(await words(next.id)).toBeNull();
  write("run_1", says("All done."));
  write(next.id, { type: "x".repeat(200_000) });
  expect(await words(next.id)).toBeNull();
  store.close();
});
