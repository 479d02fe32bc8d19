/**
 * Fair queuing of what users make this process do: one piece a user in each pass of the event loop, however many readers,
 * lines or calls of that user ask for one.
 */

/** Resolves when it is this user's turn: do a millisecond's work then, and ask again. */
export type Turns = (userId: string) => Promise<void>;

export function createTurns(): Turns {
  const last = new Map<string, Promise<void>>();
  return (userId) => {
    const pass = () => new Promise<void>((resolve) => setImmediate(resolve));
    const mine = (last.get(userId) ?? Promise.resolve()).then(pass);
    last.set(userId, mine);
    void mine.then(() => last.get(userId) === mine && last.delete(userId));
    return mine;
  };
}
