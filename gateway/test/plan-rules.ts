/** For tests: what a plan of SQLite must not do, here or in D1: read the whole of a table that grows, or a list that came in again for each of its rows. */

/** Hosts, providers and chores are as many as a team has machines. */
const growing =
  "agents|audit|daily_use|deliveries|identities|join_tokens|runs|sign_in_codes|tokens|triggers|users|workspaces";

/** Indices of what is current alone: as many entries as there are admins, runs in progress, deliveries that wait. */
const current =
  /USING (COVERING )?INDEX (users_admins|users_pending|runs_unended|deliveries_waiting|agents_undropped)\b/;
/** A page in the order of an index ends with its limit, and so does what is looked through for one. */
const isPage = (source: string, detail: string) =>
  / USING (COVERING )?INDEX /.test(detail) &&
  (/^(?!.* where ).* limit \+?\?$/is.test(source) ||
    / order by created_at desc, id desc limit \+?\?\) seen\b/.test(source));
/** Lists pass over what does not fit in an index that has all they ask for: rows are large. */
const filtered = / indexed by /;
/** Migrations (their names are in backticks), and transactions. */
export const isSetUp = (source: string) =>
  /`|^\s*(pragma|begin|commit|rollback|savepoint|release)/i.test(source) || source.includes("__drizzle");

export interface Step {
  parent: number;
  detail: string;
}

/** The steps of the plan that read a growing table from end to end, a list in a loop over one, or rows where an index would do. */
export function scansIn(source: string, steps: Step[]): string[] {
  const names = aliasesOf(source);
  const whole = steps
    .filter(({ detail }) => names.has(/^SCAN (\w+)(?! VIRTUAL)/.exec(detail)?.[1] ?? ""))
    .filter(({ detail }) => !current.test(detail) && !isPage(source, detail));
  const wide = steps.filter(({ detail }) => /USING INDEX (runs_user|runs_agent)\b/.test(detail));
  const lists = steps.filter((step, at) => isListInLoop(step, steps.slice(0, at), names));
  return [...whole, ...lists, ...(filtered.test(source) ? wide : [])].map(
    ({ detail }) => `${detail}: ${source.replaceAll(/\s+/g, " ").trim()}`,
  );
}

/** As many values as a statement takes, for a plan none matters. */
export const nullsFor = (source: string): null[] => Array.from(source.matchAll(/\?/g), () => null);

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
