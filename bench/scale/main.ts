/**
 * `npm run scale [-- PART... --hosts N --write FILE]`: growth. One real gateway, simulated hosts that speak the real protocol over
 * loopback, users that call: each in processes of their own. Never a timed test: read the figures, and the load.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { comparedOf, type Figure, printFigures } from "../lib/figures.ts";
import { measureFleet } from "./fleet.ts";
import { measureGrowth } from "./growth.ts";
import { measureLiveRuns } from "./runs.ts";
import { measureSockets } from "./sockets.ts";
import { measureTwoGateways } from "./two-gateways.ts";
import type { Options } from "./world.ts";

const parts = {
  growth: measureGrowth,
  runs: measureLiveRuns,
  fleet: measureFleet,
  sockets: measureSockets,
  "two-gateways": measureTwoGateways,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    hosts: { type: "string", default: "1000" },
    workspaces: { type: "string", default: "100" },
    runs: { type: "string", default: "1000000" },
    waiting: { type: "string", default: "100000" },
    sockets: { type: "string", default: "10000" },
    seconds: { type: "string", default: "60" },
    write: { type: "string" },
  },
});
const { write, ...counts } = values;
const options = Object.fromEntries(Object.entries(counts).map(([name, value]) => [name, Number(value)])) as Options;
const wanted = Object.entries(parts).filter(([name]) => positionals.length === 0 || positionals.includes(name));
const told: Record<string, unknown> = {};
for (const [name, measure] of wanted) {
  const load = loadavg()[0]!;
  const { figures, facts } = await measure(options, (words) => process.stderr.write(`${name}: ${words}\n`));
  process.stdout.write(`\n${name} (load ${load.toFixed(1)} before, ${loadavg()[0]!.toFixed(1)} after)\n`);
  printFigures(figures);
  const compared = figures.map((figure: Figure) => ({ ...figure, compared: comparedOf(figure) }));
  told[name] = { at: new Date().toISOString(), load, options, figures: compared, facts };
}
if (write) {
  mkdirSync(dirname(write), { recursive: true });
  writeFileSync(write, `${JSON.stringify(told, null, 2)}\n`);
}
