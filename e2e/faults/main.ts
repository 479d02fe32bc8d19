/** `npm run faults -- --seed N --minutes M [--only NAME] [--soak]`: breaks hosts, engines, links and gateway at random moments under load, then judges the history. */
import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { runCampaign } from "./campaign.ts";
import { sweepMachines } from "../engines/engines.ts";
import { runWithSettings } from "../../scripts/setup/command.ts";
import { prepareMachine } from "../../scripts/setup/machine.ts";
import { slopesOf } from "../judge/growth.ts";
import { judge, readHistory, type Verdict } from "../judge/judge.ts";

await runWithSettings(async (settings, args) => {
  const { values } = parseArgs({
    args,
    options: {
      seed: { type: "string", default: String(Date.now() % 1_000_000) },
      minutes: { type: "string", default: "10" },
      hosts: { type: "string", default: "3" },
      only: { type: "string", multiple: true },
      /** Ends neither the gateway nor the first host's agent, and says what grew. */
      soak: { type: "boolean", default: false },
      /** Judges a history that is kept, and breaks nothing. */
      judge: { type: "string" },
    },
  });
  const tell = (line: string) => void process.stdout.write(`${line}\n`);
  if (values.judge !== undefined) {
    const history = readHistory(values.judge);
    slopesOf(history).forEach(tell);
    return tellVerdicts(judge(history), tell);
  }
  await prepareMachine(settings);
  await sweepMachines();
  const file = join(tmpdir(), `berth-history-${values.seed}.ndjson`);
  const campaign = {
    seed: Number(values.seed),
    ms: Number(values.minutes) * 60_000,
    hosts: Number(values.hosts),
    file,
    tell,
    isSoak: values.soak,
  };
  const { faults, runs, reasons, verdicts } = await runCampaign({
    ...campaign,
    ...(values.only && { only: values.only }),
  });
  const total = Object.values(faults).reduce((sum, count) => sum + count, 0);
  tell(`${total} faults: ${inWords(faults)}`);
  tell(`${runs} runs; ends: ${inWords(reasons)}`);
  const code = tellVerdicts(verdicts, tell);
  slopesOf(readHistory(file)).forEach(tell);
  if (code === 0) rmSync(file);
  else tell(`the history is kept: npm run faults -- --judge ${file}`);
  return code;
});

function tellVerdicts(verdicts: Verdict[], tell: (line: string) => void): number {
  for (const { says, checked, excused = 0, wrong } of verdicts) {
    const counts = `${checked} compared${excused > 0 ? `, ${excused} cannot be` : ""}`;
    tell(`${wrong.length === 0 ? "holds" : "BROKEN"}, ${counts}: ${says}`);
    for (const sentence of wrong) tell(`  WRONG: ${sentence}`);
  }
  const broken = verdicts.reduce((sum, { wrong }) => sum + wrong.length, 0);
  tell(broken === 0 ? "all holds" : `${broken} things do not hold`);
  return broken === 0 ? 0 : 1;
}

function inWords(counts: Record<string, number>): string {
  const sorted = Object.entries(counts).toSorted(([, one], [, other]) => other - one);
  return sorted.map(([name, count]) => `${count} ${name}`).join(", ");
}
