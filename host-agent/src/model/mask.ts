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
  const shorter = shorterBeginnings(sought);
  let held = Buffer.alloc(0);
  return new Transform({
    transform(piece: Buffer, _encoding, done) {
      const all = held.length > 0 ? Buffer.concat([held, piece]) : Buffer.from(piece);
      for (let at = all.indexOf(sought); at !== -1; at = all.indexOf(sought, at + sought.length))
        all.fill("*", at, at + sought.length);
      const kept = beginningAtEnd(all, sought, shorter);
      held = all.subarray(all.length - kept);
      done(null, all.subarray(0, all.length - kept));
    },
    flush: (done) => done(null, held),
  });
}

/**
 * How many bytes at the end of `text` are a beginning of what is sought. By Knuth, Morris and Pratt: each byte is looked at once,
 * whatever secret somebody has chosen and however small the pieces are.
 */
function beginningAtEnd(text: Buffer, sought: Buffer, shorter: Uint16Array): number {
  let length = 0;
  for (let at = Math.max(0, text.length - sought.length + 1); at < text.length; at++) {
    while (length > 0 && text[at] !== sought[length]) length = shorter[length - 1]!;
    if (text[at] === sought[length]) length++;
  }
  return length;
}

/** For each beginning of what is sought the longest shorter one that it ends with. */
function shorterBeginnings(sought: Buffer): Uint16Array {
  const lengths = new Uint16Array(sought.length);
  for (let at = 1, length = 0; at < sought.length; at++) {
    while (length > 0 && sought[at] !== sought[length]) length = lengths[length - 1]!;
    if (sought[at] === sought[length]) length++;
    lengths[at] = length;
  }
  return lengths;
}
