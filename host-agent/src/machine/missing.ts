/** An error is never a no: of all that can go wrong with a path, ENOENT alone says that nothing is there. */
import { statSync } from "node:fs";

/** For `catch`: answers `value` where the path does not exist, and throws every other error on. */
export const ifMissing =
  <T>(value: T) =>
  (error: unknown): T => {
    if (!isMissing(error)) throw error;
    return value;
  };

/** Whether something is there. Throws where that cannot be told: `existsSync` says no to every error. */
export const isThere = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined;

export const isMissing = (error: unknown) => (error as NodeJS.ErrnoException).code === "ENOENT";
