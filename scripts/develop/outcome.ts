/** What came of checks and suites, and how it is said. */
export interface Outcome {
  passed: number;
  /** What to run again. */
  failed: string[];
}

/** Says all outcomes together: last, and each failure in a line, for the end is what is kept of a long output. Answers the exit code. */
export function tell(...outcomes: Outcome[]): number {
  const failed = outcomes.flatMap((outcome) => outcome.failed);
  const passed = outcomes.reduce((sum, outcome) => sum + outcome.passed, 0);
  const lines = [...failed.map((name) => `failed: ${name}`), `${passed} passed, ${failed.length} failed`];
  process.stdout.write(`${lines.join("\n")}\n`);
  // Vitest has an opinion too: an error outside of any test, or no test at all.
  return failed.length > 0 || process.exitCode ? 1 : 0;
}
