/** The fewest operations that still break the same invariant: each is left out in turn, until none can be. */
import type { Outcome, Schedule } from "./schedule.ts";

export interface Shrunk<Op> {
  operations: Op[];
  outcome: Outcome;
  plays: number;
}

export async function shrink<Op>(
  play: (schedule: Schedule<Op>) => Promise<Outcome>,
  options: Schedule<Op>,
  first: Outcome,
): Promise<Shrunk<Op>> {
  const { invariant } = first.violations[0]!;
  let [operations, outcome, plays] = [options.operations, first, 0];
  for (let isSmaller = true; isSmaller;) {
    isSmaller = false;
    for (const left of operations.toReversed()) {
      const fewer = operations.filter((operation) => operation !== left);
      const tried = await play({ ...options, operations: fewer });
      plays++;
      if (tried.violations[0]?.invariant !== invariant) continue;
      [operations, outcome, isSmaller] = [fewer, tried, true];
    }
  }
  return { operations, outcome, plays };
}
