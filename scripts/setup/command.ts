/** How a command ends: an operator's mistake is one sentence and exit code 2, what may pass by itself one and 75, anything else its message and exit code 1. */
import { exitCodeOf, NotNowError, personMustAct } from "@berth/shared/node/exit-code";
import { parseSettings, SettingsError, type Settings } from "@berth/shared/settings";
import { SetupError } from "./debian.ts";

/** Runs `main` with the settings of the environment and the command's arguments; its answer is the exit code. */
export async function runWithSettings(main: (settings: Settings, args: string[]) => Promise<number>): Promise<void> {
  try {
    process.exitCode = await main(parseSettings(process.env), process.argv.slice(2));
  } catch (error) {
    const isSentence = error instanceof SettingsError || error instanceof NotNowError || error instanceof SetupError;
    const words = isSentence ? error.message : describe(error);
    if (words) process.stderr.write(`${words}\n`);
    process.exit(error instanceof SetupError ? personMustAct : exitCodeOf(error));
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
