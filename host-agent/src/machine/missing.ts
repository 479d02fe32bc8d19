/** An error is never a no: of all that can go wrong with a path, ENOENT alone says that nothing is there. */

/** For `catch`: answers `value` where the path does not exist, and throws every other error on. */
export const ifMissing =
  <T>(value: T) =>
  (error: unknown): T => {
    if (!isMissing(error)) throw error;
    return value;
  };

export const isMissing = (error: unknown) => (error as NodeJS.ErrnoException).code === "ENOENT";
