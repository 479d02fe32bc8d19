/** `npm run -s token -- USER`, and `link`, `delete-user`, `rotate-key`: the gateway's own commands, whether it runs or not. */
import { main } from "../../gateway/src/node/cli.ts";

await main();
