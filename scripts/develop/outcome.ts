/** What came of checks and suites, and how it is said. */
export interface Outcome {
  passed: number;
  /** What to run again. */
  failed: string[];
  /** What failed, and passed when it ran again alone. */
  flaky?: string[];
}

/** Says all outcomes together: last, and each failure in a line, for the end is what is kept of a long output. Answers the exit code. */
export function tell(...outcomes: Outcome[]): number {
  const failed = outcomes.flatMap((outcome) => outcome.failed);
  const passed = outcomes.reduce((sum, outcome) => sum + outcome.passed, 0);
  const flaky = outcomes.flatMap((outcome) => outcome.flaky ?? []);
  const lines = [
    ...failed.map((name) => `failed: ${name}`),
    ...flaky.map((name) => `flaky, passed when it ran again alone: ${name}`),
    `${passed} passed, ${failed.length} failed${flaky.length > 0 ? `, ${flaky.length} flaky` : ""}`,
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
  // Vitest has an opinion too: an error outside of any test, or no test at all.
  return failed.length > 0 || process.exitCode ? 1 : 0;
}
