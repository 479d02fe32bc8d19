import { AppError } from "@berth/shared/errors";
import { and, asc, desc, eq, sql } from "drizzle-orm";
import * as fc from "fast-check";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { createTestApp, type TestApp } from "../../test/app.ts";
import { runs } from "../data/schema.ts";
import { afterCursor, lookThrough, pageQuery, startOf, toPage, type Page, type PageQuery } from "./paging.ts";

let gateway: TestApp;
beforeAll(async () => void (gateway = await createTestApp()));
afterAll(() => gateway.close());

interface Row {
  id: string;
  createdAt: string;
  status: string;
}
const place = { id: runs.id, createdAt: runs.createdAt };

/** The ways in which lists are read. */
const lists = {
  async "newest first"(userId: string, query: PageQuery) {
    const after = afterCursor(query, runs.createdAt, runs.id, "newest first");
    const found = gateway.deps.db
      .select(place)
      .from(runs)
      .where(and(eq(runs.userId, userId), after));
    const rows = await found.orderBy(desc(runs.createdAt), desc(runs.id)).limit(query.limit + 1);
    return toPage(rows, query.limit, ({ id }) => id);
  },
  async "oldest first"(userId: string, query: PageQuery) {
    const after = afterCursor(query, runs.createdAt, runs.id, "oldest first");
    const found = gateway.deps.db
      .select(place)
      .from(runs)
      .where(and(eq(runs.userId, userId), after));
    const rows = await found.orderBy(asc(runs.createdAt), asc(runs.id)).limit(query.limit + 1);
    return toPage(rows, query.limit, ({ id }) => id);
  },
  async "oldest first, by a prepared query"(userId: string, query: PageQuery) {
    const { createdAt, id } = startOf(query);
    const rows = await gateway.deps.db.all<Row>(sql`
      select id, created_at as "createdAt" from runs where user_id = ${userId} and (created_at, id) > (${createdAt}, ${id})
      order by created_at, id limit ${query.limit + 1}`);
    return toPage(rows, query.limit, (row) => row.id);
  },
  async "picked by a filter"(userId: string, query: PageQuery) {
    const after = afterCursor(query, runs.createdAt, runs.id, "newest first");
    const source = sql`from runs indexed by runs_user where user_id = ${userId} and ${after ?? sql`true`}`;
    const filter = [sql`status = 'failed'`];
    const looked = { sources: [source], filter, columns: sql<object>`null` };
    const { rows, endsAt } = await lookThrough(gateway.deps.db, looked, query, 7);
    const page = toPage(rows, query.limit, ({ id }) => id);
    return { ...page, nextCursor: page.nextCursor ?? endsAt };
  },
} satisfies Record<string, (userId: string, query: PageQuery) => Promise<Page<string>>>;

/** Many of one moment, and ids in any order: the cursor must hold by both. */
const row = fc.record({
  id: fc.stringMatching(/^[A-Za-z0-9_-]{1,4}$/),
  createdAt: fc.constantFrom("2026-01-01T00:00:00.000Z", "2026-01-01T00:00:00.001Z", "2026-01-02T00:00:00.000Z"),
  status: fc.constantFrom("failed", "completed"),
});
const rowsOf = (most: number) => fc.uniqueArray(row, { maxLength: most, selector: ({ id }) => id });

async function put(userId: string, rows: Row[]): Promise<void> {
  await gateway.deps.atomic([
    sql`insert into runs (id, user_id, agent_id, status, created_at, data)
      select ${userId} || json_extract(value, '$.id'), ${userId}, 'a', json_extract(value, '$.status'),
        json_extract(value, '$.createdAt'), '{}' from json_each(${JSON.stringify(rows)}) where true on conflict do nothing`,
  ]);
}

let users = 0;
test.each(Object.keys(lists) as (keyof typeof lists)[])(
  "a list %s, walked in pages while rows come and go, has what stays exactly once and in order",
  async (name) => {
    const change = fc.record({ come: rowsOf(3), go: fc.array(fc.nat(), { maxLength: 2 }) });
    await fc.assert(
      fc.asyncProperty(
        rowsOf(25),
        fc.integer({ min: 1, max: 6 }),
        fc.array(change, { maxLength: 6 }),
        async (first, limit, changes) => {
          const userId = `u${++users}_`;
          await put(userId, first);
          const gone = new Set<string>();
          const met: string[] = [];
          let cursor: string | undefined;
          for (let at = 0; ; at++) {
            const query = { limit, ...(cursor !== undefined && { cursor }) };
            const page = await lists[name](userId, query);
            expect(page.items.length).toBeLessThanOrEqual(limit);
            met.push(...page.items);
            if (page.nextCursor === null) break;
            cursor = pageQuery.parse({ cursor: page.nextCursor }).cursor!;
            const { come, go } = changes[at] ?? { come: [], go: [] };
            for (const pick of first.length > 0 ? go : []) gone.add(first[pick % first.length]!.id);
            await put(
              userId,
              come.filter(({ id }) => !first.some((one) => one.id === id)),
            );
            for (const id of gone) await gateway.deps.db.run(sql`delete from runs where id = ${userId + id}`);
          }
          const isFirst = new Set(first.map(({ id }) => userId + id));
          const stayed = first
            .filter(({ id, status }) => !gone.has(id) && (name !== "picked by a filter" || status === "failed"))
            .toSorted((a, b) => (`${a.createdAt} ${a.id}` < `${b.createdAt} ${b.id}` ? -1 : 1))
            .map(({ id }) => userId + id);
          const expected = name.startsWith("oldest") ? stayed : stayed.toReversed();
          expect(new Set(met).size).toBe(met.length);
          expect(met.filter((id) => isFirst.has(id) && !gone.has(id.slice(userId.length)))).toEqual(expected);
        },
      ),
      // Each statement is a call of its own in workerd.
      { numRuns: inject("workerdUrl") ? 6 : 40 },
    );
  },
);

test("any text as a cursor is a place or one refusal", () => {
  const encoded = (value: unknown) => Buffer.from(JSON.stringify(value) ?? "").toString("base64url");
  const cursor = fc.oneof(fc.string({ unit: "binary", maxLength: 60 }), fc.jsonValue().map(encoded));
  fc.assert(
    fc.property(cursor, (given) => {
      try {
        const { createdAt, id } = startOf({ limit: 1, cursor: given });
        expect([typeof createdAt, typeof id]).toEqual(["string", "string"]);
      } catch (error) {
        expect(error).toBeInstanceOf(AppError);
        expect(error).toMatchObject({ code: "invalid_request" });
      }
    }),
    { numRuns: 2000 },
  );
});

test.each([
  [1, true],
  [200, true],
  [0, false],
  [201, false],
])("a limit of %i is taken: %s", (limit, isTaken) => {
  expect(pageQuery.safeParse({ limit: String(limit) }).success).toBe(isTaken);
});

test("a limit in other writings than digits is refused", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 8 }), (text) => {
      const { success, data } = pageQuery.safeParse({ limit: text });
      if (!success) return;
      expect(text).toMatch(/^[0-9]+$/);
      expect(data.limit).toBe(Number(text));
    }),
    { numRuns: 1000 },
  );
});
