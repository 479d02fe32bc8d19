/** For tests: a directory of their own, in memory where there is some: what a disk has to keep is not asked of it here. */
import { existsSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const memory = "/dev/shm";

/** Makes a new directory; whoever asks for it removes it. */
export const makeDirectory = (prefix: string) => mkdtempSync(join(existsSync(memory) ? memory : tmpdir(), prefix));

/** Makes one on the disk that the next test run removes where this process was killed: what is mounted there too. */
export const makeOwnDirectory = (name: string) => mkdtempSync(join(tmpdir(), `berth-test-${process.pid}-${name}-`));
