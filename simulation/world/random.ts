/** Decisions from one seed. Each is keyed by what it is about, so that a removed operation shifts no other decision. */

/** FNV-1a over the text, mixed with a number. */
export function hash(text: string, from = 0): number {
  let value = (0x811c9dc5 ^ from) >>> 0;
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}

/** Draws of one key, one after the other. */
export class Draws {
  #state: number;

  constructor(seed: number, key: string) {
    this.#state = hash(key, seed);
  }

  /** From 0 up to, not including, 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let value = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  }

  is(chance: number): boolean {
    return this.next() < chance;
  }

  between(least: number, most: number): number {
    return least + (most - least) * this.next();
  }

  whole(least: number, most: number): number {
    return Math.floor(this.between(least, most + 1));
  }

  of<T>(choices: readonly T[]): T {
    return choices[Math.floor(this.next() * choices.length)]!;
  }

  /** How long something takes: mostly nothing, seldom long. In milliseconds. */
  delay(): number {
    const kind = this.next();
    return kind < 0.7 ? this.between(0.05, 3) : kind < 0.97 ? this.between(3, 40) : this.between(40, 400);
  }
}
