/** `npm test [-- FILTER...]`: with no filter types, lint, format and every suite; else the suites whose path has one of the filters in it. */
import { spawn } from "node:child_process";
import { startVitest, type Vitest } from "vitest/node";
import { ensureTestPrograms } from "./test-programs.ts";
import { bundle } from "./bundle.ts";
import { runWithSettings } from "./command.ts";
import { prepareMachine } from "./machine.ts";

const checks = [
  ["tsc", "-p", "."],
  // The gateway's core again, with neither Node's types nor a page's: web standards are all it has.
  ["tsc", "-p", "tsconfig.core.json"],
  ["tsc", "-p", "gateway/web"],
  ["oxlint", "--type-aware", "--deny-warnings"],
  ["oxfmt", "--check"],
];

// A test must not depend on what the operator has set.
for (const name of Object.keys(process.env))
  if (name.startsWith("BERTH_") || name.startsWith("ANTHROPIC_")) delete process.env[name];
await runWithSettings(async (settings, filters) => {
  await prepareMachine(settings);
  await ensureTestPrograms();
  // Once for all suites: bundles, the dashboard, and what workerd serves of it.
  await bundle("gateway", "cli", "host");
  const count = { passed: 0, failed: 0 };
  for (const check of filters.length ? [] : checks) count[(await runCheck(check)) ? "passed" : "failed"]++;
  const vitest = await startVitest("test", filters, { watch: false });
  countTests(vitest, count);
  await vitest.close();
  process.stdout.write(`${count.passed} passed, ${count.failed} failed\n`);
  // Vitest has an opinion too: an error outside of any test, or no test at all.
  process.exit(count.failed > 0 || process.exitCode ? 1 : 0);
});

function runCheck([program = "", ...args]: string[]): Promise<boolean> {
  process.stdout.write(`${[program, ...args].join(" ")}\n`);
  const child = spawn(program, args, { stdio: ["ignore", "inherit", "inherit"] });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve(code === 0));
  });
}

function countTests(vitest: Vitest, count: { passed: number; failed: number }): void {
  for (const file of vitest.state.getTestModules()) {
    if (file.errors().length > 0) count.failed++;
    for (const test of file.children.allTests()) {
      const { state } = test.result();
      if (state === "passed") count.passed++;
      else if (state === "failed") count.failed++;
    }
  }
  count.failed += vitest.state.getUnhandledErrors().length;
}
