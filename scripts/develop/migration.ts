/** `npm run migration -- NAME`: writes the statements that bring the tables of before to what schema.ts says now, for Node and D1 alike. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { runWithSettings } from "../setup/command.ts";
import { SetupError } from "../setup/debian.ts";
import { root } from "../setup/image.ts";

await runWithSettings(async (_, [name = "", ...rest]) => {
  if (!/^[a-z][a-z0-9_]*$/.test(name) || rest.length > 0)
    throw new SetupError("Name what the migration does, in small letters and _: npm run migration -- trigger_budgets");
  // It asks where a column may have been renamed, and says so where nothing changed.
  const { status } = spawnSync(join(root, "node_modules/.bin/drizzle-kit"), ["generate", "--name", name], {
    cwd: root,
    stdio: "inherit",
  });
  return status ?? 1;
});
