/** The time as the gateway has it: the clock of who reads may be wrong. */
import { signal } from "@preact/signals";

/** Between which the gateway's clock is ahead of this one, in milliseconds; its answers tell it to the second. */
let least = -Infinity;
let most = Infinity;
/** By how much it is ahead, in milliseconds; 0 where the clocks may be the same. */
export const ahead = signal(0);

/** Takes the `Date` of an answer to what was asked at `askedAt` by this clock. */
export function noteServerTime(date: string | null, askedAt: number): void {
  const second = Date.parse(date ?? "");
  if (Number.isNaN(second)) return;
  const [from, to] = [second - Date.now(), second + 1000 - askedAt];
  // One of the clocks was set.
  const isSame = Math.max(least, from) <= Math.min(most, to);
  least = isSame ? Math.max(least, from) : from;
  most = isSame ? Math.min(most, to) : to;
  ahead.value = least <= 0 && most >= 0 ? 0 : (least + most) / 2;
}
