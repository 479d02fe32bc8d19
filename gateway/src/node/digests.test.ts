import * as fc from "fast-check";
import { expect, test } from "vitest";
import { webDigests } from "../keys/digests.ts";
import { nodeDigests } from "./digests.ts";

test("Node's digests are those of Web Crypto, whatever is hashed", async () => {
  const text = fc.string({ unit: "binary" });
  const key = fc.uint8Array({ minLength: 1, maxLength: 200 });
  await fc.assert(
    fc.asyncProperty(text, key, fc.uint8Array({ maxLength: 300 }), async (words, secret, data) => {
      expect(nodeDigests.sha256Hex(words)).toBe(await webDigests.sha256Hex(words));
      const made = await nodeDigests.hmacSha256(secret, data);
      expect(new Uint8Array(made)).toEqual(await webDigests.hmacSha256(secret, data));
      const flipped = data.map((byte, at) => (at === data.length - 1 ? byte ^ 1 : byte));
      for (const { isSame } of [nodeDigests, webDigests]) {
        expect([await isSame(data, data.slice()), await isSame(data, Uint8Array.of(...data, 0))]).toEqual([
          true,
          false,
        ]);
        expect(await isSame(data, flipped)).toBe(data.length === 0);
      }
    }),
  );
});
