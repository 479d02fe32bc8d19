/**
 * What the gateway asks for in each of its answers, until it is done: users to stop, users and agents to delete. Level-triggered: an
 * order that is being carried out is not begun again, and one that failed waits (backoff) however often it is repeated. A deletion
 * is final, and one of what lay here from earlier is told once: where it fails it is retried whether it is repeated or not.
 */
import type { ReportAnswer } from "@berth/shared/host-api";
import { messageOf } from "@berth/shared/log";
import { backoff } from "@berth/shared/wait";
import type { HostContext } from "../context/context.ts";
import type { Store } from "../store/store.ts";

export interface Order {
  kind: "stop_user" | "delete_user" | "delete_agent";
  /** Of the user or the agent. */
  id: string;
}
/** An order that was begun here and is not done: `retryAt` is null while it goes on, else when it is due again, monotonic. */
export interface Progress {
  failures: number;
  retryAt: number | null;
}
type Asked = Pick<ReportAnswer, "stoppedUsers" | "deletedUsers" | "deletedAgents">;
export interface OrderDeps {
  context: HostContext;
  store: Store;
  /** Whether anything of the user is here. */
  hasUser(userId: string): boolean;
  carryOut(order: Order): Promise<void>;
}

const firstPauseMs = 1000;
const longestPauseMs = 60_000;

export const keyOf = ({ kind, id }: Order) => `${kind} ${id}`;

/** Those of the orders that are to be begun now. */
export function ordersToBegin(asked: Order[], begun: ReadonlyMap<string, Progress>, now: number): Order[] {
  return asked.filter((order) => {
    const progress = begun.get(keyOf(order));
    return !progress || (progress.retryAt !== null && progress.retryAt <= now);
  });
}

/** Answers what takes the orders of an answer. */
export function createOrders({ context, store, hasUser, carryOut }: OrderDeps) {
  const begun = new Map<string, Progress & { order: Order }>();
  const isNeeded = ({ kind, id }: Order) =>
    kind === "stop_user" ? store.countActive(id) > 0 : kind === "delete_user" ? hasUser(id) : isThere(store, id);

  return function obey({ stoppedUsers, deletedUsers, deletedAgents }: Asked): void {
    // With all that they have: two at work on one volume would be in each other's way.
    const isLeft = (agentId: string) => !deletedUsers.includes(store.getAgent(agentId)?.userId ?? "");
    const asked: Order[] = [
      ...stoppedUsers.map((id) => ({ kind: "stop_user" as const, id })),
      ...deletedUsers.map((id) => ({ kind: "delete_user" as const, id })),
      ...deletedAgents.filter(isLeft).map((id) => ({ kind: "delete_agent" as const, id })),
      ...[...begun.values()].map(({ order }) => order).filter(({ kind }) => kind !== "stop_user"),
    ];
    const wanted = new Map(asked.filter(isNeeded).map((order) => [keyOf(order), order]));
    for (const [key, { retryAt }] of begun) if (retryAt !== null && !wanted.has(key)) begun.delete(key);
    for (const order of ordersToBegin([...wanted.values()], begun, performance.now())) void attempt(order);
  };

  async function attempt(order: Order): Promise<void> {
    const failures = begun.get(keyOf(order))?.failures ?? 0;
    begun.set(keyOf(order), { order, failures, retryAt: null });
    try {
      await carryOut(order);
      begun.delete(keyOf(order));
    } catch (error) {
      context.log.warn("order.failed", { ...order, error: messageOf(error) });
      const retryAt = performance.now() + backoff(failures, firstPauseMs, longestPauseMs);
      begun.set(keyOf(order), { order, failures: failures + 1, retryAt });
    }
  }
}

function isThere(store: Store, agentId: string): boolean {
  const agent = store.getAgent(agentId);
  return agent !== null && agent.deleted !== "gone";
}
