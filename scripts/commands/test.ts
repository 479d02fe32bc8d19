/** `npm test [-- FILTER...]`: with no filter types, lint, format and every suite; else the suites whose path has one of the filters in it. */
import { spawn } from "node:child_process";
import { startVitest, type TestModule, type Vitest } from "vitest/node";
import { ensureTestPrograms } from "../setup/test-programs.ts";
import { bundle } from "../build/bundle.ts";
import { runWithSettings } from "./command.ts";
import { prepareMachine } from "../setup/machine.ts";

const checks = [
  ["tsc", "-p", "."],
  // The gateway's core again, with neither Node's types nor a page's: web standards are all it has.
  ["tsc", "-p", "tsconfig.core.json"],
  ["tsc", "-p", "gateway/web"],
  ["oxlint", "--type-aware", "--deny-warnings"],
  ["oxfmt", "--check"],
];

/** Projects that run beside each other, for suites on engines wait as much as they work: for engines, deadlines, what others do. */
const lanes = [["e2e"], ["!e2e"]];

// A test must not depend on what the operator has set.
for (const name of Object.keys(process.env))
  if (name.startsWith("BERTH_") || name.startsWith("ANTHROPIC_")) delete process.env[name];
await runWithSettings(async (settings, filters) => {
  await prepareMachine(settings);
  await ensureTestPrograms();
  // Once for all suites: bundles, the dashboard, and what workerd serves of it.
  await bundle("gateway", "cli", "host");
  const due = filters.length ? [] : checks;
  const isGood = await Promise.all(due.map(runCheck));
  const failed = due.filter((_, at) => !isGood[at]).map((check) => check.join(" "));
  let passed = due.length - failed.length;
  const run = (project: string[]) => startVitest("test", filters, { watch: false, project });
  for (const vitest of await Promise.all((filters.length ? [[]] : lanes).map(run))) {
    passed += countPassed(vitest);
    failed.push(...namesOfFailed(vitest));
    await vitest.close();
  }
  // Last, and each in a line: the end is what is kept of a long output.
  process.stdout.write(
    [...failed.map((name) => `failed: ${name}`), `${passed} passed, ${failed.length} failed\n`].join("\n"),
  );
  // Vitest has an opinion too: an error outside of any test, or no test at all.
  process.exit(failed.length > 0 || process.exitCode ? 1 : 0);
});

function runCheck([program = "", ...args]: string[]): Promise<boolean> {
  process.stdout.write(`${[program, ...args].join(" ")}\n`);
  const child = spawn(program, args, { stdio: ["ignore", "inherit", "inherit"] });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve(code === 0));
  });
}

function countPassed(vitest: Vitest): number {
  const tests = vitest.state.getTestModules().flatMap((file) => [...file.children.allTests("passed")]);
  return tests.length;
}

/** Tests, files that could not be read, and errors outside of any test. */
function namesOfFailed(vitest: Vitest): string[] {
  const ofFile = (file: TestModule) => [
    ...(file.errors().length > 0 ? [file.relativeModuleId] : []),
    ...[...file.children.allTests("failed")].map((test) => `${file.relativeModuleId} > ${test.fullName}`),
  ];
  const outside = vitest.state
    .getUnhandledErrors()
    .map((error) => (error as Partial<Error>).message ?? "an error outside of any test");
  return [...vitest.state.getTestModules().flatMap(ofFile), ...outside.map((message) => message.split("\n")[0]!)];
}
