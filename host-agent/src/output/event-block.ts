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
    const isAsItIs = speaksJson ? isPlainJson(bytes, next, newline) : isPlainText(bytes, next, newline);
    const made = isAsItIs ? null : Buffer.from(toLine(bytes.subarray(next, newline), offset, speaksJson).data);
    const size = aroundBytes + (made?.length ?? newline - next);
    if (at + size > block.length) {
      if (at > 0) break;
      block = Buffer.allocUnsafe(size);
    }
    block.set(head, at);
    at = writeNumber(block, offset, at + head.length);
    block.set(middle, at);
    at += middle.length;
    if (made) at += made.copy(block, at);
    else if (speaksJson) at += bytes.copy(block, at, next, newline);
    else {
      block.set(beforeText, at);
      at += beforeText.length;
      at += bytes.copy(block, at, next, newline);
      block.set(afterText, at);
      at += afterText.length;
    }
    block[at++] = 0x0a;
    block[at++] = 0x0a;
    next = newline + 1;
  }
  return { batch: block.subarray(0, at), next };
};

/** Whether JSON writes these bytes as they are: ASCII without controls, quotes and backslashes. */
function isPlainText(bytes: Uint8Array, from: number, end: number): boolean {
  for (let at = from; at < end; at++) {
    const byte = bytes[at]!;
    if (byte < 0x20 || byte > 0x7f || byte === 0x22 || byte === 0x5c) return false;
  }
  return true;
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
