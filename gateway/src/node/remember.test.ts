import { sql } from "drizzle-orm";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestApp, type TestApp } from "../../test/app.ts";
import { makeDirectory } from "../../test/directory.ts";
import { remember } from "../data/remember.ts";
import { openDatabase } from "./data.ts";

/** The tickets with this id, and how often they were read. */
function countReads() {
  let reads = 0;
  const find = remember(async (db, id: string) => {
    reads += 1;
    return db.all<{ id: string }>(sql`select id from used_tickets where id like ${id}`);
  });
  return { find, reads: () => reads };
}
const use = (id: string) => sql`insert into used_tickets (id, expires_at) values (${id}, '2030')`;

test("what was read is kept by its words until this process changes anything, or another one does", async () => {
  const path = join(makeDirectory("berth-remember-"), "gateway.sqlite");
  const [own, other] = [openDatabase(path), openDatabase(path)];
  const { find, reads } = countReads();
  for (let at = 0; at < 3; at++) expect(await find(own, "a")).toEqual([]);
  expect(await find(own, "b")).toEqual([]);
  expect(reads()).toBe(2);
  await own.atomic([use("a")]);
  expect(await find(own, "a")).toEqual([{ id: "a" }]);
  await other.atomic([use("b")]);
  expect(await find(own, "b")).toEqual([{ id: "b" }]);
  await other.db.run(sql`delete from used_tickets where id = 'b'`);
  expect([await find(own, "b"), await find(own, "a")]).toEqual([[], [{ id: "a" }]]);
  expect(reads()).toBe(6);
  own.close();
  other.close();
});

test("without a version each call reads", async () => {
  const { db, close } = openDatabase(join(makeDirectory("berth-remember-"), "gateway.sqlite"));
  const { find, reads } = countReads();
  await find({ db }, "a");
  await find({ db }, "a");
  expect(reads()).toBe(2);
  close();
});

test("a read that fails is none, and what is over the bound is let go", async () => {
  const { db, version, close } = openDatabase(join(makeDirectory("berth-remember-"), "gateway.sqlite"));
  let reads = 0;
  const grow = remember(async (_db, characters: string) => {
    if (++reads === 1) throw new Error("no");
    return "x".repeat(Number(characters));
  });
  await expect(grow({ db, version }, "1")).rejects.toThrow("no");
  for (let at = 0; at < 2; at++) expect(await grow({ db, version }, "1")).toBe("x");
  expect(reads).toBe(2);
  await grow({ db, version }, "3000000");
  await grow({ db, version }, "1");
  expect(reads).toBe(4);
  close();
});

let gateway: TestApp;
let second: ReturnType<typeof openDatabase>;
beforeAll(async () => {
  gateway = await createTestApp();
  second = openDatabase(join(gateway.dir, "gateway.sqlite"));
});
afterAll(async () => {
  second.close();
  await gateway.close();
});

test("a credential that another process on the database revokes, and a user that it disables, are refused by the next call", async () => {
  const [revoked, disabled] = [await gateway.addUser("revoked"), await gateway.addUser("disabled")];
  const status = async ({ token }: { token: string }) => (await gateway.call("GET", "/v1/agents", { token })).status;
  const both = async () => [await status(revoked), await status(disabled)];
  expect([await both(), await both()]).toEqual([
    [200, 200],
    [200, 200],
  ]);
  await second.atomic([sql`update tokens set revoked_at = '2026' where id = ${revoked.tokenId}`]);
  expect(await both()).toEqual([401, 200]);
  await second.atomic([sql`update users set disabled = 1 where id = ${disabled.id}`]);
  expect(await both()).toEqual([401, 401]);
});

test("an agent that another process adds is in the next list", async () => {
  const user = await gateway.addUser("lister");
  const list = async () => (await gateway.call("GET", "/v1/agents", { token: user.token })).json().items.length;
  await gateway.call("POST", "/v1/agents", { token: user.token, body: { name: "one" } });
  expect([await list(), await list()]).toEqual([1, 1]);
  await second.atomic([
    sql`insert into agents (id, user_id, name, runtime, version, created_at, updated_at, env_keys)
      values ('agt_2', ${user.id}, 'two', 'shell', 1, '2026', '2026', '[]')`,
  ]);
  expect(await list()).toBe(2);
});
