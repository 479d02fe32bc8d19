/** Reading the kernel's files. */
import { readFileSync } from "node:fs";

/** Null where the process or the container has gone meanwhile. */
export function readProc(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (["ENOENT", "ESRCH", "ENODEV", "EACCES"].includes((error as NodeJS.ErrnoException).code ?? "")) return null;
    throw error;
  }
}
