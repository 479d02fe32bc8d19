/**
 * Reads JSON text (RFC 8259) by its bytes, a piece at a time, and keeps nothing of it: whether it is one value, and how many
 * others that has. For text of any size and shape from whoever means no good, where `JSON.parse` takes seconds and gigabytes.
 */
const [begin, value, valueOrEnd, key, keyOrEnd, colon, after, string, escape, hex, literal, wrong] = [
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
];
/** States within a number, those in which it may end first. */
const [zero, whole, fraction, power, minus, point, exponent, sign] = [20, 21, 22, 23, 24, 25, 26, 27];

/**
 * The value of JSON text, or of its bytes in UTF-8, that has at most so many keys and values and is nested no deeper than any
 * message; undefined for any other, of which nothing is parsed.
 */
export function parseSmall(text: string | Uint8Array, maxValues: number, maxDepth = 500): unknown {
  const scan = new JsonScan(maxDepth);
  const [bytes, whole] =
    typeof text === "string" ? [new TextEncoder().encode(text), text] : [text, new TextDecoder().decode(text)];
  scan.push(bytes);
  return scan.isWhole() && scan.values() <= maxValues ? JSON.parse(whole) : undefined;
}

export class JsonScan {
  /** What is open: 1 for an object, 0 for an array. */
  readonly #open: number[] = [];
  readonly #maxDepth: number;
  #depth = 0;
  #state = begin;
  #values = 0;
  #isKey = false;
  #hexLeft = 0;
  #rest = "";

  constructor(maxDepth: number) {
    this.#maxDepth = maxDepth;
  }

  /** Takes the next bytes. */
  push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length && this.#state !== wrong; at++) {
      if (this.#state === string) at = endOfText(bytes, at);
      if (at < bytes.length) this.#step(bytes[at]!);
    }
  }

  /** Whether all that came is one value, nested no deeper than the bound. */
  isWhole(): boolean {
    return this.#depth === 0 && (this.#state === after || (this.#state >= zero && this.#state <= power));
  }

  /** Whether it is one, and an object. */
  isObject(): boolean {
    return this.isWhole() && this.#open[0] === 1;
  }

  /** Keys and values so far: what parsing costs. */
  values(): number {
    return this.#values;
  }

  #step(byte: number): void {
    if (this.#state >= zero) {
      const next = nextInNumber(this.#state, byte);
      if (next !== wrong || this.#state > power) return void (this.#state = next);
      this.#state = after;
    }
    const state = this.#state;
    if (state >= string) return this.#stepInside(byte);
    if (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) return;
    if (state === after) this.#separate(byte);
    else if (state === colon) this.#state = byte === 0x3a ? value : wrong;
    else if (state === keyOrEnd && byte === 0x7d) this.#close(true);
    else if (state === valueOrEnd && byte === 0x5d) this.#close(false);
    else if (state !== key && state !== keyOrEnd) this.#beginValue(byte);
    else if (byte === 0x22) this.#beginString(true);
    else this.#state = wrong;
  }

  /** Within a string or a literal. */
  #stepInside(byte: number): void {
    if (this.#state === string) {
      if (byte === 0x22) this.#state = this.#isKey ? colon : after;
      else if (byte === 0x5c) this.#state = escape;
      else if (byte < 0x20) this.#state = wrong;
    } else if (this.#state === escape) {
      this.#hexLeft = 4;
      this.#state = byte === 0x75 ? hex : escaped.has(byte) ? string : wrong;
    } else if (this.#state === hex) {
      if (!isHex(byte)) this.#state = wrong;
      else if (--this.#hexLeft === 0) this.#state = string;
    } else if (byte !== this.#rest.charCodeAt(0)) this.#state = wrong;
    else if ((this.#rest = this.#rest.slice(1)) === "") this.#state = after;
  }

  #beginValue(byte: number): void {
    if (byte === 0x22) return this.#beginString(false);
    this.#values += 1;
    if (byte === 0x7b || byte === 0x5b) return this.#enter(byte === 0x7b);
    this.#rest = literals.get(byte) ?? "";
    this.#state = this.#rest ? literal : nextInNumber(begin, byte);
  }

  #beginString(isKey: boolean): void {
    this.#values += 1;
    this.#isKey = isKey;
    this.#state = string;
  }

  #enter(isObject: boolean): void {
    if (this.#depth === this.#maxDepth) return void (this.#state = wrong);
    this.#open[this.#depth++] = isObject ? 1 : 0;
    this.#state = isObject ? keyOrEnd : valueOrEnd;
  }

  #separate(byte: number): void {
    if (byte === 0x2c && this.#depth > 0) this.#state = this.#open[this.#depth - 1] === 1 ? key : value;
    else if (byte === 0x7d || byte === 0x5d) this.#close(byte === 0x7d);
    else this.#state = wrong;
  }

  #close(isObject: boolean): void {
    this.#state = this.#depth > 0 && this.#open[this.#depth - 1] === (isObject ? 1 : 0) ? after : wrong;
    this.#depth -= 1;
  }
}

const literals = new Map(["true", "false", "null"].map((word) => [word.charCodeAt(0), word.slice(1)]));
const escaped = new Set(Array.from('"\\/bfnrt', (character) => character.charCodeAt(0)));
const isDigit = (byte: number) => byte >= 0x30 && byte <= 0x39;
const isHex = (byte: number) => isDigit(byte) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66);

/** Where a string may end, from this place within it on. */
function endOfText(bytes: Uint8Array, from: number): number {
  let at = from;
  while (at < bytes.length && bytes[at] !== 0x22 && bytes[at] !== 0x5c && bytes[at]! >= 0x20) at++;
  return at;
}

/** The state after this byte of a number; `begin` before its first. */
function nextInNumber(state: number, byte: number): number {
  if (isDigit(byte)) {
    if (state === begin || state === minus) return byte === 0x30 ? zero : whole;
    if (state === zero) return wrong;
    return state === whole ? whole : state === point || state === fraction ? fraction : power;
  }
  if (byte === 0x2d && state === begin) return minus;
  if (byte === 0x2e && (state === zero || state === whole)) return point;
  if ((byte | 0x20) === 0x65 && (state === zero || state === whole || state === fraction)) return exponent;
  return (byte === 0x2d || byte === 0x2b) && state === exponent ? sign : wrong;
}
