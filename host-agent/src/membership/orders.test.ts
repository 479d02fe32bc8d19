import { unseenAgent } from "@berth/shared/host-api";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Store } from "../store/store.ts";
import { createOrders, keyOf, type Order, ordersToBegin } from "./orders.ts";
import { makeContext } from "../../test/context.ts";
import { inMemory } from "../../test/memory.ts";
import { threeRuns } from "../../test/room.ts";

let store: Store;
beforeEach(() => void (store = new Store(inMemory(), Date.now)));
afterEach(() => store.close());

const context = makeContext("/nonexistent");
const deps = { context, hasUser: () => false };
const spec = { ...unseenAgent("agt_a"), version: 1, name: "a" };
const deletion: Order = { kind: "delete_agent", id: "agt_a" };

test("an order that is repeated while it goes on is begun once, and again only when it is asked for after its end", async () => {
  store.learnAgent("usr_u", spec, null);
  const begun: PromiseWithResolvers<void>[] = [];
  const carryOut = () => {
    const job = Promise.withResolvers<void>();
    begun.push(job);
    return job.promise;
  };
  const obey = createOrders({ ...deps, store, carryOut });
  const answer = { stoppedUsers: [], deletedUsers: [], deletedAgents: ["agt_a"] };
  for (let at = 0; at < 50; at++) obey(answer);
  expect(begun).toHaveLength(1);
  begun[0]!.resolve();
  await begun[0]!.promise;
  obey(answer);
  expect(begun).toHaveLength(2);
});

test("nothing is begun for a user without runs or of whom nothing is here, nor for an agent that is unknown or gone", () => {
  store.learnAgent("usr_u", spec, null);
  store.deleteAgent("usr_u", "agt_a");
  store.buryAgent("agt_a");
  const begun: Order[] = [];
  const obey = createOrders({ ...deps, store, carryOut: async (order) => void begun.push(order) });
  obey({ stoppedUsers: ["usr_u"], deletedUsers: ["usr_u"], deletedAgents: ["agt_a", "agt_unknown"] });
  expect(begun).toEqual([]);
});

test("a deleted user is begun with as long as anything of them is here, and their agents not beside that", () => {
  const begun: Order[] = [];
  const carryOut = async (order: Order) => void begun.push(order);
  const obey = createOrders({ ...deps, store, hasUser: (userId) => userId === "usr_here", carryOut });
  store.learnAgent("usr_here", spec, null);
  obey({ stoppedUsers: [], deletedUsers: ["usr_here", "usr_gone"], deletedAgents: ["agt_a"] });
  expect(begun).toEqual([{ kind: "delete_user", id: "usr_here" }]);
});

test("an order that failed is due when its pause is over, one that goes on never", () => {
  const begun = (retryAt: number | null) => new Map([[keyOf(deletion), { failures: 1, retryAt }]]);
  expect(ordersToBegin([deletion], new Map(), 10)).toEqual([deletion]);
  expect(ordersToBegin([deletion], begun(null), 10)).toEqual([]);
  expect(ordersToBegin([deletion], begun(11), 10)).toEqual([]);
  expect(ordersToBegin([deletion], begun(10), 10)).toEqual([deletion]);
});

test("an order that fails at once is not begun by each answer", async () => {
  store.learnAgent("usr_u", spec, null);
  let count = 0;
  const carryOut = async () => {
    count += 1;
    throw new Error("the volume is away");
  };
  const obey = createOrders({ ...deps, store, carryOut });
  for (let at = 0; at < 50; at++) {
    obey({ stoppedUsers: [], deletedUsers: [], deletedAgents: ["agt_a"] });
    await Promise.resolve();
  }
  expect(count).toBe(1);
});

test("deleting an agent that is deleted takes no revision: nothing is to be told", () => {
  store.learnAgent("usr_u", spec, null);
  store.deleteAgent("usr_u", "agt_a");
  const told = store.revision();
  for (let at = 0; at < 10; at++) store.deleteAgent("usr_u", "agt_a");
  expect(store.revision()).toBe(told);
  store.buryAgent("agt_a");
  expect(store.revision()).toBe(told + 1);
  store.buryAgent("agt_a");
  store.deleteAgent("usr_u", "agt_a");
  expect(store.revision()).toBe(told + 1);
});

test("a deletion that failed is begun again though it is told no more; what a user shall stop is not", async () => {
  store.learnAgent("usr_u", spec, null);
  const trigger = { kind: "api", triggerId: null } as const;
  store.admit({ id: "run_a", agentId: "agt_a", userId: "usr_u", trigger, prompt: "", payload: null }, threeRuns);
  vi.useFakeTimers({ toFake: ["performance"] });
  const begun: string[] = [];
  const carryOut = async ({ kind }: Order) => {
    begun.push(kind);
    throw new Error("the volume is away");
  };
  const obey = createOrders({ ...deps, store, carryOut });
  obey({ stoppedUsers: ["usr_u"], deletedUsers: [], deletedAgents: ["agt_a"] });
  await Promise.resolve();
  vi.advanceTimersByTime(2000);
  obey({ stoppedUsers: [], deletedUsers: [], deletedAgents: [] });
  expect(begun).toEqual(["stop_user", "delete_agent", "delete_agent"]);
  store.deleteAgent("usr_u", "agt_a");
  store.buryAgent("agt_a");
  await Promise.resolve();
  vi.advanceTimersByTime(10_000);
  obey({ stoppedUsers: [], deletedUsers: [], deletedAgents: [] });
  expect(begun).toHaveLength(3);
  vi.useRealTimers();
});
