import * as fc from "fast-check";
import { buffer } from "node:stream/consumers";
import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { createMask, maskText } from "./mask.ts";

const secret = "aab-aab-aac";
const repetitive = `${"ab".repeat(20)}c`;

test.each([
  [secret, ["aab-", "aab-aab-", "aac", "a"]],
  [repetitive, ["ab", "ab".repeat(19), "abc", "b"]],
])("no piece of a stream lets a secret through, and all else passes as it was: %s", async (secret, parts) => {
  const words = fc.constantFrom(secret, ...parts, "데이터", "x");
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

test("what nearly is the secret, again and again, costs what any other text does", async () => {
  const [half, near] = ["a".repeat(4000), "a".repeat(65_536)];
  const chosen = `${half}b${half}`;
  const pieces = Array.from({ length: 5 }, () => Buffer.from(near));
  const startedAt = performance.now();
  const passed = await buffer(Readable.from([...pieces, Buffer.from(chosen), ...pieces]).pipe(createMask(chosen)!));
  expect(passed.indexOf("b")).toBe(-1);
  // Matched from where its first half may begin: the very last of them.
  expect(passed.indexOf("*")).toBe(5 * near.length);
  expect(maskText(chosen, `${near}${chosen}한`)).toBe(`${near}${"*".repeat(chosen.length)}한`);
  const mask = createMask(`${"a".repeat(8000)}b`)!;
  for (let at = 0; at < 200; at++) {
    mask.write(`${"a".repeat(7999)}c`);
    mask.read();
  }
  // The runtime's own search takes seconds for each piece.
  expect(performance.now() - startedAt).toBeLessThan(10_000);
});
