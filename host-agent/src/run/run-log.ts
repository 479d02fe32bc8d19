/**
 * The lines of a run's `out` file by byte offset: the one way every reader gets output, from any offset, while the run
 * goes on and after it ended. Memory is bounded: a long line is passed on in chunks and never held by more than one
 * reader at a time. Knows nothing of HTTP, sockets or runs' states.
 */
import { open, type FileHandle } from "node:fs/promises";
import { ifMissing } from "../machine/missing.ts";

/** One event's data: JSON text, whole or (for a long line) in chunks that together are the JSON text. */
export interface OutputLine {
  /** Byte offset in the log just after the line. */
  offset: number;
  data: string | AsyncIterable<string>;
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
}

/** Longer lines are handed on in pieces of this many bytes, each an event of its own. */
const longestLineBytes = 16 * 2 ** 20;
const chunkBytes = 64 * 1024;

/** Where a reader stands: its next line begins at `at`, and no line ends before `searched`. */
export interface Position {
  at: number;
  searched: number;
}

/**
 * Reads the lines that are there now, from the position on, in batches; returns the position to which it came. A last line
 * without a newline counts once the log is sealed. However often it looks, an unfinished line is searched once.
 */
export async function* readLines(source: LogSource, position: Position): AsyncGenerator<OutputLine[], Position> {
  const sealed = source.sealedBytes();
  const file = await open(source.path, "r").catch(ifMissing(null));
  if (!file) return position;
  try {
    const end = Math.min(sealed ?? (await file.stat()).size, source.limitBytes);
    const chunk = Buffer.allocUnsafe(chunkBytes);
    let { at } = position;
    let searched = Math.max(at, position.searched);
    const handOn = async (line: LineEnd) => [await longLine(file, at, line, source.speaksJson)];
    while (searched < end) {
      const { bytesRead } = await file.read(chunk, 0, Math.min(chunkBytes, end - searched), searched);
      if (bytesRead === 0) break;
      const bytes = chunk.subarray(0, bytesRead);
      const last = searched === at ? bytes.lastIndexOf(0x0a) : -1;
      if (last >= 0) {
        yield splitLines(bytes.subarray(0, last), at, source.speaksJson);
        searched = at += last + 1;
        continue;
      }
      const newline = bytes.indexOf(0x0a);
      searched += newline < 0 ? bytesRead : newline;
      if (searched - at > longestLineBytes) {
        const cut = await characterStart(file, at + longestLineBytes);
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

/** The data of a line that is short enough to hold. */
function encodeLine(text: string, speaksJson: boolean): string {
  return speaksJson && isJsonObject(text) ? text.replaceAll("\r", "") : JSON.stringify({ type: "line", text });
}

function splitLines(bytes: Buffer, start: number, speaksJson: boolean): OutputLine[] {
  const lines: OutputLine[] = [];
  for (let from = 0; from <= bytes.length;) {
    const newline = bytes.indexOf(0x0a, from);
    const to = newline < 0 ? bytes.length : newline;
    lines.push({ offset: start + to + 1, data: encodeLine(bytes.toString("utf8", from, to), speaksJson) });
    from = to + 1;
  }
  return lines;
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

async function longLine(file: FileHandle, start: number, line: LineEnd, speaksJson: boolean): Promise<OutputLine> {
  const length = line.end - start;
  if (length <= chunkBytes && !line.more) {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, start);
    return { offset: line.next, data: encodeLine(buffer.toString("utf8", 0, bytesRead), speaksJson) };
  }
  const isJson = speaksJson && !line.more && (await isJsonRange(file, start, length));
  const text = decodeRange(file, start, line.end);
  return { offset: line.next, data: isJson ? withoutReturns(text) : asTextLine(text, line.more) };
}

/** One long line is parsed at a time, in the whole process: parsing needs several times its size. */
let parsing: Promise<unknown> = Promise.resolve();
function isJsonRange(file: FileHandle, start: number, length: number): Promise<boolean> {
  const result = parsing.then(async () => {
    const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(length), 0, length, start);
    return isJsonObject(buffer.toString("utf8", 0, bytesRead));
  });
  parsing = result.catch(() => undefined);
  return result;
}

async function* decodeRange(file: FileHandle, start: number, end: number): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const chunk = Buffer.allocUnsafe(chunkBytes);
  for (let at = start; at < end;) {
    const { bytesRead } = await file.read(chunk, 0, Math.min(chunkBytes, end - at), at);
    if (bytesRead === 0) break;
    yield decoder.decode(chunk.subarray(0, bytesRead), { stream: true });
    at += bytesRead;
  }
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

function isJsonObject(text: string): boolean {
  if (!/^\s*\{/.test(text)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** The text at the end of a file, at most `maxBytes` of it, cut at a character. */
export async function readTail(path: string, maxBytes: number, sealedBytes?: number): Promise<string> {
  const file = await open(path, "r").catch(ifMissing(null));
  if (!file) return "";
  try {
    const size = sealedBytes ?? (await file.stat()).size;
    const start = Math.max(0, size - maxBytes);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size - start), 0, size - start, start);
    let first = 0;
    if (start > 0) while (first < Math.min(3, bytesRead) && (buffer[first]! & 0xc0) === 0x80) first++;
    return buffer.toString("utf8", first, bytesRead);
  } finally {
    await file.close();
  }
}
