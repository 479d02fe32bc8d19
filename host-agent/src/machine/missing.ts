/** An error is never a no: of all that can go wrong with a path, ENOENT alone says that nothing is there. */
import { constants, statSync } from "node:fs";

/** Whether it is an error of the system's with one of these codes. */
export const isCode = (error: unknown, ...codes: string[]) =>
  codes.includes((error as NodeJS.ErrnoException).code ?? "");

/** For `catch`: answers `value` where the error has one of these codes, and throws every other on. */
export const ifCode =
  <T>(value: T, ...codes: string[]) =>
  (error: unknown): T => {
    if (!isCode(error, ...codes)) throw error;
    return value;
  };

/** What comes of the work, or `value` where it throws one of these codes. */
export function unlessCode<T, Value>(value: Value, work: () => T, ...codes: string[]): T | Value {
  try {
    return work();
  } catch (error) {
    return ifCode(value, ...codes)(error);
  }
}

/** For `catch`: answers `value` where the path does not exist. */
export const ifMissing = <T>(value: T) => ifCode(value, "ENOENT");

/** Flag to open a file of an agent's with: who holds a lease on it (fcntl(2)) keeps nobody waiting, `held` is thrown. */
export const atOnce = constants.O_NONBLOCK;
export const held = "EAGAIN";

/** Whether something is there. Throws where that cannot be told: `existsSync` says no to every error. */
export const isThere = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined;
