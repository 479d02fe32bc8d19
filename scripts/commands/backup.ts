/**
 * `npm run -s backup [-- DIRECTORY]`: a copy of this machine's Berth while it runs, laid out as its data is: databases as of one moment each, keys, and
 * the users' volumes, each held still while it is copied. Prints where it is.
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseSettings, type Settings } from "@berth/shared/settings";
import Sqlite from "better-sqlite3";
import { runWithSettings } from "../setup/command.ts";
import { isRoot, SetupError } from "../setup/debian.ts";

await runWithSettings(async (settings, [given, ...rest]) => {
  if (rest.length > 0) throw new SetupError("Name one directory, or none: npm run -s backup -- /var/backups/berth");
  const target = resolve(given ?? join("backups", new Date().toISOString().replaceAll(":", "-").slice(0, 19)));
  if (existsSync(target) && readdirSync(target).length > 0)
    throw new SetupError(`There is something in ${target} already: name a directory that is empty or not there.`);
  refuseEmpty(settings, "BERTH_DATA_DIR", "gateway.sqlite", "A gateway");
  refuseEmpty(settings, "BERTH_HOST_DATA_DIR", "host.db", "A host");
  const copied = [copyGateway(settings, target), copyHost(settings, join(target, "host"))];
  if (!copied.includes(true))
    throw new SetupError("Neither a gateway nor a host has its data here: see BERTH_DATA_DIR and BERTH_HOST_DATA_DIR.");
  process.stdout.write(`${target}\n`);
  return 0;
});

/** A directory that somebody named and that has nothing is a slip of the pen: a copy of the rest would pass for one of all. */
function refuseEmpty(
  settings: Settings,
  name: "BERTH_DATA_DIR" | "BERTH_HOST_DATA_DIR",
  file: string,
  whose: string,
): void {
  const isNamed = settings[name] !== parseSettings({})[name];
  if (isNamed && !existsSync(join(settings[name], file)))
    throw new SetupError(`${whose} has no data in ${settings[name]}: set ${name} to where it has, or not at all.`);
}

function copyGateway({ BERTH_DATA_DIR: dir }: Settings, target: string): boolean {
  if (!copyDatabase(dir, target, "gateway.sqlite")) return false;
  cpSync(join(dir, "keys"), join(target, "keys"), { recursive: true, preserveTimestamps: true });
  return true;
}

function copyHost({ BERTH_HOST_DATA_DIR: dir }: Settings, target: string): boolean {
  if (!existsSync(join(dir, "host.db"))) return false;
  if (!isRoot()) throw new SetupError("A host's data is root's: run the backup as root.");
  copyDatabase(dir, target, "host.db");
  for (const name of ["host.key", "host.json"])
    if (existsSync(join(dir, name))) copyFileSync(join(dir, name), join(target, name));
  cpSync(join(dir, "uids"), join(target, "uids"), { recursive: true });
  const [volumes, copies] = [join(dir, "volumes"), join(target, "volumes")];
  mkdirSync(copies, { mode: 0o700 });
  for (const image of existsSync(volumes) ? readdirSync(volumes).filter((name) => name.endsWith(".img")) : [])
    copyVolume(join(volumes, image), join(dir, "mnt", image.replace(/\.img$/, "")), join(copies, image));
  return true;
}

/** As of one moment, whoever writes meanwhile. */
function copyDatabase(dir: string, target: string, name: string): boolean {
  if (!existsSync(join(dir, name))) return false;
  mkdirSync(target, { recursive: true, mode: 0o700 });
  const database = new Sqlite(join(dir, name), { timeout: 10_000 });
  database.prepare("vacuum into ?").run(join(target, name));
  database.close();
  return true;
}

/** Freezes the file system where it is mounted. One shell does it, so that it is let go also when this process is killed. */
function copyVolume(image: string, mount: string, copy: string): void {
  const script = `
    if mountpoint -q "$2" && fsfreeze -f "$2"; then trap 'fsfreeze -u "$2"' EXIT; fi
    cp --sparse=always --reflink=auto "$1" "$3"`;
  const { status } = spawnSync("sh", ["-c", script, "sh", image, mount, copy], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (status !== 0) throw new SetupError(`${image} could not be copied.`);
}
