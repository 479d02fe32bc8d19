/**
 * Lists as rows of a statement. They go in as JSON, cut into pieces, because D1 takes at most 2 MB in a bound value and
 * 100 of those; so a list of any length is still one statement.
 */
import { sql, type SQL } from "drizzle-orm";

/** Characters of JSON in one piece: at most three bytes each. */
const pieceLength = 300_000;
/** A text whose JSON is longer is bound by itself: escaped, 1 MiB of it may be 6 MiB. */
const longLength = 65_536;
/** Two values each. */
const piecesPerStatement = 40;

/** The items as a table with the one column `value`, their JSON. For lists whose items are short. */
export function jsonRows(items: unknown[]): SQL {
  const pieces = cut(items.map((item) => JSON.stringify(item))).map((piece) => sql`(${piece})`);
  return sql`(select j.value as value from (values ${sql.join(pieces, sql`, `)}) p, json_each(p.column1) j)`;
}

/**
 * The items as tables with the columns `value` (an item's JSON without its prompt) and `prompt`. All but absurdly many long
 * ones fit in one table, and there is always one.
 */
export function jsonRowsWithPrompt(items: { prompt: string }[]): SQL[] {
  const short: string[] = [];
  const long: SQL[] = [];
  for (const item of items) {
    const { prompt, ...rest } = item;
    if (JSON.stringify(prompt).length > longLength) long.push(sql`(${JSON.stringify([rest])}, ${prompt})`);
    else short.push(JSON.stringify(item));
  }
  const pieces = [...cut(short).map((piece) => sql`(${piece}, null)`), ...long];
  return chunk(pieces, piecesPerStatement).map(
    (some) => sql`(
      select json_remove(j.value, '$.prompt') as value, coalesce(p.column2, json_extract(j.value, '$.prompt')) as prompt
      from (values ${sql.join(some, sql`, `)}) p, json_each(p.column1) j)`,
  );
}

/** JSON arrays of the items, at least one. */
function cut(items: string[]): string[] {
  const pieces: string[][] = [[]];
  let length = 0;
  for (const item of items) {
    length += item.length;
    if (length > pieceLength && pieces.at(-1)!.length > 0) {
      pieces.push([]);
      length = item.length;
    }
    pieces.at(-1)!.push(item);
  }
  return pieces.map((piece) => `[${piece.join(",")}]`);
}

function chunk<T>(items: T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, at) => items.slice(at * size, (at + 1) * size));
}
