/**
 * SHA-256 of what comes in. Web Crypto's answer comes by way of another thread, which takes longer than most of what is hashed; a
 * runtime that has it at once puts its own in its place.
 */
import { sha256Hex } from "@berth/shared/ids";

export interface Digests {
  /** Of a text's UTF-8, in lower-case hex. */
  sha256Hex(text: string): string | Promise<string>;
  /** HMAC (RFC 2104); the key has a byte at least. */
  hmacSha256(key: Uint8Array, data: Uint8Array): Uint8Array | Promise<Uint8Array>;
  /** Whether both are the same bytes; the time that takes tells nothing of them but their lengths. */
  isSame(one: Uint8Array, other: Uint8Array): boolean | Promise<boolean>;
}

const keyBytes = 32;

export const webDigests: Digests = {
  sha256Hex,
  hmacSha256,
  /** By the HMACs of both under a random key. */
  async isSame(one, other) {
    const key = crypto.getRandomValues(new Uint8Array(keyBytes));
    const [first, second] = await Promise.all([hmacSha256(key, one), hmacSha256(key, other)]);
    return first.every((byte, at) => byte === second[at]);
  },
};

async function hmacSha256(key: Uint8Array, data: Uint8Array): Promise<Uint8Array> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const imported = await crypto.subtle.importKey("raw", key as Uint8Array<ArrayBuffer>, algorithm, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, data as Uint8Array<ArrayBuffer>));
}
