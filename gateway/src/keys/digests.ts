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
}

export const webDigests: Digests = {
  sha256Hex,
  async hmacSha256(key, data) {
    const algorithm = { name: "HMAC", hash: "SHA-256" };
    const imported = await crypto.subtle.importKey("raw", key as Uint8Array<ArrayBuffer>, algorithm, false, ["sign"]);
    return new Uint8Array(await crypto.subtle.sign("HMAC", imported, data as Uint8Array<ArrayBuffer>));
  },
};
