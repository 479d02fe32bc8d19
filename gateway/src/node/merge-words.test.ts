import { join } from "node:path";
import { sql } from "drizzle-orm";
import { expect, test } from "vitest";
import { makeDirectory } from "../../test/directory.ts";
import { openDatabase } from "./data.ts";
import { createWordMerger } from "./merge-words.ts";

test("commits merge nothing of the index of words, turns of its own all of it, and the same is found", async () => {
  const { db, atomic, close } = openDatabase(join(makeDirectory("berth-words-"), "gateway.sqlite"));
  const parts = async () => {
    const [row] = await db.all<{ count: number }>(sql`select count(distinct segid) as count from run_words_idx`);
    return row!.count;
  };
  const found = () => db.all(sql`select rowid from run_words where run_words match 'common' order by rowid`);
  // Of one commit each, with so many words that FTS5 would merge by itself.
  const words = Array.from({ length: 2000 }, (_, at) => `word${at}`).join(" ");
  for (let at = 1; at <= 12; at++)
    await atomic([sql`insert into run_words (rowid, owner, prompt) values (${at}, 'a', ${`common ${words}`})`]);
  const before = await found();
  expect([await parts(), before.length]).toEqual([12, 12]);
  const merge = createWordMerger(atomic);
  for (let turn = 0; turn < 10; turn++) await merge();
  expect(await parts()).toBe(1);
  expect(await found()).toEqual(before);
  close();
});
