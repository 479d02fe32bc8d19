import * as fc from "fast-check";
import { buffer } from "node:stream/consumers";
import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { createMask, maskText } from "./mask.ts";

const secret = "aab-aab-aac";
const words = fc.constantFrom(secret, "aab-", "aab-aab-", "aac", "a", "데이터", "x");

test("no piece of a stream lets a secret through, and all else passes as it was", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(words, { maxLength: 12 }),
      fc.array(fc.nat({ max: 9 }), { minLength: 1 }),
      async (texts, sizes) => {
        const text = Buffer.from(texts.join(""));
        const pieces: Buffer[] = [];
        for (let at = 0, turn = 0; at < text.length; turn++) {
          const size = 1 + sizes[turn % sizes.length]!;
          pieces.push(text.subarray(at, at + size));
          at += size;
        }
        const passed = (await buffer(Readable.from(pieces).pipe(createMask(secret)!))).toString();
        expect(passed).toBe(maskText(secret, texts.join("")));
        expect(passed).not.toContain(secret);
        expect(Buffer.byteLength(passed)).toBe(text.length);
      },
    ),
  );
});

test("an event that cannot be the beginning of the secret passes at once", () => {
  const mask = createMask(secret)!;
  mask.write("event: ping\n\n");
  expect(String(mask.read())).toBe("event: ping\n\n");
  mask.write("ends with aab-aab");
  expect(String(mask.read())).toBe("ends with ");
});

test("without a key there is nothing to mask", () => {
  expect([createMask(null), createMask("short")]).toEqual([null, null]);
  expect(maskText(null, "text")).toBe("text");
});

test("what nearly is the secret, again and again in small pieces, costs what any other text does", () => {
  const mask = createMask(`${"a".repeat(8000)}b`)!;
  const startedAt = performance.now();
  for (let at = 0; at < 1000; at++) {
    mask.write(`${"a".repeat(at === 0 ? 7999 : 1)}${at % 2 ? "a" : ""}`);
    mask.write("c".repeat(1));
    mask.write("a".repeat(7999));
    mask.read();
  }
  // A comparison of each of 8,000 ends with each beginning took a minute.
  expect(performance.now() - startedAt).toBeLessThan(5000);
});
