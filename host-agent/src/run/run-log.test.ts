import { appendFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { longestLineBytes, type Position, readLines, readTail, splitLines } from "./run-log.ts";

const turn = async () => {};
const kib = 1024;
const mib = 2 ** 20;
let dir: string;
let path: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "berth-run-log-"));
  path = join(dir, "out");
});
afterEach(() => rmSync(dir, { recursive: true }));

interface Line {
  offset: number;
  text: string;
  more?: true;
}

/** All lines from a position on, and where that ends; text alone. */
async function read(from: Position, sealedBytes: number | null): Promise<{ lines: Line[]; position: Position }> {
  const source = {
    path,
    speaksJson: false,
    sealedBytes: () => sealedBytes,
    limitBytes: Infinity,
    longestLineBytes,
    turn,
  };
  const lines: Line[] = [];
  const batches = readLines(source, from, splitLines);
  for (;;) {
    const batch = await batches.next();
    if (batch.done) return { lines, position: batch.value };
    for (const { offset, data } of batch.value) {
      const { text, more } = JSON.parse(typeof data === "string" ? data : await joined(data)) as Line;
      lines.push({ offset, text, ...(more && { more }) });
    }
  }
}
async function joined(chunks: AsyncIterable<string>): Promise<string> {
  let text = "";
  for await (const chunk of chunks) text += chunk;
  return text;
}
const start = { at: 0, searched: 0 };

/** What a sealed log says, found with all of it at once. */
function linesOf(bytes: Buffer): Line[] {
  const lines: Line[] = [];
  for (let at = 0; at < bytes.length;) {
    const newline = bytes.indexOf("\n", at);
    const end = newline < 0 ? bytes.length : newline;
    const next = Math.min(end + 1, bytes.length);
    lines.push({ offset: next, text: bytes.toString("utf8", at, end) });
    at = next;
  }
  return lines;
}

/** Text around the sizes at which something is read or cut: characters of 1 to 4 bytes, half ones, newlines or none. */
const sizes = fc
  .constantFrom(0, 4 * kib, 64 * kib, 128 * kib)
  .chain((size) => fc.integer({ min: size - 4, max: size + 4 }));
const filling = fc.constantFrom("x", "é", "€", "🙂", "\r").map((text) => Buffer.from(text));
const piece = fc
  .tuple(
    sizes,
    fc.oneof(filling, fc.constant(Buffer.of(0xff)), fc.constant(Buffer.of(0x80))),
    fc.constantFrom("\n", "\n\n", ""),
  )
  .map(([size, fill, end]) => Buffer.concat([Buffer.alloc(Math.max(0, size), fill), Buffer.from(end)]));
const content = fc.array(piece, { maxLength: 4 }).map((pieces) => Buffer.concat(pieces));

test("a log that grows at any place tells each line once, as the whole log does when it is sealed", async () => {
  const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(content, cuts, async (bytes, shares) => {
      writeFileSync(path, "");
      const told: Line[] = [];
      let position: Position = start;
      let written = 0;
      for (const end of [...shares.map((share) => Math.floor(share * bytes.length)), bytes.length].toSorted(
        (a, b) => a - b,
      )) {
        appendFileSync(path, bytes.subarray(written, end));
        written = end;
        const now = await read(position, null);
        told.push(...now.lines);
        position = now.position;
      }
      told.push(...(await read(position, bytes.length)).lines);
      expect(told).toEqual(linesOf(bytes));
    }),
    { numRuns: 60 },
  );
});

test("a reader that comes back with the offset of a line gets what follows it", async () => {
  await fc.assert(
    fc.asyncProperty(content, fc.nat(), async (bytes, pick) => {
      writeFileSync(path, bytes);
      const lines = linesOf(bytes);
      const at = lines.length === 0 ? 0 : lines[pick % lines.length]!.offset;
      expect((await read({ at, searched: at }, bytes.length)).lines).toEqual(lines.filter(({ offset }) => offset > at));
    }),
    { numRuns: 30 },
  );
});

test("the tail is at most what was asked for, and begins with a whole character", async () => {
  const text = fc
    .array(fc.tuple(sizes, filling), { maxLength: 3 })
    .map((parts) =>
      parts.map(([size, fill]) => fill.toString().repeat(Math.max(0, Math.floor(size / fill.length)))).join(""),
    );
  await fc.assert(
    fc.asyncProperty(text, sizes, async (whole, size) => {
      const maxBytes = Math.max(0, size);
      writeFileSync(path, whole);
      const tail = await readTail(path, maxBytes, Buffer.byteLength(whole));
      expect(whole.endsWith(tail)).toBe(true);
      expect(Buffer.byteLength(tail)).toBeLessThanOrEqual(maxBytes);
      expect(Buffer.byteLength(tail)).toBeGreaterThan(Math.min(maxBytes, Buffer.byteLength(whole)) - 4);
    }),
    { numRuns: 60 },
  );
});

test.each([-1, 0, 1, 3, 4, 5])(
  "a line of 16 MiB and %i bytes is cut where it must be, and splits no character",
  async (more) => {
    const size = 16 * mib + more;
    const line = Buffer.concat([Buffer.alloc(size % 2, "x"), Buffer.alloc(size - (size % 2), "é")]);
    writeFileSync(path, Buffer.concat([line, Buffer.from("\nnext\n")]));
    const { lines } = await read(start, null);
    expect(lines.map(({ text }) => text).join("") === `${line.toString()}next`).toBe(true);
    expect(lines.map(({ more: isCut }) => isCut ?? false)).toEqual(more > 0 ? [true, false, false] : [false, false]);
    expect(lines.map(({ text }) => Buffer.byteLength(text) <= 16 * mib)).not.toContain(false);
  },
);

test("lines beyond 2 GiB have their true offsets", async () => {
  const far = 2 ** 31 - 2;
  truncateSync((writeFileSync(path, ""), path), far);
  appendFileSync(path, "\nfirst\nlést");
  const size = far + 12;
  expect((await read({ at: far + 1, searched: far + 1 }, size)).lines).toEqual([
    { offset: far + 7, text: "first" },
    { offset: size, text: "lést" },
  ]);
  expect(await readTail(path, 3, size)).toBe("st");
});

test("an unfinished line is read once, however often it grows", async () => {
  const bytesRead = () => Number(/^rchar: (\d+)/m.exec(readFileSync("/proc/self/io", "utf8"))![1]);
  writeFileSync(path, Buffer.alloc(4 * mib, "x"));
  const before = bytesRead();
  let { position } = await read(start, null);
  for (let at = 0; at < 50; at++) {
    appendFileSync(path, "x");
    ({ position } = await read(position, null));
  }
  expect(position).toEqual({ at: 0, searched: 4 * mib + 50 });
  expect(bytesRead() - before).toBeLessThan(16 * mib);
});
