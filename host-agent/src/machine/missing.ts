/** An error is never a no: of all that can go wrong with a path, ENOENT alone says that nothing is there. */
import { constants, statSync } from "node:fs";

/** For `catch`: answers `value` where the path does not exist, and throws every other error on. */
export const ifMissing =
  <T>(value: T) =>
  (error: unknown): T => {
    if (!isMissing(error)) throw error;
    return value;
  };

/** Flag to open a file of an agent's with: who holds a lease on it (fcntl(2)) keeps nobody waiting, EAGAIN is thrown. */
export const atOnce = constants.O_NONBLOCK;

/** For `catch`: answers `value` where that was thrown. */
export const ifHeld =
  <T>(value: T) =>
  (error: unknown): T => {
    if (!isHeld(error)) throw error;
    return value;
  };

/** Whether something is there. Throws where that cannot be told: `existsSync` says no to every error. */
export const isThere = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined;

export const isHeld = (error: unknown) => (error as NodeJS.ErrnoException).code === "EAGAIN";
export const isMissing = (error: unknown) => (error as NodeJS.ErrnoException).code === "ENOENT";
