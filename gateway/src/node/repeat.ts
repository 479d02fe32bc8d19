/** A timer's work, again and again until it is stopped. */
import { sleep } from "@berth/shared/wait";

/** A call to a host that hangs takes some seconds; the others are not held up meanwhile. */
const turnsAtOnce = 20;

/**
 * Runs the work now and then every `ms`, also while slow turns before are under way, up to `turnsAtOnce`; a failure is told
 * and tried again. What comes back stops it, and waits for the turns in progress for `graceMs` at most.
 */
export function repeat(
  ms: number,
  work: () => Promise<void>,
  failed: (error: unknown) => void,
): (graceMs: number) => Promise<void> {
  const turns = new Set<Promise<void>>();
  const begin = () => {
    if (turns.size >= turnsAtOnce) return;
    const turn = work()
      .catch(failed)
      .finally(() => turns.delete(turn));
    turns.add(turn);
  };
  begin();
  const timer = setInterval(begin, ms);
  return async (graceMs) => {
    clearInterval(timer);
    await Promise.race([Promise.all(turns), sleep(graceMs)]);
  };
}
