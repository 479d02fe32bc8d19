/** `npm run quick`: types, lint, format, and every test that needs neither root nor an engine nor programs of the machine. */
import { runWithSettings } from "../setup/command.ts";
import { runChecks } from "./checks.ts";
import { tell } from "./outcome.ts";
import { runSuites } from "./suites.ts";

/** On two cores with nothing else to do. It is said, not enforced: another machine, or a busy one, is no fault of a change. */
const budgetSeconds = 60;
/**
 * Each a process that loads its suites' modules once; in a queue that all take from, every process loads all of them. The
 * gateway's wait for deadlines, and one process with all of them would be the last to end.
 */
const lanes: { projects: string[]; shard?: string }[] = [
  { projects: ["gateway"], shard: "1/2" },
  { projects: ["gateway"], shard: "2/2" },
  { projects: ["host-agent"] },
  { projects: ["shared", "web", "scripts", "together", "judge"] },
];

await runWithSettings(async () => {
  const startedAt = performance.now();
  const suites = lanes.map(({ projects, ...shard }) => runSuites(projects, [], { maxWorkers: 1, ...shard }));
  const code = tell(...(await Promise.all([runChecks(), ...suites])));
  const seconds = Math.round((performance.now() - startedAt) / 1000);
  process.stdout.write(`${seconds} s; on a quiet machine with two cores ${budgetSeconds} s are the budget\n`);
  process.exit(code);
});
