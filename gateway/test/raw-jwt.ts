/** For tests: JWTs as an attacker writes them, byte by byte, with no library in the way. */
import { createHmac } from "node:crypto";

/** JSON of an object; a string stands for itself, well-formed or not. */
const toText = (part: object | string) => (typeof part === "string" ? part : JSON.stringify(part));
export const encode = (part: object | string | Uint8Array) =>
  Buffer.from(part instanceof Uint8Array ? part : toText(part)).toString("base64url");

/** Signed by an Ed25519 key, whatever the header says. */
export async function signRaw(header: object | string, payload: object | string, key: CryptoKey): Promise<string> {
  const input = `${encode(header)}.${encode(payload)}`;
  return `${input}.${encode(new Uint8Array(await crypto.subtle.sign("Ed25519", key, Buffer.from(input))))}`;
}

/** With an HMAC over any secret. */
export function macRaw(header: object, payload: object | string, secret: string | Uint8Array, hash = "sha256"): string {
  const input = `${encode(header)}.${encode(payload)}`;
  return `${input}.${createHmac(hash, secret).update(input).digest("base64url")}`;
}
