/** A log file of bounded size: at its limit it becomes `NAME.1` and a new one begins. */
import { closeSync, fstatSync, mkdirSync, openSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { messageOf } from "@berth/shared/log";

/** Opens the file at `path` (0600) for appending; it and its predecessor stay below `limitBytes` each. */
export function openLogFile(path: string, limitBytes = 10 * 2 ** 20): { write(line: string): void; close(): void } {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  let fd = openSync(path, "a", 0o600);
  let size = fstatSync(fd).size;
  let isWell = true;
  const rotate = () => {
    renameSync(path, `${path}.1`);
    const before = fd;
    fd = openSync(path, "a", 0o600);
    closeSync(before);
    size = 0;
  };
  return {
    // A full disk takes lines, and does not end who writes them.
    write(line) {
      try {
        if (size > limitBytes) rotate();
        size += writeSync(fd, `${line}\n`);
        isWell = true;
      } catch (error) {
        if (isWell)
          process.stderr.write(`${path} cannot be written, and lacks lines from here on: ${messageOf(error)}\n`);
        isWell = false;
      }
    },
    close: () => closeSync(fd),
  };
}
