/** The directory in which a process keeps all it knows. What is in it is not known here. */
import { accessSync, constants, existsSync, mkdirSync, realpathSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { messageOf } from "../src/log.ts";
import { SettingsError } from "../src/settings.ts";

/**
 * Makes the data directory that the setting `variable` names, where it is missing. Answers its real path: that is what the
 * kernel calls what is mounted below. Throws a SettingsError where it cannot be had.
 */
export function makeDataDir(variable: "BERTH_DATA_DIR" | "BERTH_HOST_DATA_DIR", dir: string, mode: number): string {
  try {
    makeDirectory(resolve(dir), mode);
    accessSync(`${dir}/.`, constants.W_OK);
    return realpathSync(dir);
  } catch (error) {
    const message = `The data directory ${dir} cannot be used (${messageOf(error)}); see ${variable}.`;
    throw new SettingsError(message, { cause: error });
  }
}

/** Step by step: Node's own recursion never ends where the system denies that a parent exists, as below /proc. */
export function makeDirectory(path: string, mode: number): void {
  if (existsSync(path)) return;
  makeDirectory(dirname(path), mode);
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    // Another process may have been first.
    if (!existsSync(path)) throw error;
  }
}
