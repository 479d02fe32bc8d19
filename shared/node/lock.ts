/** A lock between processes that the kernel frees with the process, SIGKILL included: an SQLite file held exclusively. */
import Sqlite from "better-sqlite3";

export type Lock = NonNullable<ReturnType<typeof takeLock>>;

/** Takes the lock at `path`, waiting at most `waitMs`; null when another process holds it. */
export function takeLock(path: string, waitMs: number) {
  const file = new Sqlite(path, { timeout: waitMs });
  try {
    file.pragma("locking_mode = EXCLUSIVE");
    file.exec("begin exclusive");
    return { close: () => file.close() };
  } catch (error) {
    file.close();
    if (error instanceof Error && "code" in error && String(error.code).startsWith("SQLITE_BUSY")) return null;
    throw error;
  }
}
