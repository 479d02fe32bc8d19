/** Before the suites on real engines: clears away what killed test runs left. */
import { withLock } from "../../scripts/setup/lock.mjs";
import { sweepBooted } from "./booted-machine.ts";
import { sweepMachines } from "./engines.ts";
import { sweep } from "../harness/traces.ts";

export default function clear(): Promise<void> {
  return withLock("sweep of test machines", async () => {
    await sweep();
    await sweepMachines();
    await sweepBooted();
  });
}
