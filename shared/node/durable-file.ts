/** Small files that nothing can bring back: after a power cut each is there whole, as it was or as it is. */
import { closeSync, fsyncSync, openSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** Writes the file, for its owner alone, in place of what was there. */
export function writeDurably(path: string, text: string): void {
  const fresh = `${path}.new`;
  writeFileSync(fresh, text, { mode: 0o600, flush: true });
  renameSync(fresh, path);
  syncDirectory(dirname(path));
}

/** A new name is on disk once its directory is. */
export function syncDirectory(dir: string): void {
  const directory = openSync(dir, "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
