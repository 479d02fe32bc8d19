/** Redaction: a secret's bytes become as many `*` on their way, so that a body keeps its length. */
import { Transform } from "node:stream";

/** Shorter ones are no secrets, and would be found in any text. */
const leastLength = 8;

export const maskText = (secret: string | null, text: string) =>
  secret === null || secret.length < leastLength ? text : text.replaceAll(secret, "*".repeat(secret.length));

/**
 * A stream that masks the secret wherever its pieces are cut; null where there is nothing to mask. It holds back what may be the
 * beginning of the secret alone, so that an event passes when it comes.
 */
export function createMask(secret: string | null): Transform | null {
  if (secret === null || secret.length < leastLength) return null;
  const sought = Buffer.from(secret);
  let held = Buffer.alloc(0);
  return new Transform({
    transform(piece: Buffer, _encoding, done) {
      const all = held.length > 0 ? Buffer.concat([held, piece]) : Buffer.from(piece);
      for (let at = all.indexOf(sought); at !== -1; at = all.indexOf(sought, at + sought.length))
        all.fill("*", at, at + sought.length);
      const kept = beginningAtEnd(all, sought);
      held = all.subarray(all.length - kept);
      done(null, all.subarray(0, all.length - kept));
    },
    flush: (done) => done(null, held),
  });
}

/** How many bytes at the end of `text` are a beginning of what is sought. */
function beginningAtEnd(text: Buffer, sought: Buffer): number {
  for (let length = Math.min(text.length, sought.length - 1); length > 0; length--)
    if (text.subarray(text.length - length).equals(sought.subarray(0, length))) return length;
  return 0;
}
