/** Waiting for others in this process: a latch that remembers a wake-up, and a lock per key. */

export type Latch = ReturnType<typeof createLatch>;

/** Remembers a change that comes while nobody waits: `next` answers at once then. */
export function createLatch() {
  let isSet = false;
  let wake: (() => void) | null = null;
  return {
    set(): void {
      isSet = true;
      wake?.();
    },
    /** True if something was set within `ms`; false when the time ran out, or was past, or the signal ended it. */
    async next(ms: number, signal?: AbortSignal): Promise<boolean> {
      if (!isSet && !signal?.aborted) {
        await new Promise<void>((resolve) => {
          const done = () => {
            clearTimeout(timer);
            signal?.removeEventListener("abort", done);
            wake = null;
            resolve();
          };
          const timer = setTimeout(done, Math.max(0, ms));
          signal?.addEventListener("abort", done, { once: true });
          wake = done;
        });
      }
      const was = isSet;
      isSet = false;
      return was;
    },
  };
}

/** A mutex a key: jobs of the same key run one after the other, those of other keys beside them. */
export function createLocks() {
  const tails = new Map<string, Promise<unknown>>();
  async function locked<T>(key: string, job: () => Promise<T>): Promise<T> {
    const before = tails.get(key) ?? Promise.resolve();
    const mine = before.then(job, job);
    const tail = mine.catch(() => undefined);
    tails.set(key, tail);
    try {
      return await mine;
    } finally {
      if (tails.get(key) === tail) tails.delete(key);
    }
  }
  /** Whether a job of this key is at work or waits. */
  locked.isHeld = (key: string) => tails.has(key);
  return locked;
}
