/** Figures of a benchmark: medians and percentiles, interleaved pairs, a small table (or JSON with `--json`), no timed test. */

export interface Figure {
  name: string;
  /** What was measured of Berth, and of the bare thing in the same run. */
  ours: number;
  bare?: number;
  unit: string;
  /** `ratio` = ours / bare, `difference` = ours - bare; without it the value itself is held against the target. */
  compare?: "ratio" | "difference";
  /** The bound, and whether it is one from above (the default) or from below. */
  target?: { bound: number; from?: "above" | "below" };
}

export function percentile(values: number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? Number.NaN;
}

export const median = (values: number[]) => percentile(values, 50);

/** Milliseconds that a job takes. */
export async function timed(job: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await job();
  return performance.now() - startedAt;
}

/** Milliseconds between the time that the text tells, in nanoseconds since 1970, and now. */
export function lateBy(text: string): number {
  return performance.timeOrigin + performance.now() - Number(BigInt(text.trim()) / 1000n) / 1000;
}

/** Between two words of how far it is. */
const progressMs = 10_000;

/**
 * Takes one value of each job in turn, `rounds` times, each round in the opposite order of the last; `values[job][round]`. What takes
 * long says on standard error how far it is.
 */
export async function interleave<Value>(rounds: number, ...jobs: (() => Promise<Value>)[]): Promise<Value[][]> {
  const values: Value[][] = jobs.map(() => []);
  const order = jobs.map((job, at) => ({ job, at }));
  let toldAt = performance.now();
  for (let round = 0; round < rounds; round++) {
    for (const { job, at } of order) values[at]!.push(await job());
    order.reverse();
    if (performance.now() - toldAt < progressMs) continue;
    process.stderr.write(`  ${round + 1} of ${rounds} rounds\n`);
    toldAt = performance.now();
  }
  return values;
}

/** What is held against the target. */
export function comparedOf({ ours, bare, compare }: Figure): number {
  if (compare === "ratio") return ours / bare!;
  return compare === "difference" ? ours - bare! : ours;
}

/** Prints the figures of one benchmark. */
export function printFigures(figures: Figure[]): void {
  const rows = figures.map((figure) => ({ ...figure, compared: comparedOf(figure), verdict: verdictOf(figure) }));
  if (process.argv.includes("--json")) {
    for (const row of rows) process.stdout.write(`${JSON.stringify(row)}\n`);
    return;
  }
  const cells = rows.map((row) => [
    row.name,
    `${round(row.ours)} ${row.unit}`,
    row.bare === undefined ? "" : `bare ${round(row.bare)} ${row.unit}`,
    row.compare === "ratio"
      ? `${row.compared.toFixed(2)} ×`
      : row.compare === "difference"
        ? `${row.compared < 0 ? "" : "+"}${round(row.compared)} ${row.unit}`
        : "",
    row.target
      ? `${row.verdict} ${row.target.from === "below" ? "≥" : "≤"} ${row.target.bound}${row.compare === "ratio" ? " ×" : ` ${row.unit}`}`
      : "",
  ]);
  const widths = [0, 1, 2, 3, 4].map((at) => Math.max(...cells.map((row) => row[at]!.length)));
  for (const row of cells)
    process.stdout.write(
      `  ${row
        .map((cell, at) => cell.padEnd(widths[at]!))
        .join("  ")
        .trimEnd()}\n`,
    );
}

function verdictOf(figure: Figure): "meets" | "misses" | null {
  if (!figure.target) return null;
  const { bound, from = "above" } = figure.target;
  const compared = comparedOf(figure);
  return (from === "above" ? compared <= bound : compared >= bound) ? "meets" : "misses";
}

const round = (value: number) =>
  Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2);
