/** `npm run -s restore -- DIRECTORY`: puts a backup where this machine's Berth has its data, which must be empty: nothing is ever overwritten. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { runWithSettings } from "../setup/command.ts";
import { SetupError } from "../setup/debian.ts";

await runWithSettings(async ({ BERTH_DATA_DIR, BERTH_HOST_DATA_DIR }, [source = "", ...rest]) => {
  if (rest.length > 0 || !["gateway.sqlite", "host/host.db"].some((name) => existsSync(join(source, name))))
    throw new SetupError("Name the directory of a backup: npm run -s restore -- backups/2026-11-29T02-00-00");
  if (existsSync(join(source, "UNFINISHED")))
    throw new SetupError(`${source} is half a backup, which was not made to its end: name another one.`);
  const parts = [
    {
      from: join(source, "host"),
      to: BERTH_HOST_DATA_DIR,
      names: ["host.db", "host.key", "host.json", "uids", "volumes"],
    },
    { from: source, to: BERTH_DATA_DIR, names: ["gateway.sqlite", "keys"] },
  ];
  const there = parts.flatMap(({ to, names }) =>
    // A database's write-ahead log would be taken for the restored one's.
    names
      .flatMap((name) => (/\.(db|sqlite)$/.test(name) ? [name, `${name}-wal`, `${name}-shm`] : [name]))
      .map((name) => join(to, name))
      .filter((path) => existsSync(path)),
  );
  if (there.length > 0)
    throw new SetupError(`There is ${there[0]} already: stop Berth and move its data away, then restore.`);
  for (const { from, to, names } of parts) {
    const found = existsSync(from) ? readdirSync(from).filter((name) => names.includes(name)) : [];
    if (found.length === 0) continue;
    mkdirSync(to, { recursive: true, mode: 0o700 });
    execFileSync("cp", ["-a", "--sparse=always", ...found.map((name) => join(from, name)), to]);
  }
  process.stdout.write("Restored. Start Berth as before: it finds the rest by itself.\n");
  return 0;
});
