import { statSync } from "node:fs";
import { join } from "node:path";
import { sql } from "drizzle-orm";
import { expect, test } from "vitest";
import { makeDirectory } from "../../test/directory.ts";
import { openDatabase } from "./data.ts";

test("what is a copy waits for no disk, and all else does, also after a copy that was refused", async () => {
  const { atomic, close } = openDatabase(join(makeDirectory("berth-data-"), "gateway.sqlite"));
  const level = sql`select synchronous from pragma_synchronous`;
  expect(await atomic([level], "copy")).toEqual([[{ synchronous: 1 }]]);
  expect(await atomic([level])).toEqual([[{ synchronous: 2 }]]);
  await expect(atomic([sql`insert into used_tickets (id, expires_at) values ('a', null)`], "copy")).rejects.toThrow(
    /NOT NULL/,
  );
  expect(await atomic([level])).toEqual([[{ synchronous: 2 }]]);
  close();
});

const use = (id: string, expiresAt: string | null) => [
  sql`insert into used_tickets (id, expires_at) values (${id}, ${expiresAt}) returning id`,
];

test("batches that come at once are one transaction", async () => {
  const path = join(makeDirectory("berth-data-"), "gateway.sqlite");
  const { atomic, close } = openDatabase(path);
  const written = async (work: () => Promise<unknown>) => {
    const before = statSync(`${path}-wal`).size;
    await work();
    return statSync(`${path}-wal`).size - before;
  };
  const one = await written(() => atomic(use("one", "2030")));
  const ten = await written(() =>
    Promise.all(Array.from({ length: 10 }, (_, at) => atomic(use(`of ten ${at}`, "2030")))),
  );
  expect(ten).toBe(one);
  close();
});

test("of batches that come at once each fails alone, and answers what is its own", async () => {
  const { db, atomic, close } = openDatabase(join(makeDirectory("berth-data-"), "gateway.sqlite"));
  const done = await Promise.allSettled([
    atomic(use("a", "2030")),
    atomic([...use("b", "2030"), ...use("c", null)]),
    atomic(use("d", "2030"), "copy"),
    atomic(use("a", "2030")),
  ]);
  const answers = done.map((one) => (one.status === "fulfilled" ? one.value : "failed"));
  expect(answers).toEqual([[[{ id: "a" }]], "failed", [[{ id: "d" }]], "failed"]);
  expect(await db.all(sql`select id from used_tickets order by id`)).toEqual([{ id: "a" }, { id: "d" }]);
  const last = atomic(use("e", "2030"));
  close();
  expect(await last).toEqual([[{ id: "e" }]]);
});
