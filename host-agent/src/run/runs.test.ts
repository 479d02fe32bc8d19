import { unseenAgent } from "@berth/shared/host-api";
import { afterEach, beforeEach, expect, test } from "vitest";
import { makeContext } from "../../test/context.ts";
import { inMemory } from "../../test/memory.ts";
import { threeRuns } from "../../test/room.ts";
import { Store } from "../store/store.ts";
import { type RunDeps, Runs } from "./runs.ts";

let store: Store;
beforeEach(() => void (store = new Store(inMemory(), Date.now)));
afterEach(() => store.close());

const agent = { ...unseenAgent("agt_a"), version: 1, name: "a" };
const trigger = { kind: "api", triggerId: null } as const;
const message = { trigger, prompt: "hi", attachments: [], payload: null };

test("a start that arrives after its run was cancelled here, where nobody knew it yet, begins nothing", async () => {
  store.learnAgent("usr_a", agent, null);
  // Whoever gets further would ask for a workspace, and there is none.
  const runs = new Runs({ context: makeContext("/nonexistent"), store } as unknown as RunDeps);
  const start = (id: string) => runs.start("usr_a", { run: { ...message, id }, agent });
  await expect(runs.cancel("usr_a", "run_a")).rejects.toMatchObject({ code: "not_found" });
  // Somebody else's word for it says nothing.
  await expect(runs.cancel("usr_b", "run_b")).rejects.toMatchObject({ code: "not_found" });
  await expect(start("run_a")).rejects.toMatchObject({ code: "not_found" });
  await expect(start("run_b")).rejects.toThrow(TypeError);
  expect(store.getRun("run_a")).toBeNull();
});

test("of what was cancelled before it was known no more than a thousand are remembered, the latest", async () => {
  store.learnAgent("usr_a", agent, null);
  const runs = new Runs({ context: makeContext("/nonexistent"), store } as unknown as RunDeps);
  for (let at = 0; at <= 1000; at++) await runs.cancel("usr_a", `run_${at}`).catch(() => undefined);
  const start = (id: string) => runs.start("usr_a", { run: { ...message, id }, agent });
  await expect(start("run_1")).rejects.toMatchObject({ code: "not_found" });
  await expect(start("run_1000")).rejects.toMatchObject({ code: "not_found" });
  await expect(start("run_0")).rejects.toThrow(TypeError);
});

test("what an earlier process had promised nobody yet is told with all that it left", () => {
  store.learnAgent("usr_a", agent, null);
  store.admit({ ...message, id: "run_a", agentId: "agt_a", userId: "usr_a" }, threeRuns);
  const told = () => store.changedSince(0, 1e6).runs.map(({ id }) => id);
  expect(told()).toEqual([]);
  const volumes = { ensure: () => new Promise(() => undefined) };
  const runs = new Runs({ context: makeContext("/nonexistent"), store, volumes } as unknown as RunDeps);
  runs.resume();
  expect(told()).toEqual(["run_a"]);
  runs.close();
});
