import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { hasEntries } from "./kept-memory.ts";

test("a directory has entries, or none, or is none", async () => {
  const directory = mkdtempSync(join(tmpdir(), "berth-kept-"));
  mkdirSync(join(directory, "one"));
  const asked = [directory, join(directory, "one"), join(directory, "none")];
  expect(await Promise.all(asked.map(hasEntries))).toEqual([true, false, false]);
  rmSync(directory, { recursive: true });
});
