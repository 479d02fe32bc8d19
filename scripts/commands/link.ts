/** `npm run -s link -- USER`: prints a one-time sign-in link. */
import { main } from "../../gateway/src/node/cli.ts";

process.argv.splice(2, 0, "link");
await main();
