/** Vitest's suites, started from here: what passed, and what failed by name. */
import { relative } from "node:path";
import { startVitest, type TestModule, type Vitest } from "vitest/node";
import type { Outcome } from "./outcome.ts";

/**
 * Runs the projects (all without any named), of their files those whose path has one of the filters in it; `maxWorkers` at
 * once where the projects do not say, one core fewer than there are without it; of the files a share (`1/2`), if one is named.
 */
export async function runSuites(
  projects: string[],
  filters: string[] = [],
  more: { maxWorkers?: number; shard?: string; reporters?: "verbose"[] } = {},
): Promise<Outcome> {
  const vitest = await startVitest("test", filters, { watch: false, project: projects, ...more });
  const outcome = { passed: countPassed(vitest), failed: namesOfFailed(vitest) };
  await vitest.close();
  return outcome;
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
  const files = vitest.state.getTestModules();
  const none = files.length === 0 ? ["no suite could be started: the reason stands above"] : [];
  return [...none, ...files.flatMap(ofFile), ...vitest.state.getUnhandledErrors().map(nameOutside)];
}

/** By the file that ran meanwhile, where Vitest knows one: so it can be run again. */
function nameOutside(error: unknown): string {
  const { message = "an error outside of any test", VITEST_TEST_PATH: path } = error as Partial<Error> & {
    VITEST_TEST_PATH?: string;
  };
  return [...(path ? [relative(process.cwd(), path)] : []), message.split("\n")[0]!].join(" > ");
}
