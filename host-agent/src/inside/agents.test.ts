import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unseenAgent } from "@berth/shared/host-api";
import { expect, test } from "vitest";
import { createLocks } from "../context/wait.ts";
import { Store } from "../store/store.ts";
import { deleteAgent } from "./agents.ts";
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
