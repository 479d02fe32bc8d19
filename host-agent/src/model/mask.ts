/** Redaction: a secret's bytes become as many `*` on their way, so that a body keeps its length. */
import { Transform } from "node:stream";

/** Shorter ones are no secrets, and would be found in any text. */
const leastLength = 8;
/** A secret that repeats more of itself makes the runtime's own search compare almost all of it again and again: seconds for 64 KiB. */
const mostRepeated = 32;

export function maskText(secret: string | null, text: string): string {
  if (secret === null || secret.length < leastLength) return text;
  const search = createSearch(Buffer.from(secret));
  if (!search.isRepetitive) return text.replaceAll(secret, "*".repeat(secret.length));
  const bytes = Buffer.from(text);
  search.mask(bytes);
  return bytes.toString();
}

/** Whether the name of a header has the secret in it: names come in small letters, whatever was said. */
export const isInName = (secret: string | null, name: string): boolean =>
  maskText(secret?.toLowerCase() ?? null, name) !== name;

/**
 * A stream that masks the secret wherever its pieces are cut; null where there is nothing to mask. It holds back what may be the
 * beginning of the secret alone, so that an event passes when it comes.
 */
export function createMask(secret: string | null): Transform | null {
  if (secret === null || secret.length < leastLength) return null;
  const search = createSearch(Buffer.from(secret));
  let held = Buffer.alloc(0);
  return new Transform({
    transform(piece: Buffer, _encoding, done) {
      const all = held.length > 0 ? Buffer.concat([held, piece]) : Buffer.from(piece);
      search.mask(all);
      const kept = search.beginningAtEnd(all);
      held = all.subarray(all.length - kept);
      done(null, all.subarray(0, all.length - kept));
    },
    flush: (done) => done(null, held),
  });
}

/** Finds a secret in linear time, whatever somebody has chosen as one: by Knuth, Morris and Pratt where the runtime's search would not. */
function createSearch(sought: Buffer) {
  const shorter = shorterBeginnings(sought);
  const repeated = [shorter, shorterBeginnings(Buffer.from(sought).reverse())].map((lengths) => Math.max(...lengths));
  const isRepetitive = Math.max(...repeated) > mostRepeated;
  const next = (text: Buffer, from: number) => {
    if (!isRepetitive) return text.indexOf(sought, from);
    for (let at = from, length = 0; at < text.length; at++) {
      length = step(length, text[at]!);
      if (length === sought.length) return at + 1 - length;
    }
    return -1;
  };
  function step(length: number, byte: number): number {
    let matched = length;
    while (matched > 0 && byte !== sought[matched]) matched = shorter[matched - 1]!;
    return byte === sought[matched] ? matched + 1 : matched;
  }
  return {
    isRepetitive,
    mask(text: Buffer): void {
      for (let at = next(text, 0); at !== -1; at = next(text, at + sought.length))
        text.fill("*", at, at + sought.length);
    },
    /** How many bytes at the end of the text are a beginning of the secret, which is not in it. */
    beginningAtEnd(text: Buffer): number {
      let length = 0;
      for (let at = Math.max(0, text.length - sought.length + 1); at < text.length; at++)
        length = step(length, text[at]!);
      return length;
    },
  };
}

/** For each beginning of the text the longest shorter one that it ends with. */
function shorterBeginnings(text: Buffer): Uint16Array {
  const lengths = new Uint16Array(text.length);
  for (let at = 1, length = 0; at < text.length; at++) {
    while (length > 0 && text[at] !== text[length]) length = lengths[length - 1]!;
    if (text[at] === text[length]) length++;
    lengths[at] = length;
  }
  return lengths;
}
