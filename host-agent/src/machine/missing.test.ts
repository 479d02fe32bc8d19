import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createLog } from "@berth/shared/log";
import { parseSettings } from "@berth/shared/settings";
import { openIdentity } from "../membership/identity.ts";
import { readExit } from "../run/run-files.ts";
import { readTail } from "../run/run-log.ts";
import { writePasswd } from "../workspace/container.ts";
import { ownerOf } from "../workspace/volume.ts";

let root: string;
beforeEach(() => void (root = mkdtempSync(join(tmpdir(), "berth-missing-"))));
afterEach(() => rmSync(root, { recursive: true }));

/** A volume whose directories cannot be looked into: an error, and no ENOENT. */
function brokenVolume() {
  const loop = join(root, "loop");
  symlinkSync(loop, loop);
  return { limitBytes: 0, root: loop, workspace: loop, runs: loop, tmp: loop, trash: loop, uids: loop };
}
const settings = parseSettings({});
const log = createLog(() => {});

describe("a path that cannot be read is not taken for one that is not there:", () => {
  test("a run whose `exit` cannot be read has not 'not begun'", () => {
    expect(() => readExit(brokenVolume(), "run_1")).toThrow("ELOOP");
  });
  test("an agent whose directory cannot be looked at has not 'no owner'", async () => {
    await expect(ownerOf(brokenVolume(), "agt_1")).rejects.toThrow("ELOOP");
  });
  test("a passwd file that cannot be read is not written anew", async () => {
    await mkdir(join(root, "passwd"));
    await expect(writePasswd(join(root, "passwd"), [])).rejects.toThrow("EISDIR");
  });
  test("a host whose identity cannot be read does not join again", async () => {
    await mkdir(join(root, "host.json"));
    await expect(openIdentity(settings, root, log, AbortSignal.timeout(60_000))).rejects.toThrow("EISDIR");
  });
  test("output that cannot be read is not empty output", async () => {
    await expect(readTail(join(brokenVolume().runs, "out"), 10)).rejects.toThrow("ELOOP");
  });
});

test("a path that is not there is an answer", async () => {
  const volume = { limitBytes: 0, root, workspace: root, runs: root, tmp: root, trash: root, uids: root };
  expect(readExit(volume, "run_1")).toEqual({ hasBegun: false, code: null, isAhead: false });
  expect(await ownerOf(volume, "agt_1")).toBeNull();
  expect(await readTail(join(root, "out"), 10)).toBe("");
  writeFileSync(join(root, "out"), "");
  expect(await readTail(join(root, "out"), 10)).toBe("");
});
