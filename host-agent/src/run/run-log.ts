/**
 * The lines of a run's `out` file by byte offset: the one way every reader gets output, from any offset, while the run
 * goes on and after it ended. Memory is bounded: a long line is passed on in chunks and never held by more than one
 * reader at a time. Knows nothing of HTTP, sockets or runs' states.
 */
import { constants } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { JsonScan } from "@berth/shared/bounds/json-scan";
import { atOnce, held, ifCode } from "../machine/missing.ts";

/** One event's data: JSON text, whole or (for a long line) in chunks that together are the JSON text. */
export interface OutputLine {
  /** Byte offset in the log just after the line. */
  offset: number;
  data: string | AsyncIterable<string>;
  /** How many keys and values parsing it would make; null where the CLI's line is no JSON object, but shown as text. */
  values: number | null;
}

/** What a reader must know of the log: how far it reaches, whether it can still grow, and how to wait for more. */
export interface LogSource {
  path: string;
  /** Whether lines that are JSON objects pass unchanged; else every line is shown as text. */
  speaksJson: boolean;
  /** Bytes of the log that are final; null while it can grow. */
  sealedBytes(): number | null;
  /** What was written beyond is not shown: it goes when the log is sealed. */
  limitBytes: number;
  /** Longer lines are handed on in pieces of this many bytes. */
  longestLineBytes: number;
  /** Resolves when a piece of it may be read: an agent makes as many lines, as long and of such a shape, as it likes. */
  turn(): Promise<void>;
}

/** For readers longer lines are cut into pieces of this many bytes, each an event of its own. */
export const longestLineBytes = 16 * 2 ** 20;
const chunkBytes = 128 * 1024;
/** So many lines are one piece of work. */
const linesAtOnce = 256;
/** JSON that is nested deeper is shown as text: it is nobody's message, and breaks parsers. */
const maxDepth = 500;

/** Where a reader stands: its next line begins at `at`, and no line ends before `searched`. */
export interface Position {
  at: number;
  searched: number;
}

/** What becomes of lines that are held whole: of some of them from `from` on, one piece of work, and where the next begins. */
export type SplitLines<Batch> = (
  bytes: Buffer,
  from: number,
  start: number,
  speaksJson: boolean,
) => { batch: Batch; next: number };

/**
 * Reads the lines that are there now, from the position on, in batches; returns the position to which it came. A last line
 * without a newline counts once the log is sealed. However often it looks, an unfinished line is searched once.
 */
export async function* readLines<Batch>(
  source: LogSource,
  position: Position,
  split: SplitLines<Batch>,
): AsyncGenerator<OutputLine[] | Batch, Position> {
  const sealed = source.sealedBytes();
  const file = await openLog(source.path);
  if (!file) return position;
  try {
    const end = Math.min(sealed ?? (await file.stat()).size, source.limitBytes);
    let { at } = position;
    let searched = Math.max(at, Math.min(position.searched, end));
    const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, Math.max(0, end - searched)));
    const handOn = async (line: LineEnd) => [await longLine(file, at, line, source)];
    while (searched < end) {
      await source.turn();
      const { bytesRead } = await file.read(chunk, 0, Math.min(chunk.length, end - searched), searched);
      if (bytesRead === 0) break;
      const bytes = chunk.subarray(0, bytesRead);
      const last = searched === at ? bytes.lastIndexOf(0x0a) : -1;
      if (last >= 0) {
        for (let from = 0; from < last + 1;) {
          if (from > 0) await source.turn();
          const { batch, next } = split(bytes.subarray(0, last + 1), from, at, source.speaksJson);
          yield batch;
          from = next;
        }
        searched = at += last + 1;
        continue;
      }
      const newline = bytes.indexOf(0x0a);
      searched += newline < 0 ? bytesRead : newline;
      if (searched - at > source.longestLineBytes) {
        const cut = await characterStart(file, at + source.longestLineBytes);
        yield await handOn({ end: cut, next: cut, more: true });
        at = cut;
      } else if (newline >= 0) {
        yield await handOn({ end: searched, next: searched + 1, more: false });
        at = searched += 1;
      }
    }
    if (sealed !== null && at < searched) {
      yield await handOn({ end: searched, next: searched, more: false });
      at = searched;
    }
    return { at, searched };
  } finally {
    await file.close();
  }
}

/** Null where there is none, or where the agent keeps it from us now. */
const openLog = (path: string) => open(path, constants.O_RDONLY | atOnce).catch(ifCode(null, "ENOENT", held));

/** A line that is short enough to hold. */
export function toLine(bytes: Buffer, offset: number, speaksJson: boolean): OutputLine & { data: string } {
  const values = speaksJson ? valuesOf(bytes) : null;
  const text = bytes.toString();
  const data = values === null ? JSON.stringify({ type: "line", text }) : text.replaceAll("\r", "");
  return { offset, data, values };
}

/** How many values the JSON object has; null where it is none. */
export function valuesOf(bytes: Buffer): number | null {
  const scan = new JsonScan(maxDepth);
  scan.push(bytes);
  return scan.isObject() ? scan.values() : null;
}

/** The next lines from that place of the bytes on, which begin at `start` in the log and end with a newline. */
export const splitLines: SplitLines<OutputLine[]> = (bytes, from, start, speaksJson) => {
  const lines: OutputLine[] = [];
  let next = from;
  while (next < bytes.length && lines.length < linesAtOnce) {
    const newline = bytes.indexOf(0x0a, next);
    lines.push(toLine(bytes.subarray(next, newline), start + newline + 1, speaksJson));
    next = newline + 1;
  }
  return { batch: lines, next };
};

/** For who looks for a word alone: the lines that have it. */
export const linesWith =
  (word: string): SplitLines<string[]> =>
  (bytes, from) => {
    const lines: string[] = [];
    for (let at = bytes.indexOf(word, from); at !== -1; at = bytes.indexOf(word, at)) {
      const start = bytes.lastIndexOf(0x0a, at) + 1;
      at = bytes.indexOf(0x0a, at);
      lines.push(bytes.toString("utf8", start, at));
    }
    return { batch: lines, next: bytes.length };
  };

/** All of a line's data. */
export async function textOf(data: OutputLine["data"]): Promise<string> {
  if (typeof data === "string") return data;
  let text = "";
  for await (const chunk of data) text += chunk;
  return text;
}

interface LineEnd {
  /** Where the line's text ends, and where the next line begins. */
  end: number;
  next: number;
  /** Whether that is a cut. */
  more: boolean;
}

/** The nearest offset at or before `at` where a UTF-8 character begins, so that a cut splits none. */
async function characterStart(file: FileHandle, at: number): Promise<number> {
  const from = Math.max(0, at - 3);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, at - from + 1, from);
  for (let back = 0; back < bytesRead; back++) {
    if ((buffer[bytesRead - 1 - back]! & 0xc0) !== 0x80) return from + bytesRead - 1 - back;
  }
  return at;
}

async function longLine(file: FileHandle, start: number, line: LineEnd, source: LogSource): Promise<OutputLine> {
  const length = line.end - start;
  if (length <= chunkBytes && !line.more) {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, start);
    return toLine(buffer.subarray(0, bytesRead), line.next, source.speaksJson);
  }
  const values = source.speaksJson && !line.more ? await countLongValues(file, start, line.end, source) : null;
  const text = decodeRange(file, start, line.end, source);
  const data = values === null ? asTextLine(text, line.more) : withoutReturns(text);
  return { offset: line.next, data, values };
}

/** As `valuesOf`, of a line that nobody holds: a piece a turn. */
async function countLongValues(
  file: FileHandle,
  start: number,
  end: number,
  source: LogSource,
): Promise<number | null> {
  const scan = new JsonScan(maxDepth);
  for await (const bytes of readRange(file, start, end, source)) scan.push(bytes);
  return scan.isObject() ? scan.values() : null;
}

/** The bytes of a range, a piece a turn; each is good until the next. */
async function* readRange(file: FileHandle, start: number, end: number, { turn }: LogSource): AsyncGenerator<Buffer> {
  const chunk = Buffer.allocUnsafe(chunkBytes);
  for (let at = start; at < end;) {
    await turn();
    const { bytesRead } = await file.read(chunk, 0, Math.min(chunkBytes, end - at), at);
    if (bytesRead === 0) break;
    yield chunk.subarray(0, bytesRead);
    at += bytesRead;
  }
}

async function* decodeRange(file: FileHandle, start: number, end: number, source: LogSource): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  for await (const bytes of readRange(file, start, end, source)) yield decoder.decode(bytes, { stream: true });
  yield decoder.decode();
}

async function* withoutReturns(chunks: AsyncIterable<string>): AsyncGenerator<string> {
  for await (const chunk of chunks) yield chunk.replaceAll("\r", "");
}

async function* asTextLine(chunks: AsyncIterable<string>, more: boolean): AsyncGenerator<string> {
  yield '{"type":"line","text":"';
  for await (const chunk of chunks) yield JSON.stringify(chunk).slice(1, -1);
  yield more ? '","more":true}' : '"}';
}

/** The text at the end of a file of `size` bytes, at most `maxBytes` of it, cut at a character. */
export async function readTail(path: string, maxBytes: number, size: number): Promise<string> {
  const file = await openLog(path);
  if (!file) return "";
  try {
    const start = Math.max(0, size - maxBytes);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size - start), 0, size - start, start);
    let first = 0;
    if (start > 0) while (first < Math.min(3, bytesRead) && (buffer[first]! & 0xc0) === 0x80) first++;
    return buffer.toString("utf8", first, bytesRead);
  } finally {
    await file.close();
  }
}
