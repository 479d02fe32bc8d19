import Database from "better-sqlite3";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { openDatabase } from "./open.ts";
import { Statements } from "./statements.ts";

/** Statements on a database in memory, and the syncs that were begun: each ends when it is told how. */
function open() {
  const syncs: { resolve(): void; reject(error: Error): void }[] = [];
  const sync = () => new Promise<void>((resolve, reject) => void syncs.push({ resolve, reject }));
  const db = new Database(":memory:");
  const statements = new Statements({ db, log: { sync, close: async () => {} } });
  statements.sql("CREATE TABLE t (x)").run();
  const change = () => statements.atomicUnsynced(() => void statements.sql("INSERT INTO t VALUES (1)").run());
  return { db, statements, syncs, change };
}

test("whoever waits for the disk while one sync goes on shares the next, and nobody waits where nothing is due", async () => {
  const { statements, syncs, change } = open();
  await statements.synced();
  change();
  const first = statements.synced();
  await expect.poll(() => syncs.length).toBe(1);
  change();
  change();
  const others = [statements.synced(), statements.synced()];
  syncs[0]!.resolve();
  await first;
  await expect.poll(() => syncs.length).toBe(2);
  syncs[1]!.resolve();
  await Promise.all(others);
  await statements.synced();
  expect(syncs.length).toBe(2);
});

test("a sync that fails is told to who waits for it, and what it should have kept is due again", async () => {
  const { statements, syncs, change } = open();
  change();
  const failed = statements.synced();
  await expect.poll(() => syncs.length).toBe(1);
  syncs[0]!.reject(new Error("EIO"));
  await expect(failed).rejects.toThrow("EIO");
  const again = statements.synced();
  await expect.poll(() => syncs.length).toBe(2);
  syncs[1]!.resolve();
  await again;
});

test("only what says so is not synced at once, and a part of another transaction is what that is", () => {
  const { db, statements, change } = open();
  const levels: unknown[] = [];
  const note = () => levels.push(db.pragma("synchronous", { simple: true }));
  db.pragma("synchronous = FULL");
  statements.atomicUnsynced(note);
  statements.atomic(() => statements.atomicUnsynced(note));
  expect(() => statements.atomicUnsynced(() => (change(), db.exec("nonsense")))).toThrow("nonsense");
  statements.atomic(note);
  expect(levels).toEqual([1, 2, 2]);
  expect(statements.rows("SELECT * FROM t")).toEqual([]);
});

test("the write-ahead log of a database is synced where it lies", async () => {
  const dir = mkdtempSync(join(tmpdir(), "berth-statements-"));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const opened = openDatabase(join(dir, "host.db"));
  const statements = new Statements(opened);
  statements.atomicUnsynced(() => void statements.sql("CREATE TABLE t (x)").run());
  await statements.synced();
  await opened.log!.sync();
  statements.close();
  await expect(opened.log!.sync()).rejects.toThrow();
});
