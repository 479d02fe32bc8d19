import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseSettings } from "@berth/shared/settings";
import { expect, test } from "vitest";
import { neededCounts } from "../workspace/container.ts";
import { raiseCounts } from "./proc.ts";

test("what the kernel counts for the whole machine is raised where it is lower, and never lowered", () => {
  const root = mkdtempSync(join(tmpdir(), "berth-counts-"));
  for (const directory of ["kernel/pty", "fs"]) mkdirSync(join(root, directory), { recursive: true });
  const write = (name: string, value: string) => writeFileSync(join(root, name), `${value}\n`);
  write("kernel/pty/max", "4096");
  write("kernel/pid_max", "4194304");
  write("kernel/threads-max", "63000");
  write("fs/file-max", "9223372036854775807");
  const needed = neededCounts(parseSettings({}));
  expect(raiseCounts(needed, root)).toEqual(["kernel/pty/max", "kernel/threads-max"]);
  expect(raiseCounts(needed, root)).toEqual([]);
  const read = (name: string) => Number(readFileSync(join(root, name), "utf8"));
  expect(read("kernel/pty/max")).toBeGreaterThanOrEqual(1024 + 200 * 128);
  expect(read("kernel/threads-max")).toBeGreaterThan(200 * 512);
  expect(read("kernel/pid_max")).toBe(2 ** 22);
  expect(() => raiseCounts(needed, join(root, "nowhere"))).toThrow("ENOENT");
});
