/** `npm test [-- FILTER...]`: with no filter types, lint, format and every suite; else the suites whose path has one of the filters in it. */
import { bundle } from "../build/bundle.ts";
import { runWithSettings } from "../setup/command.ts";
import { prepareMachine } from "../setup/machine.ts";
import { ensureTestPrograms } from "../setup/test-programs.ts";
import { runChecks } from "./checks.ts";
import { tell } from "./outcome.ts";
import { runSuites } from "./suites.ts";

/** What needs the machine prepared; all else runs meanwhile. */
const onMachine = ["e2e", "host-agent-machine", "builds"];

await runWithSettings(async (settings, filters) => {
  const prepare = async () => {
    await prepareMachine(settings);
    await ensureTestPrograms();
    // Once for all suites: bundles, the dashboard, and what workerd serves of it.
    await bundle("gateway", "cli", "host");
  };
  const runAll = () => [
    runChecks(),
    runSuites(onMachine.map((name) => `!${name}`)),
    prepare().then(() => runSuites(onMachine)),
  ];
  const runs = filters.length ? [prepare().then(() => runSuites([], filters))] : runAll();
  process.exit(tell(...(await Promise.all(runs))));
});
