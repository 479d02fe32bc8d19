/** What the host agent relies on of engine, kernel and files, asked of real ones; the simulation asks its model the same. */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../gateway/test/wait.ts";
import { cases } from "../host-agent/test/contract/cases.ts";
import type { Place } from "../host-agent/test/contract/place.ts";
import { type PrivateEngine, startPrivateEngine } from "./engines/private-engine.ts";
import { connectEngine } from "../host-agent/src/machine/engine.ts";
import { makeOwnDirectory } from "@berth/shared/node/own-directory";

const uid = 20_123;
const programs: Record<string, string> = {
  null: "exec sleep 600",
  greedy: "head -c 600000000 /dev/zero | tail",
};
const dir = makeOwnDirectory("contract");
const volume = join(dir, "volume");
let count = 0;
/** What is mounted now. */
let image = join(dir, "image");
let engine: PrivateEngine;
let place: Place;

function mountImage(path: string): void {
  execFileSync("mount", ["-o", "loop", path, volume]);
  image = path;
}

beforeAll(async () => {
  execFileSync("truncate", ["-s", "16M", image]);
  execFileSync("mkfs.ext4", ["-q", image]);
  mkdirSync(volume);
  mountImage(image);
  engine = await startPrivateEngine("berth-workspace", "--live-restore");
  const directory = () => {
    const path = join(volume, String(++count));
    mkdirSync(path);
    return path;
  };
  place = {
    engine: await connectEngine(engine.host),
    uid,
    directory,
    spec: () => ({
      name: `berth-contract-${crypto.randomUUID()}`,
      image: "berth-workspace",
      labels: { "berth.contract": "yes", "berth.case": crypto.randomUUID() },
      memoryBytes: 2 ** 28,
      cpus: 1,
      pids: 64,
      mounts: [],
    }),
    exec: (end) => ({
      command: ["bash", "-c", programs[String(end)] ?? `exit ${end}`],
      env: [],
      uid,
      gid: 19_001,
      workingDir: "/",
    }),
    async fullDirectory() {
      const path = directory();
      writeFileSync(join(path, "begun"), "\n");
      try {
        writeFileSync(join(path, "filler"), Buffer.alloc(2 ** 24));
      } catch {
        // What fits is there.
      }
      return path;
    },
    failDisk() {
      execFileSync("mount", ["-o", "remount,ro", volume]);
      return () => void execFileSync("mount", ["-o", "remount,rw", volume]);
    },
    crash() {
      const copy = join(dir, `image-${++count}`);
      execFileSync("cp", ["--sparse=always", image, copy]);
      execFileSync("umount", ["-l", volume]);
      mountImage(copy);
    },
    async restartEngine(letsGoOn) {
      await engine.end("SIGKILL");
      await engine.start(...(letsGoOn ? ["--live-restore"] : []));
    },
    until: async (check) => void (await until(async () => (await check()) || null, "it is as it must become")),
  };
});
afterAll(async () => {
  await engine?.close();
  execFileSync("umount", [volume]);
  await rm(dir, { recursive: true });
});

test.each(cases)("$name", async ({ ask, answer }) => {
  expect(await ask(place)).toEqual(answer);
});
