import * as fc from "fast-check";
import { expect, test } from "vitest";
import { watchFrames } from "./frame-boundary.ts";

/** A frame as RFC 6455 writes it, around each size at which its header changes. */
const sizes = fc
  .constantFrom(0, 125, 126, 127, 65_535, 65_536)
  .chain((size) => fc.integer({ min: Math.max(0, size - 4), max: size + 4 }));
const frame = fc.tuple(sizes, fc.boolean()).map(([size, isMasked]) => {
  const length =
    size < 126
      ? [size]
      : size < 65_536
        ? [126, size >> 8, size & 255]
        : [127, 0, 0, 0, 0, 0, size >> 16, (size >> 8) & 255, size & 255];
  const header = [0x82, length[0]! | (isMasked ? 0x80 : 0), ...length.slice(1), ...(isMasked ? [1, 2, 3, 4] : [])];
  return Buffer.concat([Buffer.from(header), Buffer.alloc(size, 0x81)]);
});

test("a boundary is where a frame ends and nowhere else, however the stream is cut", () => {
  fc.assert(
    fc.property(fc.array(frame, { minLength: 1, maxLength: 4 }), fc.array(fc.nat()), (frames, picks) => {
      const bytes = Buffer.concat(frames);
      const ends = new Set(frames.map((_, at) => frames.slice(0, at + 1).reduce((sum, { length }) => sum + length, 0)));
      const cuts = [...picks.map((pick) => pick % bytes.length), ...ends, ...[...ends].map((end) => end - 1)].toSorted(
        (a, b) => a - b,
      );
      const watched = watchFrames(bytes.subarray(0, cuts[0]));
      for (const [at, cut] of cuts.entries()) {
        if (at > 0) watched.note(bytes.subarray(cuts[at - 1], cut));
        expect(watched.atBoundary()).toBe(cut === 0 || ends.has(cut));
      }
    }),
    { numRuns: 50 },
  );
});
