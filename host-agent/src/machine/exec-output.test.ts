import { Readable } from "node:stream";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { readOutput, splitLine } from "./exec-output.ts";

const verdict = "done";
interface Frame {
  stream: 1 | 2;
  bytes: Buffer;
}
/** As the engine writes it: the stream's number, three zero bytes, the length, the bytes. */
function encode({ stream, bytes }: Frame): Buffer {
  const header = Buffer.from([stream, 0, 0, 0, 0, 0, 0, 0]);
  header.writeUInt32BE(bytes.length, 4);
  return Buffer.concat([header, bytes]);
}
const frame = fc.record({
  stream: fc.constantFrom(1 as const, 2 as const),
  bytes: fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
});
const last: Frame = { stream: 2, bytes: Buffer.from(verdict) };

/** The bytes in pieces that end at these places. */
function cutAt(bytes: Buffer, picks: number[]): Buffer[] {
  const cuts = picks.map((pick) => pick % (bytes.length + 1)).toSorted((a, b) => a - b);
  return [...cuts, bytes.length]
    .map((end, at) => bytes.subarray(cuts[at - 1] ?? 0, end))
    .filter(({ length }) => length > 0);
}
const streamOf = (frames: Frame[], picks: number[]) =>
  Readable.from(cutAt(Buffer.concat(frames.map(encode)), picks), { objectMode: false });
const outputOf = (frames: Frame[]) =>
  Buffer.concat(frames.filter(({ stream }) => stream === 1).map(({ bytes }) => bytes));

async function collect(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

test("output is the frames of standard output, wherever the connection's pieces end", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(frame, { maxLength: 8 }),
      fc.array(fc.nat(), { maxLength: 12 }),
      async (frames, picks) => {
        expect(await collect(readOutput(streamOf([...frames, last], picks)))).toEqual(outputOf(frames));
      },
    ),
    { numRuns: 300 },
  );
});

test("output whose end is missing throws, wherever it was cut", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(frame, { maxLength: 4 }),
      fc.array(fc.nat(), { maxLength: 6 }),
      fc.nat(),
      async (frames, picks, pick) => {
        const whole = Buffer.concat([...frames, last].map(encode));
        const cut = whole.subarray(0, whole.length - 1 - (pick % encode(last).length));
        const output = readOutput(Readable.from(cutAt(cut, picks), { objectMode: false }));
        await expect(collect(output)).rejects.toThrow("ended early");
      },
    ),
    { numRuns: 200 },
  );
});

test("the first line and the rest are the same, wherever pieces end, and a line over its bound is none", async () => {
  const maxBytes = 8;
  const bytes = fc.array(fc.constantFrom(0x0a, 0x78, 0xc3, 0xa9), { maxLength: 24 }).map((all) => Buffer.from(all));
  const frames = fc.array(bytes, { maxLength: 4 }).map((all) => all.map((one): Frame => ({ stream: 1, bytes: one })));
  await fc.assert(
    fc.asyncProperty(frames, fc.array(fc.nat(), { maxLength: 8 }), async (given, picks) => {
      const whole = outputOf(given);
      const end = whole.indexOf(0x0a);
      const split = await splitLine(readOutput(streamOf([...given, last], picks)), maxBytes);
      if (end < 0 || end > maxBytes) {
        expect(split).toBeNull();
        return;
      }
      expect(split!.line).toBe(whole.toString("utf8", 0, end));
      expect(await collect(split!.rest)).toEqual(whole.subarray(end + 1));
    }),
    { numRuns: 500 },
  );
});

test("a frame beyond 2 GiB is passed on as it comes", async () => {
  const header = Buffer.from([1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
  const stream = Readable.from([header, Buffer.alloc(10, "x"), Buffer.alloc(10, "y")], { objectMode: false });
  const output = readOutput(stream);
  expect((await output.next()).value).toEqual(Buffer.alloc(10, "x"));
  expect((await output.next()).value).toEqual(Buffer.alloc(10, "y"));
  await expect(output.next()).rejects.toThrow("ended early");
});
