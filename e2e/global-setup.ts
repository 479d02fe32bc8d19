/** Before the suites on the real engine: clears away what killed test runs left. */
import { sweepMachines } from "./engines.ts";
import { sweep } from "./harness.ts";

export default async function clear(): Promise<void> {
  await sweep();
  await sweepMachines();
}
