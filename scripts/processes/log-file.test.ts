import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openLogFile } from "./log-file.ts";

test("a log file is readable by its owner alone, goes on after a restart, and keeps one predecessor at its limit", () => {
  const dir = mkdtempSync(join(tmpdir(), "berth-log-"));
  const path = join(dir, "logs/one.log");
  const first = openLogFile(path, 10);
  first.write("one");
  first.close();
  const second = openLogFile(path, 10);
  for (const line of ["two", "three", "four"]) second.write(line);
  second.close();
  expect(readFileSync(`${path}.1`, "utf8")).toBe("one\ntwo\nthree\n");
  expect(readFileSync(path, "utf8")).toBe("four\n");
  expect(statSync(path).mode & 0o777).toBe(0o600);
  rmSync(dir, { recursive: true });
});
