/**
 * `npm run -s backup [-- DIRECTORY]`: a copy of this machine's Berth while it runs, laid out as its data is: databases as of one moment each, keys, and
 * the users' volumes, each held still while it is copied. Prints where it is.
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseSettings, type Settings } from "@berth/shared/settings";
import Sqlite from "better-sqlite3";
import { runWithSettings } from "../setup/command.ts";
import { isRoot, SetupError } from "../setup/debian.ts";

/** The mark of a copy that is not whole yet, or never will be. */
const unfinished = "UNFINISHED";

const wasWritten = 75;
const mostTries = 10;

/**
 * Freezes the file system where it is mounted, which a shell in it keeps it, and lets it go whatever ends that shell; what is not mounted
 * is copied again where somebody wrote meanwhile.
 */
const copying = `
  if mountpoint -q "$2"; then
    cd "$2" || exit
    trap 'test -z "$frozen" || fsfreeze -u .' EXIT
    trap 'exit 1' HUP INT TERM
    frozen=yes
    fsfreeze -f . || { frozen=; exit 1; }
    cp --sparse=always --reflink=auto "$1" "$3"
  else
    before=$(stat -c %y "$1")
    cp --sparse=always --reflink=auto "$1" "$3" || exit
    ! mountpoint -q "$2" && test "$(stat -c %y "$1")" = "$before" || exit ${wasWritten}
  fi`;

await runWithSettings(async (settings, [given, ...rest]) => {
  process.umask(0o077);
  if (rest.length > 0) throw new SetupError("Name one directory, or none: npm run -s backup -- /var/backups/berth");
  const target = resolve(given ?? join("backups", new Date().toISOString().replaceAll(":", "-").slice(0, 19)));
  if (existsSync(target) && readdirSync(target).length > 0)
    throw new SetupError(`There is something in ${target} already: name a directory that is empty or not there.`);
  refuseEmpty(settings, "BERTH_DATA_DIR", "gateway.sqlite", "A gateway");
  refuseEmpty(settings, "BERTH_HOST_DATA_DIR", "host.db", "A host");
  const parts = [join(settings.BERTH_DATA_DIR, "gateway.sqlite"), join(settings.BERTH_HOST_DATA_DIR, "host.db")];
  if (!parts.some((path) => existsSync(path)))
    throw new SetupError("Neither a gateway nor a host has its data here: see BERTH_DATA_DIR and BERTH_HOST_DATA_DIR.");
  mkdirSync(target, { recursive: true });
  writeFileSync(join(target, unfinished), "");
  copyGateway(settings, target);
  copyHost(settings, join(target, "host"));
  rmSync(join(target, unfinished));
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

function copyGateway({ BERTH_DATA_DIR: dir }: Settings, target: string): void {
  if (!copyDatabase(dir, target, "gateway.sqlite")) return;
  cpSync(join(dir, "keys"), join(target, "keys"), { recursive: true, preserveTimestamps: true });
}

function copyHost({ BERTH_HOST_DATA_DIR: dir }: Settings, target: string): void {
  if (!existsSync(join(dir, "host.db"))) return;
  if (!isRoot()) throw new SetupError("A host's data is root's: run the backup as root.");
  copyDatabase(dir, target, "host.db");
  for (const name of ["host.key", "host.json"])
    if (existsSync(join(dir, name))) copyFileSync(join(dir, name), join(target, name));
  // Of a host that has had an agent.
  if (existsSync(join(dir, "uids"))) cpSync(join(dir, "uids"), join(target, "uids"), { recursive: true });
  const [volumes, copies] = [resolve(dir, "volumes"), join(target, "volumes")];
  mkdirSync(copies);
  for (const image of existsSync(volumes) ? readdirSync(volumes).filter((name) => name.endsWith(".img")) : [])
    copyVolume(join(volumes, image), resolve(dir, "mnt", image.replace(/\.img$/, "")), join(copies, image));
}

/** As of one moment, whoever writes meanwhile. */
function copyDatabase(dir: string, target: string, name: string): boolean {
  if (!existsSync(join(dir, name))) return false;
  mkdirSync(target, { recursive: true });
  const database = new Sqlite(join(dir, name), { timeout: 10_000 });
  database.prepare("vacuum into ?").run(join(target, name));
  database.close();
  return true;
}

function copyVolume(image: string, mount: string, copy: string): void {
  const run = () =>
    spawnSync("sh", ["-c", copying, "sh", image, mount, copy], { stdio: ["ignore", "inherit", "inherit"] }).status;
  for (let tries = 1; ; tries++) {
    const status = run();
    if (status === 0) return;
    if (status !== wasWritten || tries === mostTries)
      throw new SetupError(
        `${image} could not be copied: what is there now is no backup. Remove it, make room, and try again.`,
      );
  }
}
