/** What must hold of the tree before any test runs: types, lint, format. `check`, `quick` and `test` run this one list. */
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import type { Outcome } from "./outcome.ts";

const checks = [
  ["tsc", "-p", "."],
  // The gateway's core again, with neither Node's types nor a page's: web standards are all it has.
  ["tsc", "-p", "tsconfig.core.json"],
  ["tsc", "-p", "gateway/web"],
  ["oxlint", "--type-aware", "--deny-warnings"],
  ["oxfmt", "--check"],
];

/** Runs all of them beside each other, says how each went and shows what those say that fail. */
export async function runChecks(): Promise<Outcome> {
  const isGood = await Promise.all(checks.map(runCheck));
  const failed = checks.filter((_, at) => !isGood[at]).map((check) => check.join(" "));
  return { passed: checks.length - failed.length, failed };
}

async function runCheck([program = "", ...args]: string[]): Promise<boolean> {
  const startedAt = performance.now();
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise<number | null>((resolve, reject) => child.once("error", reject).once("close", resolve));
  const said = await Promise.all([text(child.stdout), text(child.stderr)]);
  const isGood = (await ended) === 0;
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  process.stdout.write(`${isGood ? "✓" : "✗"} ${[program, ...args].join(" ")} (${seconds} s)\n`);
  if (!isGood) process.stdout.write(said.join(""));
  return isGood;
}
