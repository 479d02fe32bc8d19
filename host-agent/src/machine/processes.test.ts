import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { hasVariable } from "./processes.ts";

/** A program with this environment, in this order, for as long as the look takes. */
async function look(env: Record<string, string>, ...lines: string[]): Promise<boolean[]> {
  const child = spawn("/bin/cat", [], { env, stdio: ["pipe", "pipe", "ignore"] });
  try {
    child.stdin.write("up");
    await once(child.stdout, "data");
    return lines.map((line) => hasVariable(child.pid!, line));
  } finally {
    child.kill("SIGKILL");
    await once(child, "close");
  }
}

test("a process is known by a line of its environment, whole", async () => {
  const env = { FIRST: "1", SECOND: "two", LAST: "3" };
  const asked = ["FIRST=1", "SECOND=two", "LAST=3", "SECOND=tw", "ECOND=two", "FIRST"];
  expect(await look(env, ...asked)).toEqual([true, true, true, false, false, false]);
  expect(hasVariable(2 ** 22 + 1, "FIRST=1")).toBe(false);
});

test("of an environment of megabytes a bounded part is looked at", async () => {
  const large = Object.fromEntries(Array.from({ length: 10 }, (_, at) => [`LARGE${at}`, "x".repeat(120_000)]));
  expect(await look({ FIRST: "1", ...large, LAST: "3" }, "FIRST=1", "LAST=3")).toEqual([true, false]);
});
