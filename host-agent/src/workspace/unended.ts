/** What becomes of a workspace in which something survives every try to end it. */
import type { HostContext } from "../context/context.ts";
import { UnendedError } from "../machine/processes.ts";
import type { Workspaces } from "./workspaces.ts";

const reason =
  "A process could not be ended, and the workspace was closed with all that ran in it; the next message starts a new one.";

/** If this error says so, the container goes with all that runs in it, and a person is told: whatever hangs there hangs in the kernel. */
export function closeUnended(
  { context, workspaces }: { context: HostContext; workspaces: Pick<Workspaces, "evict"> },
  userId: string,
  error: unknown,
): void {
  if (!(error instanceof UnendedError)) return;
  context.log.error("workspace.unended", { userId, error: error.message });
  context.alerts.note("unended", userId);
  workspaces.evict(
    userId,
    reason,
    () => true,
    () => Promise.resolve(),
  );
}
