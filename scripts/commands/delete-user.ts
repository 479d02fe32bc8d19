/** `npm run -s delete-user -- USER [--may-return]`: deletes a user for good, whether the gateway runs or not. */
import { main } from "../../gateway/src/node/cli.ts";

process.argv.splice(2, 0, "delete-user");
await main();
