/** `npm run gateway`: the gateway alone. */
import { becomeBundle } from "../build/bundle.ts";
import { runWithSettings } from "../setup/command.ts";

await runWithSettings(() => becomeBundle("gateway"));
