/** The simulation in the suite: each part a plain Node process, for substitutes of modules do not reach what vitest loads. */
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { setPriority } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Campaign } from "./schedule/campaign.ts";
import type { Counted } from "./schedule/growth.ts";
import type { Enumerated } from "./schedule/points.ts";
import { growthMutants, mutants, pointMutants } from "./world/mutants.ts";

/** Its time is virtual: of a core that others want as well it takes a quarter, and suites on real engines keep their deadlines. */
const niceness = 5;
const schedulesPerProcess = 4000;

/** What it printed, whether it found something or not. */
function simulate(...args: string[]): Promise<string> {
  return new Promise((resolve) => {
    const done = (_error: unknown, stdout: string, stderr: string) => resolve(stdout || stderr);
    const { pid } = execFile(process.execPath, ["simulation/main.ts", ...args], { maxBuffer: 2 ** 26 }, done);
    if (pid !== undefined) setPriority(pid, niceness);
  });
}
const campaign = async (...args: string[]) =>
  JSON.parse(await simulate("--json", ...args)) as Campaign & { shares: string; cpuSeconds: number };

test("what was broken once is not broken again", async () => {
  expect(JSON.parse(await simulate("--corpus"))).toEqual([]);
});

test("the model of engine, kernel and files is as the real ones are", async () => {
  expect(JSON.parse(await simulate("--contract"))).toEqual([]);
});

test("the same seeds give the same traces in each process", async () => {
  const [one, other] = await Promise.all([campaign("--count", "40"), campaign("--count", "40")]);
  expect(other.hash).toBe(one.hash);
});

test("thousands of schedules break no invariant, and much happens in them", async () => {
  const part = (from: string) =>
    campaign("--seed", from, "--every", "2", "--count", String(schedulesPerProcess), "--failures", "3");
  const parts = await Promise.all([part("1"), part("2")]);
  const cpu = parts.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0);
  process.stdout.write(`${2 * schedulesPerProcess} schedules took ${cpu.toFixed(0)} CPU s: ${parts[0].shares}\n`);
  expect(parts.flatMap(({ failures }) => failures)).toEqual([]);
  const times = (what: string) => parts.reduce((sum, { seen }) => sum + (seen[what] ?? 0), 0);
  const kills = ["crash", "crash, one look fails", "crash and lose the container", "reboot", "restore host"];
  expect(kills.reduce((sum, kind) => sum + times(`did ${kind}`), 0)).toBeGreaterThan(1000);
  expect(times("run.continued")).toBeGreaterThan(100);
  for (const { seen } of parts) {
    const often = [
      "run.ended completed",
      "run.ended cancelled",
      "run.ended container_lost",
      "workspace.adopted",
      "agent.deleted",
    ];
    expect(often.filter((what) => (seen[what] ?? 0) < schedulesPerProcess / 50)).toEqual([]);
    const seldom = [
      "an early call of a start fails",
      "SIGTERM in a stop",
      "output near 1048576",
      "output near 16777216",
    ];
    expect(seldom.filter((what) => !parts.some((part) => part.seen[`schedules: ${what}`]))).toEqual([]);
  }
});

test("a kill, a refusal or a late answer at any call of a scenario breaks nothing", async () => {
  const { results } = JSON.parse(await simulate("--points")) as { results: Enumerated[] };
  expect(results.filter(({ points, leastPoints }) => points < leastPoints)).toEqual([]);
  const seams = ["engine", "fs", "kill", "net", "program", "store"];
  expect([...new Set(results.flatMap(({ seams }) => seams))].toSorted()).toEqual(seams);
  expect(results.flatMap(({ failures }) => failures)).toEqual([]);
});

test.each(pointMutants)("noticed at a point: $name", async ({ name, invariant }) => {
  const { results } = JSON.parse(await simulate("--points", "--mutant", name)) as { results: Enumerated[] };
  expect(results.flatMap(({ failures }) => failures)).toContainEqual(expect.stringContaining(invariant));
});

test("each invariant is named by a fault that it alone notices", () => {
  const checked = ["machine", "schedule", "sides", "substitutes", "world"].flatMap((room) =>
    readdirSync(join(import.meta.dirname, room)).flatMap((file) =>
      [...readFileSync(join(import.meta.dirname, room, file), "utf8").matchAll(/violate\(\s*"([^"]+)"/g)].map(
        ([, invariant]) => invariant!,
      ),
    ),
  );
  const named = mutants.filter(({ isAlone }) => isAlone).map(({ invariant }) => invariant);
  expect([...new Set(named)].toSorted()).toEqual([...new Set(checked)].toSorted());
});

test("each pass of the host agent grows with what it is about, and with one thing at a time", async () => {
  const passes = JSON.parse(await simulate("--growth")) as Counted[];
  expect(passes.map(({ calls }) => calls > 0)).toEqual([true, true, true]);
  expect(passes.flatMap(({ title, beyond }) => beyond.map((what) => `${title}, ${what}`))).toEqual([]);
});

test.each(growthMutants)("noticed by its calls: $name", async ({ name, invariant }) => {
  const passes = JSON.parse(await simulate("--growth", "--mutant", name)) as Counted[];
  expect(passes.flatMap(({ beyond }) => beyond)).toContainEqual(expect.stringContaining(invariant));
});

test.concurrent.each(mutants)("noticed: $name", async ({ name, invariant, mean, isAlone }) => {
  const { failures } = await campaign("--mutant", name, "--count", String(10 * mean), "--failures", "1");
  expect(failures[0]?.invariant).toBe(invariant);
  if (isAlone) expect(failures[0]?.others).toEqual([]);
});
