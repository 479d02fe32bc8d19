/** What becomes of a workspace in which something survives every try to end it. */
import type { HostContext } from "../context/context.ts";
import type { Engine } from "../machine/engine.ts";
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
  tellUnended(context, userId, error);
  workspaces.evict(
    userId,
    reason,
    () => true,
    () => Promise.resolve(),
  );
}

/** The same of a container that is only taken up: nobody uses it yet, and the next message makes another. Throws the error in any case. */
export async function giveUpUnended(
  { context, engine }: { context: HostContext; engine: Pick<Engine, "removeContainer"> },
  userId: string,
  containerId: string,
  error: unknown,
): Promise<never> {
  if (error instanceof UnendedError) {
    tellUnended(context, userId, error);
    await engine.removeContainer(containerId);
  }
  throw error;
}

function tellUnended({ log, alerts }: HostContext, userId: string, error: UnendedError): void {
  log.error("workspace.unended", { userId, error: error.message });
  alerts.note("unended", userId);
}
