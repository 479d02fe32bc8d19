/** `npm run faults -- --seed N --minutes M [--only NAME]`: breaks hosts, engines, links and gateway at random moments under load, then checks everything. */
import { parseArgs } from "node:util";
import { runCampaign } from "./campaign.ts";
import { sweepMachines } from "../engines/engines.ts";
import { runWithSettings } from "../../scripts/setup/command.ts";
import { prepareMachine } from "../../scripts/setup/machine.ts";

await runWithSettings(async (settings, args) => {
  const { values } = parseArgs({
    args,
    options: {
      seed: { type: "string", default: String(Date.now() % 1_000_000) },
      minutes: { type: "string", default: "10" },
      hosts: { type: "string", default: "3" },
      only: { type: "string", multiple: true },
    },
  });
  await prepareMachine(settings);
  await sweepMachines();
  const tell = (line: string) => void process.stdout.write(`${line}\n`);
  const campaign = {
    seed: Number(values.seed),
    ms: Number(values.minutes) * 60_000,
    hosts: Number(values.hosts),
    tell,
  };
  const { faults, runs, lines, reasons, checked, wrong } = await runCampaign({
    ...campaign,
    ...(values.only && { only: values.only }),
  });
  const total = Object.values(faults).reduce((sum, count) => sum + count, 0);
  tell(`${total} faults: ${inWords(faults)}`);
  tell(`${runs} runs with ${lines} lines; ends: ${inWords(reasons)}`);
  tell(`checked: ${checked.join("; ")}`);
  for (const sentence of wrong) tell(`WRONG: ${sentence}`);
  tell(wrong.length === 0 ? "all holds" : `${wrong.length} things do not hold`);
  return wrong.length === 0 ? 0 : 1;
});

function inWords(counts: Record<string, number>): string {
  const sorted = Object.entries(counts).toSorted(([, one], [, other]) => other - one);
  return sorted.map(([name, count]) => `${count} ${name}`).join(", ");
}
