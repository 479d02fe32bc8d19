/** `npm run quick`: types, lint, format, and every test that needs neither root nor an engine nor programs of the machine. */
import { availableParallelism } from "node:os";
import { runWithSettings } from "../setup/command.ts";
import { runChecks } from "./checks.ts";
import { tell } from "./outcome.ts";
import { runSuites } from "./suites.ts";

/** On two cores with nothing else to do. It is said, not enforced: another machine, or a busy one, is no fault of a change. */
const budgetSeconds = 60;
/** Some suites wait for deadlines: one more than there are cores, so that none is idle meanwhile. */
const workers = availableParallelism() + 1;
const projects = ["shared", "gateway", "web", "scripts", "host-agent", "together", "judge"];

await runWithSettings(async () => {
  const startedAt = performance.now();
  const code = tell(...(await Promise.all([runChecks(), runSuites(projects, [], { maxWorkers: workers })])));
  const seconds = Math.round((performance.now() - startedAt) / 1000);
  process.stdout.write(`${seconds} s; on a quiet machine with two cores ${budgetSeconds} s are the budget\n`);
  process.exit(code);
});
