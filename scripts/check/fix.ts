/** `npm run fix`: mends what needs nobody's judgement: pages that say again what another file says, format, lint. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { runWithSettings } from "../setup/command.ts";
import { deriveDocs, root } from "./derived-docs.ts";

await runWithSettings(async () => {
  for (const [path, text] of Object.entries(deriveDocs())) writeFileSync(join(root, path), text);
  const ends = [["oxfmt"], ["oxlint", "--fix"]].map(([program = "", ...args]) =>
    spawnSync(program, args, { cwd: root, stdio: "inherit" }),
  );
  return Math.max(...ends.map(({ status }) => status ?? 1));
});
