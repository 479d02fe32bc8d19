/** `npm run attack -- [WORDS...]`: makes the attempts whose area or name has one of the words in it, and prints what came of each. */
import { runWithSettings } from "../../scripts/setup/command.ts";
import { prepareMachine } from "../../scripts/setup/machine.ts";
import { areas } from "./areas.ts";
import { describeFinding, openStage } from "./stage.ts";

await runWithSettings(async (settings, words) => {
  await prepareMachine(settings);
  const tell = (line: string) => void process.stdout.write(`${line}\n`);
  let holes = 0;
  for (const area of areas) {
    const isWanted = (name: string) =>
      words.length === 0 || words.some((word) => `${area.name} ${name}`.includes(word));
    const attempts = area.attempts.filter(({ name }) => isWanted(name));
    if (attempts.length === 0) continue;
    tell(`${area.name}:`);
    const stage = await openStage(area);
    try {
      for (const attempt of attempts) {
        const finding = await attempt.make(stage);
        if (finding.wrong.length > 0) holes += 1;
        tell(describeFinding(attempt, finding));
      }
    } finally {
      await stage.close();
    }
  }
  tell(holes === 0 ? "all hold" : `${holes} do not hold`);
  return holes === 0 ? 0 : 1;
});
