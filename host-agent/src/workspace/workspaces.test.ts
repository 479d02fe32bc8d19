import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unseenAgent } from "@berth/shared/host-api";
import { expect, test } from "vitest";
import { makeContext } from "../../test/context.ts";
import { inMemory } from "../../test/memory.ts";
import type { AgentRow } from "../store/rows.ts";
import { Store } from "../store/store.ts";
import { passwdOf } from "./container.ts";
import { Workspaces, type WorkspaceDeps } from "./workspaces.ts";

test.each([
  ["an hour ago is an orphan", -3_600_000, ["c"]],
  ["in an hour is one too, for the clock was set back", 3_600_000, ["c"]],
  ["a moment ago may be in the making", -1000, []],
])(
  "a container without a volume that started %s, whatever the gateway's clock says",
  async (_what, startedMs, gone) => {
    const dir = mkdtempSync(join(tmpdir(), "berth-orphan-"));
    const store = new Store(inMemory(), Date.now);
    const context = makeContext(dir);
    context.clock.follow(Date.now() + 86_400_000, Date.now());
    const removed: string[] = [];
    const startedAt = new Date(Date.now() + startedMs).toISOString();
    const engine = {
      inspectContainer: async () => ({ id: "c", running: true, paused: false, pid: 1, startedAt }),
      removeContainer: async (id: string) => void removed.push(id),
    };
    const volumes = { exists: () => false };
    const workspaces = new Workspaces({ context, engine, store, volumes } as unknown as WorkspaceDeps);
    await workspaces.find("usr_1").catch(() => undefined);
    expect(removed).toEqual(gone);
    store.close();
    rmSync(dir, { recursive: true });
  },
);

test("an agent that a run and an upload bring at once is admitted once, and both wait for its socket", async () => {
  const dir = mkdtempSync(join(tmpdir(), "berth-admit-"));
  const store = new Store(inMemory(), Date.now);
  const agent = store.learnAgent("usr_u", { ...unseenAgent("agt_a"), version: 1 }, null) as AgentRow;
  const opened = new Map<string, Promise<void>>();
  const begun: PromiseWithResolvers<void>[] = [];
  const sockets = {
    opened: ({ id }: AgentRow) => opened.get(id),
    openUser(_userId: string, agents: AgentRow[]) {
      const socket = Promise.withResolvers<void>();
      begun.push(socket);
      for (const { id } of agents) opened.set(id, socket.promise);
      return socket.promise;
    },
  };
  const workspaces = new Workspaces({ context: makeContext(dir), store, sockets } as unknown as WorkspaceDeps);
  let admitted = 0;
  const both = Promise.all([1, 2].map(() => workspaces.admitAgent(agent).then(() => (admitted += 1))));
  await expect.poll(() => begun.length).toBe(1);
  const late = workspaces.admitAgent(agent).then(() => (admitted += 1));
  expect(admitted).toBe(0);
  begun[0]!.resolve();
  await Promise.all([both, late]);
  expect(begun).toHaveLength(1);
  expect(readFileSync(passwdOf(dir, "usr_u"), "utf8").match(/agent-agt_a/g)).toHaveLength(1);
  store.close();
  rmSync(dir, { recursive: true });
});
