import { unseenAgent } from "@berth/shared/host-api";
import { expect, test } from "vitest";
import { makeContext } from "../../test/context.ts";
import { inMemory } from "../../test/memory.ts";
import { threeRuns } from "../../test/room.ts";
import type { OomKill } from "../machine/kmsg.ts";
import type { AgentRow } from "../store/rows.ts";
import { Store } from "../store/store.ts";
import { createOomWatch } from "./oom.ts";

/** A run in progress in a container; answers what the kernel says where it kills something of it. */
function beginRun(store: Store) {
  const { uid } = store.learnAgent("usr_a", { ...unseenAgent("agt_a"), version: 1 }, null) as AgentRow;
  const trigger = { kind: "api", triggerId: null } as const;
  store.admit({ id: "run_a", agentId: "agt_a", userId: "usr_a", trigger, prompt: "", payload: null }, threeRuns, true);
  store.updateRun("run_a", { containerId: "c0ffee" });
  return (sequence: number): OomKill => ({ sequence, cgroup: "/docker/c0ffee", uid });
}

test("a kill that cannot be stored is counted at the next look, once, and so are those that were read with it", () => {
  const database = inMemory();
  const store = new Store(database, Date.now);
  const kill = beginRun(store);
  const read: OomKill[] = [];
  const killLog = { read: () => read.splice(0), close: () => {} };
  const killsOf = () => store.getRun("run_a")!.oomKills;
  // The first look of a database finds what was before it.
  read.push(kill(1));
  const { countKills } = createOomWatch(makeContext("/nonexistent"), store, killLog);
  read.push(kill(2), kill(3));
  const refuse = "CREATE TRIGGER full BEFORE UPDATE OF oom_kills ON runs BEGIN SELECT raise(abort, 'full'); END";
  database.db.exec(refuse);
  expect(countKills).toThrow("full");
  // Another host agent goes on where this one came to.
  const readAgain = { read: () => [kill(2), kill(3)], close() {} };
  database.db.exec("DROP TRIGGER full");
  countKills();
  expect(killsOf()).toBe(2);
  countKills();
  createOomWatch(makeContext("/nonexistent"), store, readAgain).countKills();
  expect(killsOf()).toBe(2);
  store.close();
});

test("the first kill of a machine is counted too where nobody was there when it came", () => {
  const database = inMemory();
  const store = new Store(database, Date.now);
  const kill = beginRun(store);
  const kills: OomKill[] = [];
  const watch = () =>
    createOomWatch(makeContext("/nonexistent"), store, { read: () => [...kills], close: () => undefined });
  watch();
  kills.push(kill(1));
  watch().countKills();
  expect(store.getRun("run_a")!.oomKills).toBe(1);
  store.close();
});

test("a log that is there for us later counts nothing of before it was", () => {
  const store = new Store(inMemory(), Date.now);
  const kill = beginRun(store);
  let kills: OomKill[] | null = null;
  const watch = () => createOomWatch(makeContext("/nonexistent"), store, { read: () => kills, close: () => undefined });
  watch().countKills();
  kills = [kill(1)];
  const { countKills } = watch();
  countKills();
  expect(store.getRun("run_a")!.oomKills).toBe(0);
  kills = [kill(2)];
  countKills();
  expect(store.getRun("run_a")!.oomKills).toBe(1);
  store.close();
});
