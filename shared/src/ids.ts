/** Ids: random ones, and the run id that a retry with the same key meets again. Web Crypto alone. */

/** A random id of 20 lower-case letters and digits behind a prefix, for example `agt_…`. */
export function newId(prefix: "usr" | "agt" | "run" | "hst" | "tok" | "trg" | "dlv" | "aud"): string {
  return `${prefix}_${randomText(20)}`;
}

/** Random text of lower-case letters and digits; 20 characters carry 100 bits. */
export function randomText(length: number): string {
  const alphabet = "abcdefghijkmnpqrstuvwxyz23456789";
  return Array.from(crypto.getRandomValues(new Uint8Array(length)), (byte) => alphabet[byte % 32]).join("");
}

/** The run id of (user, agent, Idempotency-Key) or (trigger, delivery id): the same words give the same id, for ever. */
export async function runIdOf(...words: string[]): Promise<string> {
  return runIdFrom(await sha256Hex(JSON.stringify(words)));
}

/** The same of the SHA-256 of those words as a JSON array. */
export const runIdFrom = (hash: string) => `run_${hash.slice(0, 32)}`;

/** The UUID of these words: the same words give the same one, for ever. */
export async function uuidOf(...words: string[]): Promise<string> {
  const hex = await sha256Hex(JSON.stringify(words));
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** SHA-256 of the text's UTF-8, as lower-case hex. */
export async function sha256Hex(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
