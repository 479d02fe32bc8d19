/** An agent that holds a lease on its run's files (fcntl(2), F_SETLEASE) keeps nobody waiting, where its container lets it have one. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { noteBegun, readBeginning, readExit } from "../src/run/run-files.ts";
import { endInput, said, tell } from "../src/run/run-input.ts";
import { readLines, readTail, splitLines } from "../src/run/run-log.ts";
import type { Volume } from "../src/workspace/volume.ts";
import { makeOwnDirectory } from "@berth/shared/node/own-directory";

let dir: string;
let volume: Volume;
let holder: ChildProcess;
beforeEach(async () => {
  dir = makeOwnDirectory("held");
  volume = { runs: dir } as Volume;
  mkdirSync(join(dir, "run"));
  for (const [name, text] of Object.entries({ exit: "\nbegun\n0\n", out: "said\n", in: "told\n" }))
    writeFileSync(join(dir, "run", name), text);
  // As long as nobody asks for the file it stays; then it is taken away after 45 s (fs.lease-break-time).
  const hold = `$SIG{IO} = "IGNORE"; for (@ARGV) { open(my $file, "<", $_); fcntl($file, 1024, 1) or die $!; push @held, $file }
    $| = 1; print "held\\n"; sleep`;
  holder = spawn("perl", ["-e", hold, ...["exit", "out", "in"].map((name) => join(dir, "run", name))], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(holder.stdout!, "data");
});
afterEach(async () => {
  holder.kill("SIGKILL");
  await once(holder, "close");
  rmSync(dir, { recursive: true });
});

test("a run whose files are held has begun, has not ended and has said nothing, and takes no word", async () => {
  const turn = async () => {};
  const path = join(dir, "run", "out");
  const log = { path, speaksJson: false, sealedBytes: () => null, limitBytes: 100, longestLineBytes: 100, turn };
  expect(readExit(volume, "run")).toEqual({ hasBegun: true, code: null, isAhead: false });
  expect(readBeginning(volume, "run")).toBe("");
  expect(await readTail(path, 100)).toBe("");
  expect(await readLines(log, { at: 0, searched: 0 }, splitLines).next()).toEqual({
    done: true,
    value: { at: 0, searched: 0 },
  });
  const refusal = expect.objectContaining({ code: "conflict" });
  for (const job of [said, endInput, (...of: [Volume, string]) => tell(...of, "word")])
    expect(() => job(volume, "run")).toThrow(refusal);
  expect(() => noteBegun(volume, "run")).toThrow("EAGAIN");
});
