/** `npm run gateway`: the gateway alone, in this process. */
import { bundle } from "./bundle.ts";
import { runWithSettings } from "./command.ts";

await runWithSettings(async () => {
  const { gateway } = await bundle("gateway");
  const { main } = (await import(gateway)) as { main(): Promise<void> };
  await main();
  return 0;
});
