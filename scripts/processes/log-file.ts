/** A log file of bounded size: at its limit it becomes `NAME.1` and a new one begins. */
import { closeSync, fstatSync, mkdirSync, openSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";

/** Opens the file at `path` (0600) for appending; it and its predecessor stay below `limitBytes` each. */
export function openLogFile(path: string, limitBytes = 10 * 2 ** 20): { write(line: string): void; close(): void } {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  let fd = openSync(path, "a", 0o600);
  let size = fstatSync(fd).size;
  return {
    write(line) {
      if (size > limitBytes) {
        closeSync(fd);
        renameSync(path, `${path}.1`);
        fd = openSync(path, "a", 0o600);
        size = 0;
      }
      size += writeSync(fd, `${line}\n`);
    },
    close: () => closeSync(fd),
  };
}
