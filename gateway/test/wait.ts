/** For tests: waiting on a condition, never on time alone. */
import { setTimeout as delay } from "node:timers/promises";

/** Resolves with the first value that is neither false, null nor undefined; fails after `ms`. */
export async function until<T>(what: string, probe: () => T | Promise<T>, ms = 100_000): Promise<NonNullable<T>> {
  for (const end = Date.now() + ms; Date.now() < end; await delay(10)) {
    const value = await probe();
    if (value !== false && value !== null && value !== undefined) return value;
  }
  throw new Error(`not within ${ms} ms: ${what}`);
}
