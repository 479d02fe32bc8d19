/** Demultiplexes what an exec without a terminal writes: the engine sends both streams in frames of one connection. */
import type { Readable } from "node:stream";

const headerBytes = 8;
const errorMaxBytes = 64;
/** A program's last word on standard error. */
const verdict = "done";

/** The bytes of standard output, with backpressure. Throws unless the program's last word is the verdict: then some are missing. */
export async function* readOutput(stream: Readable): AsyncGenerator<Buffer, undefined> {
  let header = Buffer.alloc(0);
  let left = 0;
  let isError = false;
  let said = "";
  for await (const received of stream as AsyncIterable<Buffer>) {
    // Together: a program that says a byte at a time has a frame for each.
    const parts: Buffer[] = [];
    for (let chunk = received; chunk.length > 0;) {
      if (left === 0) {
        const missing = headerBytes - header.length;
        header = Buffer.concat([header, chunk.subarray(0, missing)]);
        chunk = chunk.subarray(missing);
        if (header.length < headerBytes) break;
        isError = header[0] === 2;
        left = header.readUInt32BE(4);
        header = Buffer.alloc(0);
        continue;
      }
      const part = chunk.subarray(0, left);
      left -= part.length;
      chunk = chunk.subarray(part.length);
      if (isError) said = (said + part.toString("latin1")).slice(-errorMaxBytes);
      else if (part.length > 0) parts.push(part);
    }
    if (parts.length > 0) yield parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  }
  if (!said.endsWith(verdict)) throw new Error("the program in the workspace ended early");
}

/** The first line, without its end, and what follows it. Null if it is longer than `maxBytes` or never ends. */
export async function splitLine(
  output: AsyncGenerator<Buffer, undefined>,
  maxBytes: number,
): Promise<{ line: string; rest: AsyncGenerator<Buffer, undefined> } | null> {
  let begun = Buffer.alloc(0);
  while (begun.length <= maxBytes) {
    const { done, value } = await output.next();
    if (done) return null;
    begun = Buffer.concat([begun, value]);
    const end = begun.indexOf(0x0a);
    if (end > maxBytes) return null;
    if (end >= 0) return { line: begun.toString("utf8", 0, end), rest: continueWith(begun.subarray(end + 1), output) };
  }
  return null;
}

async function* continueWith(
  first: Buffer,
  output: AsyncGenerator<Buffer, undefined>,
): AsyncGenerator<Buffer, undefined> {
  if (first.length > 0) yield first;
  yield* output;
}
