/**
 * `npm run attack -- [--trials N] [WORDS...]`: makes the attempts whose area or name has one of the words in it, and prints what
 * came of each. On a machine that has nothing else to do: what others notice is held against the promise as written.
 */
import { parseArgs } from "node:util";
import { runSuites } from "../../scripts/develop/suites.ts";
import { tell as tellOutcome } from "../../scripts/develop/outcome.ts";
import { runWithSettings } from "../../scripts/setup/command.ts";
import { prepareMachine } from "../../scripts/setup/machine.ts";
import { areas, suites } from "./areas.ts";
import type { Area, Attempt } from "./attempt.ts";
import { describeFinding, openStage } from "./stage.ts";

await runWithSettings(async (settings, args) => {
  const options = { trials: { type: "string", default: "1" } } as const;
  const { values, positionals: words } = parseArgs({ args, allowPositionals: true, options });
  const isWanted = (name: string) => words.length === 0 || words.some((word) => name.includes(word));
  await prepareMachine(settings);
  let holes = 0;
  for (const area of areas) {
    const attempts = area.attempts.filter(({ name }) => isWanted(`${area.name} ${name}`));
    if (attempts.length > 0) holes += await attack(area, attempts);
  }
  const wanted = Object.entries(suites).flatMap(([name, file]) => (isWanted(`${name} ${file}`) ? [file] : []));
  process.env["BERTH_TEST_TRIALS"] = values.trials;
  const projects = ["e2e", "gateway", "host-agent"];
  const code = wanted.length && tellOutcome(await runSuites(projects, wanted, { reporters: ["verbose"] }));
  tell(holes === 0 && code === 0 ? "all hold" : `${holes} attempts and what is named above do not hold`);
  return holes === 0 ? code : 1;
});

/** How many of the attempts do not hold. */
async function attack(area: Area, attempts: Attempt[]): Promise<number> {
  tell(`${area.name}:`);
  const stage = await openStage(area, "alone");
  let holes = 0;
  try {
    for (const attempt of attempts) {
      const finding = await attempt.make(stage);
      if (finding.wrong.length > 0) holes += 1;
      tell(describeFinding(attempt, finding));
    }
  } finally {
    await stage.close();
  }
  return holes;
}

function tell(line: string): void {
  process.stdout.write(`${line}\n`);
}
