/** Redaction: a secret's bytes become as many `*` on their way, so that a body keeps its length. */
import { Transform } from "node:stream";

/** Shorter ones are no secrets, and would be found in any text. */
const leastLength = 8;
/** A secret that repeats more of itself makes the runtime's own search compare almost all of it again and again: seconds for 64 KiB. */
const mostRepeated = 32;

export type Mask = ReturnType<typeof createMask>;

/** Masks each of the secrets, one after the other. For all of an answer: to prepare it takes time by their length, to use it does not. */
export function createMask(...secrets: (string | null)[]) {
  const masked = secrets.filter((secret) => secret !== null && secret.length >= leastLength) as string[];
  const searches = masked.map(createSearch);
  let inNames: Search[] | null = null;
  return {
    text: (text: string): string => searches.reduce((left, search) => maskText(search, left), text),
    /** Whether the name of a header has a secret in it: names come in small letters, whatever was said. */
    isInName(name: string): boolean {
      if (masked.every(({ length }) => length > name.length)) return false;
      inNames ??= masked.map((secret) => createSearch(secret.toLowerCase()));
      return inNames.some((search) => maskText(search, name) !== name);
    },
    /**
     * Streams that mask the secrets wherever their pieces are cut; none where there is nothing to mask. They hold back what may be the
     * beginning of a secret alone, so that an event passes when it comes.
     */
    streams: (): Transform[] => searches.map(createStream),
  };
}

function maskText(search: Search, text: string): string {
  const { secret, stars, isRepetitive } = search;
  if (text.length < secret.length) return text;
  return isRepetitive ? maskBytes(search, Buffer.from(text)).bytes.toString() : text.replaceAll(secret, stars);
}

function createStream(search: Search): Transform {
  const { sought, stars, step } = search;
  // So many bytes at the end of what came are the secret's beginning.
  let held = 0;
  return new Transform({
    transform(piece: Buffer, _encoding, done) {
      const before = held;
      let at = 0;
      // As long as what may be the secret has begun in an earlier piece.
      while (held > at && at < piece.length && held < sought.length) held = step(held, piece[at++]!);
      this.push(sought.subarray(0, Math.min(before, before + at - held)));
      const isFound = held === sought.length;
      if (!isFound && held > at) return done();
      const from = isFound ? at : at - held;
      this.push(isFound ? stars : piece.subarray(0, from));
      const { bytes, begun } = maskBytes(search, piece.subarray(from));
      held = begun;
      done(null, bytes.subarray(0, bytes.length - begun));
    },
    flush: (done) => done(null, sought.subarray(0, held)),
  });
}

/** The text with the secret masked, a copy where it is in it; and how many bytes at its end are a beginning of the secret. */
function maskBytes({ sought, next, step }: Search, text: Buffer): { bytes: Buffer; begun: number } {
  let [bytes, end] = [text, 0];
  for (let at = next(text, 0); at !== -1; at = next(text, end)) {
    if (end === 0) bytes = Buffer.from(text);
    end = at + sought.length;
    bytes.fill("*", at, end);
  }
  let begun = 0;
  for (let at = Math.max(end, text.length - sought.length + 1); at < text.length; at++) begun = step(begun, text[at]!);
  return { bytes, begun };
}

type Search = ReturnType<typeof createSearch>;

/** Finds a secret in linear time, whatever somebody has chosen as one: by Knuth, Morris and Pratt where the runtime's search would not. */
function createSearch(secret: string) {
  const sought = Buffer.from(secret);
  const shorter = shorterBeginnings(sought);
  const isRepetitive = [shorter, shorterBeginnings(Buffer.from(sought).reverse())].some((lengths) =>
    lengths.some((length) => length > mostRepeated),
  );
  /** Where it is in the text, from there on; -1 where it is not. */
  const next = (text: Buffer, from: number) => {
    if (!isRepetitive) return text.indexOf(sought, from);
    for (let at = from, length = 0; at < text.length; at++) {
      length = step(length, text[at]!);
      if (length === sought.length) return at + 1 - length;
    }
    return -1;
  };
  /** How much of its beginning a text ends with that ended with `length` of it before this byte. */
  function step(length: number, byte: number): number {
    let matched = length;
    while (matched > 0 && byte !== sought[matched]) matched = shorter[matched - 1]!;
    return byte === sought[matched] ? matched + 1 : matched;
  }
  return { secret, sought, stars: "*".repeat(secret.length), isRepetitive, next, step };
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
