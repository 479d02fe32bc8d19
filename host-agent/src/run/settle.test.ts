import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unseenAgent } from "@berth/shared/host-api";
import { afterEach, beforeEach, expect, test } from "vitest";
import { makeContext } from "../../test/context.ts";
import { inMemory } from "../../test/memory.ts";
import { threeRuns } from "../../test/room.ts";
import type { AgentRow } from "../store/rows.ts";
import { Store } from "../store/store.ts";
import type { Volume } from "../workspace/volume.ts";
import { noteEnd, readEnd } from "./run-files.ts";
import { settle } from "./settle.ts";

let dir: string;
let volume: Volume;
const stores: Store[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "berth-settle-"));
  const at = (name: string) => join(dir, name);
  volume = { limitBytes: 0, root: dir, workspace: dir, runs: at("runs"), tmp: dir, trash: dir, uids: dir };
  mkdirSync(join(volume.runs, "run_a"), { recursive: true });
});
afterEach(() => {
  for (const store of stores.splice(0)) store.close();
  rmSync(dir, { recursive: true });
});

/** The run as a database knows it that has heard nothing of its end. */
function open() {
  const store = new Store(inMemory(), Date.now);
  stores.push(store);
  const agent = store.learnAgent("usr_u", { ...unseenAgent("agt_a"), version: 1 }, null) as AgentRow;
  const trigger = { kind: "api", triggerId: null } as const;
  store.admit({ id: "run_a", agentId: "agt_a", userId: "usr_u", trigger, prompt: "", payload: null }, threeRuns, true);
  const deps = { context: makeContext(dir), store, countKills: () => {}, closeModel: () => {} };
  const lived = { runId: "run_a", agent, volume, container: null, lines: null };
  return {
    store,
    end: (exitCode: number | null) => settle(deps, lived, { exitCode, isContainerLost: false, hasLingered: false }, 0),
  };
}

test("an end that was told is the same from an older copy of the database, whatever is seen by then", async () => {
  const first = open();
  first.store.intend("run_a", "cancelled");
  const told = await first.end(null);
  expect(told).toMatchObject({ status: "cancelled", reason: "cancelled", exitCode: null });
  // The wrapper has said its last code since, and the copy knows of no intent.
  const again = await open().end(143);
  const { status, reason, exitCode, endedAt } = told!;
  expect(again).toMatchObject({ status, reason, exitCode, endedAt });
});

test("an end is noted once, whole or not at all, there at once and on disk a moment later", async () => {
  const end = { reason: "completed", exitCode: 0, endedAt: "2026-01-01T00:00:00.000Z" } as const;
  expect(readEnd(volume, "run_a")).toBeNull();
  writeFileSync(join(volume.runs, "run_a/end"), `\n${JSON.stringify(end).slice(0, 20)}\n`);
  expect(readEnd(volume, "run_a")).toBeNull();
  const onDisk = noteEnd(volume, "run_a", end);
  expect(readEnd(volume, "run_a")).toEqual(end);
  await onDisk;
  await noteEnd(volume, "run_a", { ...end, reason: "nonzero_exit", exitCode: 1 });
  expect(readEnd(volume, "run_a")).toEqual(end);
  // One that never began has no files yet.
  await noteEnd(volume, "run_b", end);
  expect(readEnd(volume, "run_b")).toEqual(end);
});
