/** `npm test [-- FILTER...]`: with no filter types, lint, format and every suite; else the suites whose path has one of the filters in it. */
import { bundle } from "../build/bundle.ts";
import { runWithSettings } from "../setup/command.ts";
import { prepareMachine } from "../setup/machine.ts";
import { ensureTestPrograms } from "../setup/test-programs.ts";
import { runChecks } from "./checks.ts";
import { tell } from "./outcome.ts";
import { runSuites } from "./suites.ts";

/** Projects that run beside each other, for suites on engines wait as much as they work: for engines, deadlines, what others do. */
const lanes = [["e2e"], ["!e2e"]];

await runWithSettings(async (settings, filters) => {
  await prepareMachine(settings);
  await ensureTestPrograms();
  // Once for all suites: bundles, the dashboard, and what workerd serves of it.
  await bundle("gateway", "cli", "host");
  const checked = filters.length ? [] : [await runChecks()];
  const runs = filters.length ? [runSuites([], filters)] : lanes.map((lane) => runSuites(lane));
  process.exit(tell(...checked, ...(await Promise.all(runs))));
});
