/**
 * The blocks of a Markdown text (CommonMark 0.31, section 4 and 5, with GFM's tables and task lists), line by line, nested to
 * a fixed depth. HTML and indented code are text. Pure.
 */

export type Block =
  | { type: "heading"; level: number; text: string }
  | { type: "paragraph"; text: string }
  | { type: "code"; text: string; language: string }
  | { type: "quote"; blocks: Block[] }
  | { type: "list"; start: number | null; items: ListItem[] }
  | { type: "table"; header: string[]; rows: string[][]; aligns: Align[] }
  | { type: "rule" };
/** How a column of a table stands; null where the text does not say. */
type Align = "left" | "center" | "right" | null;
export interface ListItem {
  /** Whether the task is done; null where it is none. */
  isDone: boolean | null;
  blocks: Block[];
}

const deepest = 8;
const fence = /^ {0,3}(`{3,}|~{3,})([^`]*)$/;
const heading = /^ {0,3}(#{1,6})(?:[ \t](.*))?$/;
const rule = /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/;
const quote = /^ {0,3}> ?/;
const bullet = /^( {0,9})([-*+]|\d{1,9}[.)])(?: ( {0,3})(?=\S)|[ \t]*$|[ \t])/;

export const parseBlocks = (text: string): Block[] => parseLines(text.split("\n"), 0);

interface Cursor {
  lines: string[];
  at: number;
  depth: number;
}

function parseLines(lines: string[], depth: number): Block[] {
  const cursor: Cursor = { lines, at: 0, depth };
  const blocks: Block[] = [];
  while (cursor.at < lines.length) {
    if (isBlank(lines[cursor.at]!)) cursor.at++;
    else
      blocks.push(
        readCode(cursor) ??
          readHeading(cursor) ??
          readQuote(cursor) ??
          readList(cursor) ??
          readTable(cursor) ??
          readParagraph(cursor),
      );
  }
  return blocks;
}

const isBlank = (line: string) => line.trim() === "";
/** Whether the line begins a block of its own, even right after a paragraph. */
const interrupts = (line: string) =>
  fence.test(line) || heading.test(line) || rule.test(line) || quote.test(line) || bullet.test(line);

function readCode(cursor: Cursor): Block | null {
  const { lines, at } = cursor;
  const opening = fence.exec(lines[at]!);
  if (!opening) return null;
  const mark = opening[1]!;
  const indent = lines[at]!.indexOf(mark);
  const isEnd = (line: string) => line.trim().length >= mark.length && line.trim().replaceAll(mark[0]!, "") === "";
  let end = at + 1;
  while (end < lines.length && !isEnd(lines[end]!)) end++;
  cursor.at = end + 1;
  const body = lines.slice(at + 1, end).map((line) => line.slice(Math.min(indent, leadingSpaces(line))));
  return { type: "code", text: body.join("\n"), language: opening[2]!.trim().slice(0, 40) };
}

function readHeading(cursor: Cursor): Block | null {
  const line = cursor.lines[cursor.at]!;
  if (rule.test(line)) {
    cursor.at++;
    return { type: "rule" };
  }
  const found = heading.exec(line);
  if (!found) return null;
  cursor.at++;
  const text = (found[2] ?? "").trim();
  const tail = /(?:^|\s)#{1,9}$/.exec(text);
  return { type: "heading", level: found[1]!.length, text: tail ? text.slice(0, tail.index).trimEnd() : text };
}

function readQuote(cursor: Cursor): Block | null {
  const { lines, at, depth } = cursor;
  if (depth >= deepest || !quote.test(lines[at]!)) return null;
  let end = at;
  while (end < lines.length && quote.test(lines[end]!)) end++;
  cursor.at = end;
  return {
    type: "quote",
    blocks: parseLines(
      lines.slice(at, end).map((line) => line.replace(quote, "")),
      depth + 1,
    ),
  };
}

function readList(cursor: Cursor): Block | null {
  const { lines, depth } = cursor;
  const first = bullet.exec(lines[cursor.at]!);
  if (depth >= deepest || !first || rule.test(lines[cursor.at]!)) return null;
  const isOrdered = first[2]!.length > 1;
  const items: ListItem[] = [];
  for (let found: RegExpExecArray | null = first; found; found = nextItem(cursor, isOrdered))
    items.push(readItem(cursor, found));
  return { type: "list", start: isOrdered ? Number.parseInt(first[2]!, 10) : null, items };
}

/** The next line's bullet when it goes on with the list. */
function nextItem({ lines, at }: Cursor, isOrdered: boolean): RegExpExecArray | null {
  const line = lines[at];
  const found = line === undefined || rule.test(line) ? null : bullet.exec(line);
  return found && found[2]!.length > 1 === isOrdered ? found : null;
}

/** An item: its first line, what is indented below it, and lines that only go on with its paragraph. */
function readItem(cursor: Cursor, found: RegExpExecArray): ListItem {
  const { lines, depth } = cursor;
  const indent = found[0].length;
  const least = found[1]!.length + 2;
  const body = [lines[cursor.at++]!.slice(indent)];
  for (; cursor.at < lines.length; cursor.at++) {
    const line = lines[cursor.at]!;
    if (isBlank(line)) {
      const next = lines.slice(cursor.at, cursor.at + 20).find((other) => !isBlank(other));
      if (next === undefined || leadingSpaces(next) < least) {
        if (next === undefined || !bullet.test(next)) break;
        skipBlank(cursor);
        break;
      }
      body.push("");
    } else if (leadingSpaces(line) >= least) body.push(line.slice(Math.min(indent, leadingSpaces(line))));
    else if (isBlank(body.at(-1)!) || interrupts(line)) break;
    else body.push(line);
  }
  const task = /^\[([ xX])\] /.exec(body[0]!);
  if (task) body[0] = body[0]!.slice(4);
  return { isDone: task ? task[1] !== " " : null, blocks: parseLines(body, depth + 1) };
}

function skipBlank(cursor: Cursor): void {
  while (cursor.at < cursor.lines.length && isBlank(cursor.lines[cursor.at]!)) cursor.at++;
}

function readTable(cursor: Cursor): Block | null {
  const { lines, at } = cursor;
  const under = lines[at + 1];
  if (!lines[at]!.includes("|") || under === undefined || !under.includes("-")) return null;
  const header = cellsOf(lines[at]!);
  const dashes = cellsOf(under);
  if (dashes.length !== header.length || !dashes.every((cell) => /^:?-+:?$/.test(cell))) return null;
  let end = at + 2;
  while (end < lines.length && !isBlank(lines[end]!) && lines[end]!.includes("|")) end++;
  cursor.at = end;
  const rows = lines.slice(at + 2, end).map((line) => cellsOf(line).slice(0, header.length));
  return { type: "table", header, rows, aligns: dashes.map(alignOf) };
}

function alignOf(dashes: string): Align {
  if (dashes.endsWith(":")) return dashes.startsWith(":") ? "center" : "right";
  return dashes.startsWith(":") ? "left" : null;
}

function cellsOf(line: string): string[] {
  const inner = line
    .trim()
    .replace(/^\|/, "")
    .replace(/(?<!\\)\|$/, "");
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

function readParagraph(cursor: Cursor): Block {
  const { lines, at } = cursor;
  let end = at + 1;
  while (end < lines.length && !isBlank(lines[end]!) && !interrupts(lines[end]!)) end++;
  cursor.at = end;
  return {
    type: "paragraph",
    text: lines
      .slice(at, end)
      .map((line) => line.trim())
      .join("\n"),
  };
}

function leadingSpaces(line: string): number {
  let count = 0;
  while (line[count] === " ") count++;
  return count;
}
