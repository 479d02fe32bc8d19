import Sqlite from "better-sqlite3";
import { join } from "node:path";
import { expect, test } from "vitest";
import { makeDirectory } from "../../test/directory.ts";
import { selectDeliveries } from "../webhooks/deliveries.ts";
import { openDatabase } from "./data.ts";

test("a list of deliveries is read beside their payloads, not through them", () => {
  const path = join(makeDirectory("berth-listed-"), "gateway.sqlite");
  const { db, close } = openDatabase(path);
  const { sql, params } = selectDeliveries(db, "trg_1", { limit: 200 }).toSQL();
  const file = new Sqlite(path, { readonly: true });
  const plan = file.prepare(`explain query plan ${sql}`).all(...params) as { detail: string }[];
  expect(plan.map(({ detail }) => detail)).toContain(
    "SEARCH deliveries USING COVERING INDEX deliveries_listed (trigger_id=?)",
  );
  file.close();
  close();
});
