/** `npm run -s rotate-key [-- --retire]`: a new signing key while everything runs; `--retire` ends the earlier ones. */
import { main } from "../../gateway/src/node/cli.ts";

process.argv.splice(2, 0, "rotate-key");
await main();
