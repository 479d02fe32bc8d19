/** `npm run bench [-- FILTER... --json]`: runs each `bench/*.ts` in turn, in a process of its own, so that none warms another. */
import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { runWithSettings } from "../setup/command.ts";
import { root } from "../setup/image.ts";
import { prepareMachine } from "../setup/machine.ts";

await runWithSettings(async (settings, args) => {
  const filters = args.filter((arg) => !arg.startsWith("--"));
  const options = args.filter((arg) => arg.startsWith("--"));
  await prepareMachine(settings);
  const files = globSync("bench/*.ts", { cwd: root }).sort();
  const wanted = files.filter((file) => filters.length === 0 || filters.some((filter) => file.includes(filter)));
  const failed = wanted.filter((file) => {
    process.stdout.write(`\n${file}\n`);
    return spawnSync(process.execPath, [file, ...options], { cwd: root, stdio: "inherit" }).status !== 0;
  });
  if (failed.length > 0) process.stdout.write(`\nfailed: ${failed.join(", ")}\n`);
  return failed.length > 0 ? 1 : 0;
});
