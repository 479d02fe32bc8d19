import * as fc from "fast-check";
import { expect, test } from "vitest";
import { newId, runIdOf } from "./ids.ts";
import { id } from "./values.ts";

test("the same words give the same run id, other words another, however they are cut", async () => {
  const words = fc.array(fc.string({ unit: "binary" }), { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(words, words, async (some, others) => {
      const [one, again, other] = await Promise.all([runIdOf(...some), runIdOf(...some), runIdOf(...others)]);
      expect(one).toBe(again);
      expect(one === other).toBe(JSON.stringify(some) === JSON.stringify(others));
      expect(id.parse(one)).toBe(one);
    }),
  );
  expect(await runIdOf("ab", "c")).not.toBe(await runIdOf("a", "bc"));
});

test("a new id is an id, and no two are alike", () => {
  const made = Array.from({ length: 1000 }, () => newId("agt"));
  for (const one of made) expect(id.parse(one)).toBe(one);
  expect(new Set(made).size).toBe(made.length);
});
