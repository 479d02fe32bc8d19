import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createLog } from "@berth/shared/log";
import { parseSettings } from "@berth/shared/settings";
import { openIdentity } from "../membership/identity.ts";
import { hasPayload, makeRunFiles, readExit, removeRunFiles, sealRunFiles } from "../run/run-files.ts";
import { readTail } from "../run/run-log.ts";
import { writePasswd } from "../workspace/container.ts";
import { makeContext } from "../../test/context.ts";
import { inMemory } from "../../test/memory.ts";
import { hasAnythingOf } from "../inside/users.ts";
import { Store } from "../store/store.ts";
import { ownerOf } from "../workspace/volume.ts";
import { Volumes } from "../workspace/volumes.ts";
import { Workspaces, type WorkspaceDeps } from "../workspace/workspaces.ts";

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
    await expect(readTail(join(brokenVolume().runs, "out"), 10, 10)).rejects.toThrow("ELOOP");
  });
});

/** A user's image whose name leads nowhere but to itself. */
async function brokenImage(): Promise<Volumes> {
  await mkdir(join(root, "volumes"));
  symlinkSync(join(root, "volumes", "usr_1.img"), join(root, "volumes", "usr_1.img"));
  return new Volumes(root, 2 ** 26);
}

describe("a volume that cannot be looked at is not taken for one that is not there:", () => {
  test("its user's container, in which runs go on, is neither adopted nor removed", async () => {
    const store = new Store(inMemory(), Date.now);
    const calls: string[] = [];
    const state = { id: "c", running: true, paused: false, pid: 1, startedAt: "2026-01-01T00:00:00Z", labels: {} };
    const engine = {
      inspectContainer: async () => state,
      removeContainer: async (id: string) => void calls.push(`remove ${id}`),
    };
    const deps = { context: makeContext(root), engine, store, volumes: await brokenImage() };
    const workspaces = new Workspaces(deps as unknown as WorkspaceDeps);
    await expect(workspaces.find("usr_1")).rejects.toThrow("ELOOP");
    expect(calls).toEqual([]);
    store.close();
  });
  test("its user is not told as gone", async () => {
    const store = new Store(inMemory(), Date.now);
    expect(hasAnythingOf({ store, volumes: await brokenImage() }, "usr_1")).toBe(true);
    expect(hasAnythingOf({ store, volumes: new Volumes(root, 2 ** 26) }, "usr_2")).toBe(false);
    store.close();
  });
  test("its runs' files are neither sealed, nor removed, nor made, nor without a payload", async () => {
    const volume = brokenVolume();
    await expect(sealRunFiles(volume, "run_1", 1)).rejects.toThrow("ELOOP");
    await expect(removeRunFiles(volume, "run_1")).rejects.toThrow("ELOOP");
    const files = {
      token: "brt_1",
      container: "c",
      prompt: "",
      attachments: null,
      payload: null,
      env: "",
      instructions: null,
      in: null,
    };
    await expect(makeRunFiles(volume, "run_1", 1, files)).rejects.toThrow("ELOOP");
    expect(() => hasPayload(volume, "run_1")).toThrow("ELOOP");
  });
});

test("a path that is not there is an answer", async () => {
  const volume = { limitBytes: 0, root, workspace: root, runs: root, tmp: root, trash: root, uids: root };
  expect(readExit(volume, "run_1")).toEqual({ hasBegun: false, code: null, isAhead: false });
  expect(await ownerOf(volume, "agt_1")).toBeNull();
  expect(await readTail(join(root, "out"), 10, 10)).toBe("");
  writeFileSync(join(root, "out"), "");
  expect(await readTail(join(root, "out"), 10, 10)).toBe("");
});
