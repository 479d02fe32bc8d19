import Database from "better-sqlite3";
import { expect, test } from "vitest";
import { Store } from "../store/store.ts";
import { isRolledBack } from "./reports.ts";
import { inMemory } from "../../test/memory.ts";
import { unseenAgent } from "@berth/shared/host-api";
import { threeRuns } from "../../test/room.ts";

const spec = { ...unseenAgent("agt_a"), version: 1, name: "a" };
/** Starts a host on the database as this image has it; answers its store and how to take the next image. */
function start(image?: Buffer) {
  const db = new Database(image);
  return { store: new Store(inMemory(db), Date.now), image: () => db.serialize() };
}
const change = ({ store }: ReturnType<typeof start>) => void store.setEnv("agt_a", { AT: String(store.revision()) });
/** What the gateway holds after it was told all. */
const ackOf = ({ store }: ReturnType<typeof start>) => ({
  ack: { epoch: store.epoch, rev: store.changedSince(0, 1e6).rev },
  heldRuns: [] as string[],
});

test("an older copy is known for one, in whichever start it was taken and in whichever it is put back", () => {
  const first = start();
  first.store.learnAgent("usr_u", spec, null);
  const copies = [first.image()];
  change(first);
  let [last, ack] = [first, ackOf(first)];
  for (let count = 0; count < 3; count++) {
    const next = start(last.image());
    for (const copy of copies) expect(isRolledBack(start(copy).store, false, ack)).toBe(true);
    // The database itself, started anew, is no older copy: also when a change found no row and took no revision.
    expect(isRolledBack(next.store, false, ack)).toBe(false);
    copies.push(next.image());
    change(next);
    expect(next.store.updateRun("run_none", {})).toBeNull();
    [last, ack] = [next, ackOf(next)];
    expect(isRolledBack(next.store, true, ack)).toBe(false);
    expect(isRolledBack(start(next.image()).store, false, ack)).toBe(false);
  }
});

test("an older copy is known by a run that the gateway has from the answer to its start alone", () => {
  const first = start();
  first.store.learnAgent("usr_u", spec, null);
  const answer = ackOf(first);
  const copy = first.image();
  const trigger = { kind: "api", triggerId: null } as const;
  const run = { id: "run_a", agentId: "agt_a", userId: "usr_u", trigger, prompt: "p", payload: null };
  first.store.admit(run, threeRuns, true);
  expect(isRolledBack(start(first.image()).store, false, { ...answer, heldRuns: ["run_a"] })).toBe(false);
  expect(isRolledBack(start(copy).store, false, { ...answer, heldRuns: ["run_a"] })).toBe(true);
  expect(isRolledBack(start(copy).store, true, { ...answer, heldRuns: ["run_a"] })).toBe(true);
});
