/** `npm run gateway`: the gateway alone. */
import { becomeBundle } from "./bundle.ts";
import { runWithSettings } from "./command.ts";

await runWithSettings(() => becomeBundle("gateway"));
