/** `npm run host`: the host agent alone, on a machine that set-up made ready. */
import { becomeBundle } from "../build/bundle.ts";
import { runWithSettings } from "../setup/command.ts";
import { prepareMachine } from "../setup/machine.ts";

await runWithSettings(async (settings) => {
  await prepareMachine(settings);
  return becomeBundle("host");
});
