/** `npm run gateway`: the gateway alone. */
import { becomeBundle } from "../build/bundle.ts";
import { runWithSettings } from "./command.ts";

await runWithSettings(() => becomeBundle("gateway"));
