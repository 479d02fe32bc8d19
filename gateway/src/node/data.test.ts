import { join } from "node:path";
import { sql } from "drizzle-orm";
import { expect, test } from "vitest";
import { makeDirectory } from "../../test/directory.ts";
import { openDatabase } from "./data.ts";

test("what is a copy waits for no disk, and all else does, also after a copy that was refused", async () => {
  const { atomic, close } = openDatabase(join(makeDirectory("berth-data-"), "gateway.sqlite"));
  const level = sql`pragma synchronous`;
  expect(await atomic([level], "copy")).toEqual([[{ synchronous: 1 }]]);
  expect(await atomic([level])).toEqual([[{ synchronous: 2 }]]);
  await expect(atomic([sql`insert into used_tickets (id, expires_at) values ('a', null)`], "copy")).rejects.toThrow(
    /NOT NULL/,
  );
  expect(await atomic([level])).toEqual([[{ synchronous: 2 }]]);
  close();
});
