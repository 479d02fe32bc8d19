/** `npm run check`: types, lint and format. */
import { runWithSettings } from "../setup/command.ts";
import { runChecks } from "./checks.ts";
import { tell } from "./outcome.ts";

await runWithSettings(async () => tell(await runChecks()));
