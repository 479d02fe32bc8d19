/**
 * Lines of a log as server-sent events, many at once and byte by byte: most lines go as they are, and a string for each would
 * be hundreds of thousands a second to collect as garbage. Says the same as `sse.ts` says of a line that comes by itself.
 */
import { type SplitLines, toLine, valuesOf } from "../run/run-log.ts";

/** So much is one piece of work, and one write to the connection. */
const blockBytes = 128 * 1024;
const [head, middle] = [Buffer.from("id: "), Buffer.from("\nevent: output\ndata: ")];
const [beforeText, afterText] = [Buffer.from('{"type":"line","text":"'), Buffer.from('"}')];
/** More than stands around a line's data, with an offset of 16 digits. */
const aroundBytes = 128;

/** The events of as many lines as one block holds; one that is longer has a block of its own. */
export const toEventBlock: SplitLines<Uint8Array> = (bytes, from, start, speaksJson) => {
  let block = Buffer.allocUnsafe(blockBytes);
  let [at, next] = [0, from];
  while (next < bytes.length) {
    const newline = bytes.indexOf(0x0a, next);
    const offset = start + newline + 1;
    const size = aroundBytes + newline - next;
    if (at + size > block.length) {
      if (at > 0) break;
      block = Buffer.allocUnsafe(size);
    }
    const data = writeAround(block, offset, at);
    let end = speaksJson ? writeJson(block, data, bytes, next, newline) : writeText(block, data, bytes, next, newline);
    if (end < 0) {
      const made = Buffer.from(toLine(bytes.subarray(next, newline), offset, speaksJson).data);
      if (data + made.length + 2 > block.length) {
        if (at > 0) break;
        block = Buffer.allocUnsafe(aroundBytes + made.length);
        writeAround(block, offset, 0);
      }
      end = data + made.copy(block, data);
    }
    block[end] = block[end + 1] = 0x0a;
    at = end + 2;
    next = newline + 1;
  }
  return { batch: block.subarray(0, at), next };
};

/** Writes what stands before an event's data; answers where that begins. */
function writeAround(block: Uint8Array, offset: number, at: number): number {
  return write(block, middle, writeNumber(block, offset, write(block, head, at)));
}

/** Byte by byte: for so few a call of the runtime's own copy costs more than they do. */
function write(block: Uint8Array, bytes: Uint8Array, at: number): number {
  for (let from = 0; from < bytes.length; from++) block[at++] = bytes[from]!;
  return at;
}

/** Writes a line as text and answers where it ends; -1 where JSON does not write it as it is: ASCII without controls, quotes and backslashes. */
function writeText(block: Uint8Array, at: number, bytes: Uint8Array, from: number, end: number): number {
  at = write(block, beforeText, at);
  for (; from < end; from++) {
    const byte = bytes[from]!;
    if (byte < 0x20 || byte > 0x7f || byte === 0x22 || byte === 0x5c) return -1;
    block[at++] = byte;
  }
  return write(block, afterText, at);
}

/** The same for an object that passes unchanged. */
function writeJson(block: Uint8Array, at: number, bytes: Buffer, from: number, end: number): number {
  return isPlainJson(bytes, from, end) ? at + bytes.copy(block, at, from, end) : -1;
}

/** Whether it is an object that passes unchanged: in ASCII, without what ends a line of an event. */
function isPlainJson(bytes: Buffer, from: number, end: number): boolean {
  for (let at = from; at < end; at++) if (bytes[at]! > 0x7f || bytes[at] === 0x0d) return false;
  return valuesOf(bytes.subarray(from, end)) !== null;
}

/** Writes a number in digits; answers where they end. */
function writeNumber(into: Uint8Array, value: number, from: number): number {
  let end = from + 1;
  for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) end++;
  for (let at = end, rest = value; at > from; rest = Math.floor(rest / 10)) into[--at] = 0x30 + (rest % 10);
  return end;
}
