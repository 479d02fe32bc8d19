/** Waiting: a sleep that a signal ends, a deadline, and the pauses of a retry. Web standards alone. */

/** Resolves after `ms`, in the next turn where that is past, or as soon as the signal aborts: who must know which asks the signal. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, Math.max(0, ms));
    signal?.addEventListener("abort", done, { once: true });
  });
}

/** What comes of the job, if that comes within `ms`; then it rejects as `late` says, and the job hears by its signal that nobody waits any more. */
export async function withDeadline<T>(
  ms: number,
  job: (signal: AbortSignal) => Promise<T>,
  late: () => Error,
): Promise<T> {
  const given = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(late());
      given.abort();
    }, ms);
  });
  try {
    return await Promise.race([job(given.signal), expired]);
  } finally {
    clearTimeout(timer);
  }
}

/** Exponential backoff with jitter, in milliseconds: `firstMs` doubled at each attempt (from 0) up to `maxMs`, a quarter more or less. */
export function backoff(attempt: number, firstMs: number, maxMs: number): number {
  return Math.min(maxMs, firstMs * 2 ** Math.min(attempt, 30)) * (0.75 + Math.random() / 2);
}
