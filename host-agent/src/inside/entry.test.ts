import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unseenAgent } from "@berth/shared/host-api";
import { expect, test } from "vitest";
import { inMemory } from "../../test/memory.ts";
import { createLocks } from "../context/wait.ts";
import { Store } from "../store/store.ts";
import type { RunningContainer } from "../workspace/container.ts";
import { enter } from "./entry.ts";

test("who enters while the agent is deleted makes nothing of it again", async () => {
  const workspace = mkdtempSync(join(tmpdir(), "berth-enter-"));
  mkdirSync(join(workspace, "agent-agt_a"));
  const store = new Store(inMemory(), Date.now);
  store.learnAgent("usr_u", { ...unseenAgent("agt_a"), version: 1 }, null);
  const deletions = createLocks();
  const removed = Promise.withResolvers<void>();
  const deps = {
    store,
    deletions,
    runs: { learn: () => Promise.reject(new Error("it is known")) },
    workspaces: {
      ensureReady: async () => ({ volume: { workspace, root: workspace } }) as RunningContainer,
      async admitAgent() {},
    },
  };
  const deletion = deletions("agt_a", async () => {
    await removed.promise;
    store.deleteAgent("usr_u", "agt_a");
    rmSync(join(workspace, "agent-agt_a"), { recursive: true });
  });
  const entered = enter(deps, "usr_u", "agt_a");
  await Promise.resolve();
  removed.resolve();
  await expect(entered).rejects.toMatchObject({ code: "not_found" });
  await deletion;
  expect(existsSync(join(workspace, "agent-agt_a"))).toBe(false);
  store.close();
  rmSync(workspace, { recursive: true });
});
