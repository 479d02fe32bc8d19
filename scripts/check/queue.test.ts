import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { queue } from "../../vitest.config.ts";

test("every suite on a real engine stands in the queue, once, and every name there is a suite", () => {
  const files = readdirSync(join(import.meta.dirname, "../../e2e")).filter((name) => name.endsWith(".test.ts"));
  expect(queue.toSorted()).toEqual(files.map((name) => `/e2e/${name}`).toSorted());
});
