/** The data directory itself, for all who work on it; what is in it is not known here. */
import { messageOf } from "@berth/shared/log";
import { SettingsError, type Settings } from "@berth/shared/settings";
import { accessSync, chmodSync, constants, existsSync, mkdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

/** Makes the directory (0700) where it is missing. Throws a SettingsError where it cannot be had. */
export function makeDataDir(settings: Settings): string {
  const dir = settings.BERTH_DATA_DIR;
  try {
    makeDirectory(join(resolve(dir), "keys"));
    chmodSync(dir, 0o700);
    accessSync(dir, constants.W_OK);
    return dir;
  } catch (error) {
    throw new SettingsError(`The data directory ${dir} cannot be used (${messageOf(error)}); see BERTH_DATA_DIR.`);
  }
}

/** Step by step: Node's own recursion never ends where the system denies that a parent exists, as below /proc. */
function makeDirectory(path: string): void {
  if (existsSync(path)) return;
  makeDirectory(dirname(path));
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // Another process may have been first.
    if (!existsSync(path)) throw error;
  }
}
