import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AgentSpec, unseenAgent } from "@berth/shared/host-api";
import { expect, test } from "vitest";
import { createLocks } from "../context/wait.ts";
import type { AgentRow } from "../store/rows.ts";
import { Store } from "../store/store.ts";
import { deleteAgent, resetAgent } from "./agents.ts";
import { makeContext } from "../../test/context.ts";
import { inMemory } from "../../test/memory.ts";

test("two deletions of one agent at once are one, and both succeed; one that fails is done by the other", async () => {
  const dir = mkdtempSync(join(tmpdir(), "berth-agents-"));
  const volume = {
    limitBytes: 0,
    root: dir,
    workspace: dir,
    runs: dir,
    tmp: dir,
    trash: join(dir, "trash"),
    uids: dir,
  };
  for (const name of ["trash", "agent-agt_a", "agent-agt_b"]) mkdirSync(join(dir, name));
  const store = new Store(inMemory(), Date.now);
  for (const id of ["agt_a", "agt_b"]) store.learnAgent("usr_u", { ...unseenAgent(id), version: 1, name: id }, null);
  const closed: string[] = [];
  let failures = 0;
  const deps = {
    context: makeContext(dir),
    store,
    deletions: createLocks(),
    runs: {
      cancel: () => Promise.reject(new Error("nothing runs")),
      ahead: { drop: () => Promise.resolve(false) },
    },
    workspaces: { find: async () => null, evict: () => {} },
    volumes: { exists: () => true, ensure: async () => volume },
    sockets: {
      async closeAgent(_userId: string, agentId: string) {
        closed.push(agentId);
        if (failures-- > 0) throw new Error("for once");
      },
    },
  };
  const twice = (agentId: string) =>
    Promise.allSettled([deleteAgent(deps, "usr_u", agentId), deleteAgent(deps, "usr_u", agentId)]);
  expect((await twice("agt_a")).map(({ status }) => status)).toEqual(["fulfilled", "fulfilled"]);
  expect(closed).toEqual(["agt_a"]);
  const rev = store.getAgent("agt_a")!.rev;
  await deleteAgent(deps, "usr_u", "agt_a");
  expect(store.getAgent("agt_a")).toMatchObject({ deleted: "gone", rev });
  failures = 1;
  expect((await twice("agt_b")).map(({ status }) => status)).toEqual(["rejected", "fulfilled"]);
  expect([store.getAgent("agt_b")!.deleted, readdirSync(dir)]).toEqual(["gone", ["trash"]]);
  store.close();
  rmSync(dir, { recursive: true });
});

test("a new conversation is one of the directory that the gateway names; those of others stay", async () => {
  const store = new Store(inMemory(), Date.now);
  const runs = {
    learn: async (userId: string, spec: AgentSpec) => store.learnAgent(userId, spec, null) as AgentRow,
  };
  const deps = { context: makeContext("/nowhere"), store, runs };
  const inDirectory = (directory: string, version: number) => ({
    ...unseenAgent("agt_a"),
    version,
    name: "a",
    directory,
  });
  const conversationIn = async (directory: string, version: number) => {
    const { sessionId, sessionUsed } = await runs.learn("usr_u", inDirectory(directory, version));
    return [sessionId, sessionUsed];
  };
  await resetAgent(deps, "usr_u", "agt_a", inDirectory("a", 1));
  expect(store.getAgent("agt_a")).toBeNull();
  const [ofA] = await conversationIn("a", 1);
  store.setSession("agt_a", "ours-in-a", true);
  const [ofB] = await conversationIn("b", 2);
  store.setSession("agt_a", "ours-in-b", true);
  await conversationIn("a", 3);
  await resetAgent(deps, "usr_u", "agt_a", inDirectory("b", 4));
  const fresh = await conversationIn("b", 4);
  expect(fresh).toEqual([expect.not.stringMatching(/^ours/), false]);
  expect([ofA, ofB]).not.toContain(fresh[0]);
  expect(await conversationIn("a", 5)).toEqual(["ours-in-a", true]);
  // As a gateway of an earlier version asks for it.
  await resetAgent(deps, "usr_u", "agt_a", null);
  expect(await conversationIn("a", 5)).toEqual([expect.not.stringMatching(/^ours/), false]);
  store.close();
});
