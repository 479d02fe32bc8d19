/** Reading the kernel's files, and raising what it counts for the whole machine. */
import { closeSync, openSync, readFileSync, readSync, writeFileSync } from "node:fs";
import { ifCode, unlessCode } from "./missing.ts";

/** Who may not look (EACCES, EPERM) knows nothing of whether it is there. */
const gone = ["ENOENT", "ESRCH", "ENODEV"];

/** Null where the process or the container has gone meanwhile. */
export const readProc = (path: string): string | null => unlessCode(null, () => readFileSync(path, "utf8"), ...gone);

/** As many bytes from the beginning as the buffer takes: for what a process makes as long as it likes. Null as above. */
export function readProcInto(path: string, buffer: Buffer): Buffer | null {
  let file: number | null = null;
  try {
    file = openSync(path, "r");
    let length = 0;
    for (let read = -1; read !== 0 && length < buffer.length; length += read)
      read = readSync(file, buffer, length, buffer.length - length, null);
    return buffer.subarray(0, length);
  } catch (error) {
    return ifCode(null, ...gone)(error);
  } finally {
    if (file !== null) closeSync(file);
  }
}

/**
 * Raises each count below `root` that is lower than this, and answers which. One agent could otherwise take what is for all; its
 * container bounds what it takes.
 */
export function raiseCounts(wanted: Record<string, number>, root = "/proc/sys"): string[] {
  return Object.entries(wanted).flatMap(([name, least]) => {
    const path = `${root}/${name}`;
    if (Number(readFileSync(path, "utf8")) >= least) return [];
    writeFileSync(path, String(least));
    return [name];
  });
}
