/** For tests: waiting on a condition, never on time alone. */

/** For what must come: a machine may be slow, and full of other suites. */
export const patienceMs = 180_000;

/**
 * Waits until `check` answers something true, which it answers; throws after `ms` with what was waited for. It asks the less
 * often the longer it waits, and never a tenth of that time too late: who waits must not take the processor from what is awaited.
 */
export async function until<T>(check: () => Promise<T> | T, what: string, ms = patienceMs): Promise<NonNullable<T>> {
  const startedAt = performance.now();
  for (;;) {
    const value = await check();
    if (value) return value;
    const waitedMs = performance.now() - startedAt;
    if (waitedMs > ms) throw new Error(`after ${ms / 1000} s still not: ${what}`);
    await pass(Math.min(250, Math.max(20, waitedMs / 10)));
  }
}

/** Lets time pass in which nothing must happen, or something must go on. */
export const pass = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
