/** What a run is told on a disk that is nearly full: a whole line or none. */
import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { endInput, messagesOf, tell, wasTold } from "../src/run/run-input.ts";
import type { Volume } from "../src/workspace/volume.ts";

let root: string;
let volume: Volume;
let input: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "berth-short-"));
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=1M", "tmpfs", root]);
  volume = { runs: root } as Volume;
  mkdirSync(join(root, "run"));
  input = join(root, "run/in");
  writeFileSync(input, "");
});
afterEach(() => {
  execFileSync("umount", ["-l", root]);
  rmSync(root, { recursive: true });
});

const messageOf = (id: string, length: number) => JSON.stringify({ type: "user", uuid: id, text: "y".repeat(length) });

test("a message that does not fit leaves no half line, and is taken once there is room", async () => {
  const { bavail, bsize } = statfsSync(root);
  writeFileSync(join(root, "ballast"), Buffer.alloc((bavail - 8) * bsize));
  await expect(tell(volume, "run", messageOf("first", 60_000))).rejects.toThrow("No space left");
  expect(readFileSync(input, "utf8")).toBe("");
  await tell(volume, "run", messageOf("second", 10));
  rmSync(join(root, "ballast"));
  // Beside each other: each has its own room.
  await Promise.all([tell(volume, "run", messageOf("first", 60_000)), tell(volume, "run", messageOf("third", 60_000))]);
  const ids = messagesOf(volume, "run")
    .trim()
    .split("\n")
    .map((line) => (JSON.parse(line) as { uuid: string }).uuid);
  expect(ids.toSorted()).toEqual(["first", "second", "third"]);
});

test("half a line, of a process that was killed as it wrote, was not told: the same is told to its end, and no other after it", async () => {
  const [first, second] = [messageOf("first", 10), messageOf("second", 10)];
  appendFileSync(input, first.slice(0, -8));
  expect([wasTold(volume, "run", "first"), messagesOf(volume, "run")]).toEqual([false, ""]);
  await expect(tell(volume, "run", second)).rejects.toMatchObject({ code: "conflict" });
  await tell(volume, "run", first);
  await tell(volume, "run", second);
  expect(readFileSync(input, "utf8")).toBe(`${first}\n${second}\n`);
  appendFileSync(input, "{");
  endInput(volume, "run");
  expect(readFileSync(input, "utf8").endsWith("\n{\n\n")).toBe(true);
});

test("what is known by its words is told once, whoever tells it at once with others, also after half of it", async () => {
  const [variables, message, answer] = ["variables", messageOf("first", 5000), '{"request_id":"asked"}'];
  appendFileSync(input, `${variables}\n${message.slice(0, -8)}`);
  expect(await tell(volume, "run", variables, { once: variables })).toBe(false);
  const told = async (line: string, once: string) => {
    const both = await Promise.all([tell(volume, "run", line, { once }), tell(volume, "run", line, { once })]);
    return both.filter(Boolean).length;
  };
  expect(await told(message, "first")).toBe(1);
  expect(await told(answer, '"request_id":"asked"')).toBe(1);
  expect(readFileSync(input, "utf8")).toBe(`${variables}\n${message}\n${answer}\n`);
});
