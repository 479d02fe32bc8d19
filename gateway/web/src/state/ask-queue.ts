/** Questions that go out one at a time, for the answer "no" does not say to which it belongs. */

const answerMs = 20_000;

export interface AskQueue {
  ask(id: string): void;
  /** The answer to this one came: the next may go. */
  answered(id: string): void;
  /** The one that waits for its answer. */
  current(): string | null;
  /** Forgets all. */
  reset(): void;
}

/** `send` puts the question; it answers false when there is nothing to ask any more. */
export function createAskQueue(send: (id: string) => boolean): AskQueue {
  const waiting = new Set<string>();
  let asking: string | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const next = (): void => {
    while (asking === null && waiting.size > 0) {
      const id = waiting.values().next().value!;
      waiting.delete(id);
      if (!send(id)) continue;
      asking = id;
      timer = setTimeout(() => answered(id), answerMs);
    }
  };
  const answered = (id: string): void => {
    if (asking !== id) return;
    clearTimeout(timer);
    asking = null;
    next();
  };
  return {
    ask(id) {
      if (asking !== id) waiting.add(id);
      next();
    },
    answered,
    current: () => asking,
    reset() {
      clearTimeout(timer);
      asking = null;
      waiting.clear();
    },
  };
}
