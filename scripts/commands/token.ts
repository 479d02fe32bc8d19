/** `npm run -s token -- USER [--admin] [--ttl 12h]`: prints a token alone on standard output. */
import { main } from "../../gateway/src/node/cli.ts";

process.argv.splice(2, 0, "token");
await main();
