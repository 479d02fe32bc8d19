/**
 * For tests: notes each statement that the app prepares in this process, and asks a database how it would run them: none may
 * read the whole of a table that grows, nor a list that came in again for each of its rows. What a statement costs as tables grow
 * is counted in `worker/growth.test.ts`. `check-query-plans.ts` asks at the end of every file of the suite on Node.
 */
import Sqlite from "better-sqlite3";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { openDatabase } from "../src/node/data.ts";
import { makeDirectory } from "./directory.ts";

/** Hosts, providers and chores are as many as a team has machines. */
const growing =
  "agents|audit|daily_use|deliveries|identities|join_tokens|runs|sign_in_codes|tokens|triggers|users|workspaces";

/** Indices of what is current alone: as many entries as there are admins, runs in progress, deliveries that wait. */
const current =
  /USING (COVERING )?INDEX (users_admins|users_pending|runs_unended|deliveries_waiting|agents_undropped)\b/;
/** A page in the order of an index ends with its limit, and so does what is looked through for one. */
const isPage = (source: string, detail: string) =>
  / USING (COVERING )?INDEX /.test(detail) &&
  (/^(?!.* where ).* limit \+\?$/is.test(source) ||
    / order by created_at desc, id desc limit \+\?\) seen\b/.test(source));
/** Lists pass over what does not fit in an index that has all they ask for: rows are large. */
const filtered = / indexed by /;
/** Migrations (their names are in backticks), and transactions. */
const isSetUp = (source: string) =>
  /`|^\s*(pragma|begin|commit|rollback|savepoint|release)/i.test(source) || source.includes("__drizzle");

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

interface Step {
  parent: number;
  detail: string;
}

/** The steps of the plan that read a growing table from end to end, a list in a loop over one, or rows where an index would do. */
function scansOf(file: Sqlite.Database, source: string): string[] {
  if (isSetUp(source)) return [];
  const names = aliasesOf(source);
  const plan = prepare.call(file, `explain query plan ${source}`) as Sqlite.Statement<unknown[], Step>;
  const steps = plan.all(...Array.from(source.matchAll(/\?/g), () => null));
  const whole = steps
    .filter(({ detail }) => names.has(/^SCAN (\w+)(?! VIRTUAL)/.exec(detail)?.[1] ?? ""))
    .filter(({ detail }) => !current.test(detail) && !isPage(source, detail));
  const wide = steps.filter(({ detail }) => /USING INDEX (runs_user|runs_agent)\b/.test(detail));
  const lists = steps.filter((step, at) => isListInLoop(step, steps.slice(0, at), names));
  return [...whole, ...lists, ...(filtered.test(source) ? wide : [])].map(
    ({ detail }) => `${detail}: ${source.replaceAll(/\s+/g, " ").trim()}`,
  );
}

/** Steps of one parent are loops in each other. One row by its key is no loop. */
function isListInLoop({ parent, detail }: Step, before: Step[], names: Set<string>): boolean {
  const isLoop = (step: Step) =>
    step.parent === parent &&
    names.has(/^(?:SCAN|SEARCH) (\w+)/.exec(step.detail)?.[1] ?? "") &&
    !step.detail.includes("sqlite_autoindex");
  return detail.includes("VIRTUAL TABLE") && before.some(isLoop);
}

/** What growing tables are called in a statement. */
function aliasesOf(source: string): Set<string> {
  const named = new RegExp(`\\b"?(${growing})"?(?:\\s+(?:as\\s+)?"?(\\w+)"?)?`, "gi");
  return new Set([...source.matchAll(named)].flatMap(([, table = "", alias]) => [table, ...(alias ? [alias] : [])]));
}
