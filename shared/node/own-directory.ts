/** For tests: a directory of their own on the disk. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Its name has its owner in it: where this process is killed the next test run removes it, and what is mounted there. */
export const makeOwnDirectory = (name: string) => mkdtempSync(join(tmpdir(), `berth-test-${process.pid}-${name}-`));
