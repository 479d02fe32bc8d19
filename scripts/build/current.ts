/** Whether what was built is still what its sources make. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";

/** False when the built file is missing, or a source is newer; a source is a file, or a directory with all that is in it. */
export function isCurrent(built: string, sources: string[]): boolean {
  if (!existsSync(built)) return false;
  const builtAt = statSync(built).mtimeMs;
  return sources.flatMap(filesUnder).every((file) => statSync(file).mtimeMs <= builtAt);
}

/** What was deleted shows in its directory's time. */
function filesUnder(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  return [path, ...readdirSync(path, { recursive: true, encoding: "utf8" }).map((name) => join(path, name))];
}
