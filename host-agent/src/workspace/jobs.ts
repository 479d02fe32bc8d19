/** Jobs on workspaces that nobody waits for, one a user and few at once. */
import { messageOf } from "@berth/shared/log";
import type { HostContext } from "../context/context.ts";
import type { createLocks } from "../context/wait.ts";

const atOnce = 16;

/**
 * Begins a job under the user's lock, unless one is at work there: an engine or a disk that hangs for one user holds up
 * nobody else. A failure is logged, for the next pass tries again.
 */
export function createJobs({ log }: HostContext, locked: ReturnType<typeof createLocks>) {
  let count = 0;
  return (userId: string, failure: string, job: () => Promise<void>): void => {
    if (locked.isHeld(userId) || count >= atOnce) return;
    count += 1;
    void locked(userId, job)
      .catch((error: unknown) => log.warn(failure, { userId, error: messageOf(error) }))
      .finally(() => (count -= 1));
  };
}
