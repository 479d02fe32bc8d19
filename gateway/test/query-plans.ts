/**
 * For tests: notes each statement that the app prepares in this process, and asks a database how it would run them. What a
 * statement costs as tables grow is counted in `worker/growth.test.ts`. `check-query-plans.ts` asks at the end of every file of the
 * suite on Node; in workerd `workerd/on-workerd.ts` asks D1 itself.
 */
import Sqlite from "better-sqlite3";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { openDatabase } from "../src/node/data.ts";
import { makeDirectory } from "./directory.ts";
import { isSetUp, nullsFor, scansIn, type Step } from "./plan-rules.ts";

/** Whether a test asks by itself: the first file of ours in the stack, beside the one that opens the database, is a test. */
const isOfTest = (stack = "") =>
  /\/gateway\/src\/(?!node\/data\.)(\S+?)\.ts/.exec(stack)?.[1]?.endsWith(".test") ?? false;

const prepared = new Set<string>();
Error.stackTraceLimit = 30;
const { prepare } = Sqlite.prototype;
Sqlite.prototype.prepare = function note(this: Sqlite.Database, source: string) {
  // A stack costs more than the statement.
  if (!prepared.has(source) && !isOfTest(new Error().stack)) prepared.add(source);
  return prepare.call(this, source);
} as typeof prepare;

const checked = new Set<string>();

/** What is wrong with how statements would run that were prepared since the last call: nothing in []. */
export function findScans(): string[] {
  const due = [...prepared].filter((source) => !checked.has(source));
  for (const source of due) checked.add(source);
  const dir = makeDirectory("berth-plans-");
  const path = join(dir, "empty.sqlite");
  openDatabase(path).close();
  const file = new Sqlite(path);
  try {
    return due.flatMap((source) => scansOf(file, source));
  } finally {
    file.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

function scansOf(file: Sqlite.Database, source: string): string[] {
  if (isSetUp(source)) return [];
  const plan = prepare.call(file, `explain query plan ${source}`) as Sqlite.Statement<unknown[], Step>;
  return scansIn(source, plan.all(...nullsFor(source)));
}
