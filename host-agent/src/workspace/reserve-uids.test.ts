import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { createLog } from "@berth/shared/log";
import { unseenAgent } from "@berth/shared/host-api";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { AgentRow } from "../store/rows.ts";
import { Store } from "../store/store.ts";
import { reserveUids } from "./reserve-uids.ts";
import { makeAgentDirectory, ownerOf, type Volume } from "./volume.ts";
import { Volumes } from "./volumes.ts";
import { inMemory } from "../../test/memory.ts";
import { makeOwnDirectory } from "@berth/shared/node/own-directory";

const [mary, paul] = ["usr_mary", "usr_paul"];
const log = createLog(() => {});
let dir: string;
beforeEach(() => void (dir = makeOwnDirectory("uids")));
afterEach(() => {
  unmount();
  execFileSync("chattr", ["-R", "-i", dir]);
  rmSync(dir, { recursive: true });
});
function unmount(): void {
  for (const userId of [mary, paul])
    execFileSync("sh", ["-c", `umount -l ${join(dir, "mnt", userId)} 2> /dev/null || true`]);
}

/** A host agent that starts with this database. */
function open(image?: Buffer) {
  const db = image ? new Database(image) : new Database(":memory:");
  const store = new Store(inMemory(db), Date.now);
  return { db, store, volumes: new Volumes(dir, 64 * 2 ** 20, (uid) => store.reserveUids(uid + 1)) };
}
/** Learns an agent, as its first message does. */
async function learn({ store, volumes }: ReturnType<typeof open>, userId: string, id: string) {
  const volume = await volumes.ensure(userId);
  const spec = { ...unseenAgent(id), version: 1, name: id };
  const { uid } = store.learnAgent(userId, spec, await ownerOf(volume, id)) as AgentRow;
  return { uid, volume };
}
const directory = (volume: Volume, id: string) => join(volume.workspace, `agent-${id}`);

test("a lost database gives no uid that a volume has, though the first start on the new one was cut short and a volume cannot be read", async () => {
  const before = open();
  for (const [userId, id] of [[mary, "agt_1"] as const, [paul, "agt_2"] as const, [paul, "agt_3"] as const]) {
    const { uid, volume } = await learn(before, userId, id);
    await makeAgentDirectory(volume, id, uid);
  }
  unmount();
  execFileSync(
    "dd",
    ["if=/dev/zero", `of=${join(dir, "volumes", `${mary}.img`)}`, "bs=4k", "count=1", "conv=notrunc"],
    {
      stdio: "ignore",
    },
  );
  const first = open();
  // It gets no further than to the first look at a volume.
  await expect(
    reserveUids(
      first.store,
      { readOwners: () => Promise.reject(new Error("killed")), highestKept: () => first.volumes.highestKept() },
      log,
    ),
  ).rejects.toThrow();
  const second = open(first.db.serialize());
  await reserveUids(second.store, second.volumes, log);
  // What the volume that cannot be read has is unknown: far above all that can have been given.
  expect((await learn(second, paul, "agt_new")).uid).toBeGreaterThan(1_000_000);
  expect((await learn(second, paul, "agt_3")).uid).toBe(20_002);
});

test("a database from an older copy gives no uid that another's volume has, which is not mounted", async () => {
  const before = open();
  await reserveUids(before.store, before.volumes, log);
  const image = before.db.serialize();
  const { uid, volume } = await learn(before, paul, "agt_1");
  await makeAgentDirectory(volume, "agt_1", uid);
  unmount();
  const restored = open(image);
  await reserveUids(restored.store, restored.volumes, log);
  expect((await learn(restored, mary, "agt_2")).uid).toBe(uid + 1);
});

test("a database from an older copy gives no uid that the user's volume has", async () => {
  const before = open();
  await reserveUids(before.store, before.volumes, log);
  await learn(before, mary, "agt_1");
  const image = before.db.serialize();
  const { uid, volume } = await learn(before, mary, "agt_2");
  await makeAgentDirectory(volume, "agt_2", uid);
  const restored = open(image);
  await reserveUids(restored.store, restored.volumes, log);
  expect((await learn(restored, mary, "agt_3")).uid).toBe(uid + 1);
  expect((await learn(restored, mary, "agt_2")).uid).toBe(uid);
});

test("an agent whose uid another has meanwhile gets all its files under its new one", async () => {
  const { volume } = await learn(open(), mary, "agt_1");
  await makeAgentDirectory(volume, "agt_1", 20_007);
  const path = join(directory(volume, "agt_1"), "deep");
  mkdirSync(path);
  writeFileSync(join(path, "secret"), "", { mode: 0o600 });
  execFileSync("chown", ["-R", "20007", directory(volume, "agt_1")]);
  execFileSync("ln", ["-s", "/etc", join(path, "outside")]);
  const outside = statSync("/etc").uid;
  await makeAgentDirectory(volume, "agt_1", 20_008);
  expect([statSync(directory(volume, "agt_1")).uid, statSync(join(path, "secret")).uid]).toEqual([20_008, 20_008]);
  expect(statSync("/etc").uid).toBe(outside);
});

test("a uid that another agent's directory has is refused with a sentence", async () => {
  const { volume } = await learn(open(), mary, "agt_1");
  await makeAgentDirectory(volume, "agt_1", 20_007);
  await makeAgentDirectory(volume, "agt_2", 20_008);
  await expect(makeAgentDirectory(volume, "agt_2", 20_007)).rejects.toThrow(/agent-agt_1 belongs to uid 20007/);
  expect(statSync(directory(volume, "agt_2")).uid).toBe(20_008);
});
