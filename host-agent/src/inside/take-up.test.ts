import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unseenAgent } from "@berth/shared/host-api";
import { expect, test } from "vitest";
import { makeContext } from "../../test/context.ts";
import { inMemory } from "../../test/memory.ts";
import { Store } from "../store/store.ts";
import { tellFound } from "./take-up.ts";

test("of a volume that is taken up each agent is told, known or not; what has a tombstone goes", async () => {
  const workspace = mkdtempSync(join(tmpdir(), "berth-found-"));
  const [all, trash] = [
    ["agent-", "agent-a b", "agent-agt_known", "agent-agt_unknown", "shared", "trash"],
    join(workspace, "trash"),
  ];
  for (const name of [...all, "agent-agt_gone"]) mkdirSync(join(workspace, name));
  const store = new Store(inMemory(), Date.now);
  const known = (id: string, userId = "usr_u") => store.learnAgent(userId, { ...unseenAgent(id), version: 1 }, null);
  for (const id of ["agt_known", "agt_gone"]) known(id);
  known("agt_of_another", "usr_other");
  store.deleteAgent("usr_u", "agt_gone");
  store.buryAgent("agt_gone");
  const before = store.revision();
  const context = makeContext(workspace);
  let told = 0;
  context.bus.on("host", () => (told += 1));
  await tellFound({ context, store }, "usr_u", { workspace, trash });
  const { agents } = store.changedSince(before, 1e6);
  expect(agents.map(({ id, userId }) => [id, userId])).toEqual([
    ["agt_known", "usr_u"],
    ["agt_unknown", "usr_u"],
  ]);
  expect(new Set(agents.map(({ rev }) => rev)).size).toBe(2);
  expect(told).toBe(1);
  expect(readdirSync(workspace)).toEqual(all);
  store.close();
  rmSync(workspace, { recursive: true });
});
