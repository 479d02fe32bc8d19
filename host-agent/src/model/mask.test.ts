import * as fc from "fast-check";
import { buffer } from "node:stream/consumers";
import { Readable, type Transform } from "node:stream";
import { expect, test } from "vitest";
import { createMask } from "./mask.ts";

const secret = "aab-aab-aac";
const repetitive = `${"ab".repeat(20)}c`;
const streamOf = (...secrets: string[]) => createMask(...secrets).streams()[0]!;

/** The text through the streams, cut into pieces of these sizes in turn. */
function pass(text: Buffer, sizes: number[], streams: Transform[]): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for (let at = 0, turn = 0; at < text.length; turn++) {
    const size = sizes[turn % sizes.length]!;
    pieces.push(text.subarray(at, at + size));
    at += size;
  }
  return buffer(streams.reduce<Readable>((from, to) => from.pipe(to), Readable.from(pieces)));
}
const sizes = fc.array(fc.integer({ min: 1, max: 10 }), { minLength: 1 });

test.each([
  [secret, ["aab-", "aab-aab-", "aac", "a"]],
  [repetitive, ["ab", "ab".repeat(19), "abc", "b"]],
])("no piece of a stream lets a secret through, and all else passes as it was: %s", async (secret, parts) => {
  const words = fc.constantFrom(secret, ...parts, "데이터", "x");
  await fc.assert(
    fc.asyncProperty(fc.array(words, { maxLength: 12 }), sizes, async (texts, sizes) => {
      const mask = createMask(secret);
      const text = Buffer.from(texts.join(""));
      const passed = (await pass(text, sizes, mask.streams())).toString();
      expect(passed).toBe(mask.text(texts.join("")));
      expect(passed).not.toContain(secret);
      expect(Buffer.byteLength(passed)).toBe(text.length);
    }),
  );
});

test("whatever the secrets are and wherever a text is cut, it is masked as by one search for each in the whole of it", async () => {
  // Of few letters, so that they repeat themselves and each other; some often enough to be sought by Knuth, Morris and Pratt.
  const some = fc.string({ unit: fc.constantFrom("a", "b", "*"), minLength: 8, maxLength: 14 });
  const repeated = fc.tuple(fc.constantFrom("a", "ab", "*a"), fc.constantFrom("", "b", "ba")).map(([unit, end]) => {
    return unit.repeat(40) + end;
  });
  const words = (secrets: string[]) =>
    fc.array(
      fc.oneof(
        fc.constantFrom(...secrets),
        fc.tuple(fc.constantFrom(...secrets), fc.nat({ max: 90 })).map(([one, at]) => one.slice(0, at)),
        fc.tuple(fc.constantFrom(...secrets), fc.nat({ max: 90 })).map(([one, at]) => one.slice(at)),
        fc.constantFrom("a", "b", "*", "c"),
      ),
      { maxLength: 14 },
    );
  const given = fc.array(fc.oneof(some, repeated), { minLength: 1, maxLength: 2 }).chain((secrets) => {
    return fc.tuple(fc.constant(secrets), words(secrets), fc.oneof(sizes, fc.constantFrom<number[]>([200], [1])));
  });
  await fc.assert(
    fc.asyncProperty(given, async ([secrets, texts, sizes]) => {
      const text = texts.join("");
      const whole = secrets.reduce((left, one) => left.replaceAll(one, "*".repeat(one.length)), text);
      const mask = createMask(...secrets);
      expect(mask.text(text)).toBe(whole);
      const original = Buffer.from(text);
      expect((await pass(original, sizes, mask.streams())).toString()).toBe(whole);
      // Others read the pieces as well.
      expect(original.toString()).toBe(text);
      expect(mask.isInName(text)).toBe(whole !== text);
    }),
    { numRuns: 1000 },
  );
});

test("a name of a header is told in small letters", () => {
  const mask = createMask("Key-In-Names", "other-secret");
  expect(["x-key-in-names", "other-secret-x", "x-key-in-name"].map(mask.isInName)).toEqual([true, true, false]);
});

test("an event that cannot be the beginning of the secret passes at once", () => {
  const mask = streamOf(secret);
  mask.write("event: ping\n\n");
  expect(String(mask.read())).toBe("event: ping\n\n");
  mask.write("ends with aab-aab");
  expect(String(mask.read())).toBe("ends with ");
  mask.write("-aab");
  expect(String(mask.read())).toBe("aab-");
});

test("without a key there is nothing to mask", () => {
  const mask = createMask(null, "short");
  expect(mask.streams()).toEqual([]);
  expect(mask.text("short text")).toBe("short text");
  expect(mask.isInName("short")).toBe(false);
});

test("what nearly is the secret, again and again, costs what any other text does", async () => {
  const [half, near] = ["a".repeat(4000), "a".repeat(65_536)];
  const chosen = `${half}b${half}`;
  const pieces = Array.from({ length: 5 }, () => Buffer.from(near));
  const startedAt = performance.now();
  const passed = await buffer(Readable.from([...pieces, Buffer.from(chosen), ...pieces]).pipe(streamOf(chosen)));
  expect(passed.indexOf("b")).toBe(-1);
  // Matched from where its first half may begin: the very last of them.
  expect(passed.indexOf("*")).toBe(5 * near.length);
  expect(createMask(chosen).text(`${near}${chosen}한`)).toBe(`${near}${"*".repeat(chosen.length)}한`);
  const mask = streamOf(`${"a".repeat(8000)}b`);
  for (let at = 0; at < 200; at++) {
    mask.write(`${"a".repeat(7999)}c`);
    mask.read();
  }
  // The runtime's own search takes seconds for each piece.
  expect(performance.now() - startedAt).toBeLessThan(10_000);
});

/** Microseconds of the processor; the least of some tries. */
function cost(work: () => void): number {
  const tries = Array.from({ length: 5 }, () => {
    const before = process.cpuUsage();
    work();
    return process.cpuUsage(before).user;
  });
  return Math.min(...tries);
}

test.each([
  [
    "a piece",
    (length: number) => {
      const mask = streamOf(`${"a".repeat(length - 1)}b`);
      mask.write("a".repeat(length - 1));
      return () => {
        for (let at = 0; at < 4000; at++) {
          mask.write("a");
          mask.read();
        }
      };
    },
  ],
  [
    "a header",
    (length: number) => {
      const mask = createMask(`${"a".repeat(length - 1)}b`);
      const value = "a".repeat(100);
      return () => {
        for (let at = 0; at < 4000; at++) if (mask.isInName(`x-${at}`) || mask.text(value) !== value) throw new Error();
      };
    },
  ],
])("what %s costs does not grow with the secret", (_, prepare) => {
  // By eighty times, if each looked through all of the secret.
  expect(cost(prepare(8000))).toBeLessThan(4 * cost(prepare(100)) + 20_000);
});
