/** `npm run host`: the host agent alone, in this process, on a machine that set-up made ready. */
import { bundle } from "./bundle.ts";
import { runWithSettings } from "./command.ts";
import { prepareMachine } from "./machine.ts";

await runWithSettings(async (settings) => {
  await prepareMachine(settings);
  const { host } = await bundle("host");
  await import(host);
  return 0;
});
