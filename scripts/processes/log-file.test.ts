import { mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
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

test("a full disk takes lines and ends nobody, and is told of once", () => {
  const dir = mkdtempSync(join(tmpdir(), "berth-log-"));
  const path = join(dir, "one.log");
  symlinkSync("/dev/full", path);
  const told = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  const log = openLogFile(path, 10);
  for (const line of ["one", "two", "three"]) log.write(line);
  expect(told.mock.calls.map(([text]) => text)).toEqual([expect.stringMatching(/one\.log cannot be written.*ENOSPC/)]);
  told.mockRestore();
  log.close();
  unlinkSync(path);
  // What cannot be renamed stays the one that is written to.
  const other = openLogFile(join(dir, "other.log"), 1);
  other.write("long enough");
  rmSync(dir, { recursive: true });
  const silent = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  for (const line of ["two", "three"]) other.write(line);
  expect(silent).toHaveBeenCalledTimes(1);
  silent.mockRestore();
  other.close();
});
