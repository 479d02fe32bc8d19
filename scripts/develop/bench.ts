/**
 * `npm run bench [-- FILTER... --json --write=FILE]`: runs each benchmark in turn, in a process of its own, so that none warms
 * another. `--write` keeps the figures as JSON too, of which `bench/lib/plot.ts` draws bars.
 */
import { spawnSync } from "node:child_process";
import { globSync, writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { runWithSettings } from "../setup/command.ts";
import { root } from "../setup/image.ts";
import { prepareMachine } from "../setup/machine.ts";

await runWithSettings(async (settings, args) => {
  const filters = args.filter((arg) => !arg.startsWith("--"));
  const options = args.filter((arg) => arg.startsWith("--"));
  const file = options.find((option) => option.startsWith("--write="))?.slice("--write=".length);
  const told: unknown[] = [];
  await prepareMachine(settings);
  const files = globSync("bench/{,conversation/}*.ts", { cwd: root }).sort();
  const wanted = files.filter((file) => filters.length === 0 || filters.some((filter) => file.includes(filter)));
  const failed = wanted.filter((name) => {
    process.stdout.write(`\n${name}\n`);
    if (file === undefined)
      return spawnSync(process.execPath, [name, ...options], { cwd: root, stdio: "inherit" }).status !== 0;
    const run = spawnSync(process.execPath, [name, "--json"], { cwd: root, stdio: ["inherit", "pipe", "inherit"] });
    process.stdout.write(run.stdout);
    const lines = run.stdout.toString().split("\n");
    told.push(...lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line) as unknown));
    return run.status !== 0;
  });
  const bench = { at: new Date().toISOString(), load: loadavg()[0], figures: told, facts: {} };
  if (file !== undefined) writeFileSync(file, `${JSON.stringify({ bench }, null, 2)}\n`);
  if (failed.length > 0) process.stdout.write(`\nfailed: ${failed.join(", ")}\n`);
  return failed.length > 0 ? 1 : 0;
});
