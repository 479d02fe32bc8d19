/** `npm test [-- FILTER...]`: with no filter types, lint, format and every suite; else the suites whose path has one of the filters in it. */
import { bundle } from "../build/bundle.ts";
import { runWithSettings } from "../setup/command.ts";
import { prepareMachine } from "../setup/machine.ts";
import { ensureTestPrograms } from "../setup/test-programs.ts";
import { runChecks } from "./checks.ts";
import { type Outcome, tell } from "./outcome.ts";
import { runSuites } from "./suites.ts";

/** What needs the machine prepared; all else runs meanwhile. */
const onMachine = ["e2e", "host-agent-machine", "builds"];
/** Has processes of its own: it begins with the others, for at the end it would go on alone. */
const simulation = "simulation";
/** More files with failures than this are no chance; one cause can fail each test of a file that shares what it prepared. */
const mostAgain = 4;

await runWithSettings(async (settings, filters) => {
  const prepare = async () => {
    await prepareMachine(settings);
    await ensureTestPrograms();
    // Once for all suites: bundles, the dashboard, and what workerd serves of it.
    await bundle("gateway", "cli", "host");
  };
  const runAll = async () => {
    const [checks, simulated, pure, machine] = await Promise.all([
      runChecks(),
      runSuites([simulation]),
      runSuites([...onMachine, simulation].map((name) => `!${name}`)),
      prepare().then(() => runSuites(onMachine)),
    ]);
    return [checks, simulated, await tryAgain(pure, machine)];
  };
  process.exit(tell(...(filters.length ? [await prepare().then(() => runSuites([], filters))] : await runAll())));
});

/**
 * Flaky or broken: what failed of the suites on real sockets, kernels and engines, when little did, runs once more, with nothing else
 * beside it. A test that passes then is told by name as flaky: it, or the product, was not up to a busy machine.
 */
async function tryAgain(...outcomes: Outcome[]): Promise<Outcome> {
  const first = {
    passed: outcomes.reduce((sum, { passed }) => sum + passed, 0),
    failed: outcomes.flatMap(({ failed }) => failed),
  };
  const files = [...new Set(first.failed.map((name) => name.split(" > ")[0]!))];
  // What names no file is no test: an error outside of any, or a suite that could not be started.
  const canBeAgain = files.every((file) => file.endsWith(".test.ts")) && files.length <= mostAgain;
  if (files.length === 0 || !canBeAgain) return first;
  process.stdout.write(`\nagain, alone: ${files.join(", ")}\n`);
  process.exitCode = 0;
  const again = await runSuites([`!${simulation}`], files);
  return {
    passed: first.passed + first.failed.filter((name) => !again.failed.includes(name)).length,
    failed: again.failed,
    flaky: first.failed.filter((name) => !again.failed.includes(name)),
  };
}
