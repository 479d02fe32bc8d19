/** Gateway and hosts together, in schedules of one seed each: as simulation.test.ts does it of a host alone. */
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { setPriority } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { mutants } from "./joint/mutants.ts";
import type { Campaign } from "./schedule/campaign.ts";
import type { Enumerated } from "./schedule/points.ts";

/** Its time is virtual: of a core that others want as well it takes a quarter, and suites on real engines keep their deadlines. */
const niceness = 5;
const schedulesPerProcess = 1000;

/** What it printed, whether it found something or not. */
function simulate(...args: string[]): Promise<string> {
  return new Promise((resolve) => {
    const { pid } = execFile(
      process.execPath,
      ["simulation/main.ts", "--world", "joint", ...args],
      { maxBuffer: 2 ** 26 },
      (_error, stdout, stderr) => resolve(stdout || stderr),
    );
    if (pid !== undefined) setPriority(pid, niceness);
  });
}
const campaign = async (...args: string[]) =>
  JSON.parse(await simulate("--json", ...args)) as Campaign & { cpuSeconds: number };

test("the same seeds give the same traces in each process", async () => {
  const [one, other] = await Promise.all([campaign("--count", "25"), campaign("--count", "25")]);
  expect(other.hash).toBe(one.hash);
});

test("schedules of gateway and hosts break no invariant, and much happens in them", async () => {
  const part = (from: string) =>
    campaign("--seed", from, "--every", "2", "--count", String(schedulesPerProcess), "--failures", "3");
  const parts = await Promise.all([part("1"), part("2")]);
  const cpu = parts.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0);
  process.stdout.write(`${2 * schedulesPerProcess} schedules of gateway and hosts took ${cpu.toFixed(0)} CPU s\n`);
  expect(parts.flatMap(({ failures }) => failures)).toEqual([]);
  for (const { seen } of parts) {
    const often = [
      "run.ended completed",
      "run.ended cancelled",
      "gateway pending.postponed",
      "gateway host.unreachable",
    ];
    expect(often.filter((what) => (seen[what] ?? 0) < schedulesPerProcess / 10)).toEqual([]);
  }
});

test("a kill of either side, a refusal or a late answer at any call between them breaks nothing", async () => {
  const part = async (from: string) =>
    JSON.parse(await simulate("--points", "--seed", from, "--every", "2")) as { results: Enumerated[] };
  const parts = await Promise.all([part("1"), part("2")]);
  const results = parts.flatMap(({ results }) => results);
  expect(results.filter(({ points, leastPoints }) => points < leastPoints)).toEqual([]);
  const seams = ["gateway db", "gateway net", "host engine", "host fs", "host kill", "host net", "host store"];
  expect([...new Set(results.flatMap(({ seams }) => seams))].toSorted()).toEqual(seams);
  expect(results.flatMap(({ failures }) => failures)).toEqual([]);
});

test("each invariant is named by a fault that it alone notices", () => {
  const room = join(import.meta.dirname, "joint");
  const checked = readdirSync(room).flatMap((file) =>
    [...readFileSync(join(room, file), "utf8").matchAll(/violate\(\s*"([^"]+)"/g)].map(([, invariant]) => invariant!),
  );
  const named = mutants.filter(({ isAlone }) => isAlone).map(({ invariant }) => invariant);
  expect([...new Set(named)].toSorted()).toEqual([...new Set(checked)].toSorted());
});

test.concurrent.each(mutants)("noticed: $name", async ({ name, invariant, mean, isAlone }) => {
  const { failures } = await campaign("--mutant", name, "--count", String(10 * mean), "--failures", "1");
  expect(failures[0]?.invariant).toBe(invariant);
  if (isAlone) expect(failures[0]?.others).toEqual([]);
});
