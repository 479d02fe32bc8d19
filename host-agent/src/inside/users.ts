/** A user who was deleted at the gateway: all that this host has of them goes. */
import { rm } from "node:fs/promises";
import { passwdOf } from "../workspace/container.ts";
import type { AgentDeps } from "./agents.ts";

export type UserDeps = Omit<AgentDeps, "deletions">;

/** Whether this host has files or rows of the user; also where nobody can tell, for then they are not known to be gone. */
export function hasAnythingOf({ store, volumes }: Pick<UserDeps, "store" | "volumes">, userId: string): boolean {
  if (store.hasUser(userId)) return true;
  try {
    return volumes.exists(userId);
  } catch {
    return true;
  }
}

/**
 * Ends what the user runs, then removes container, volume and rows, these last: what is cut short is asked for again, as is
 * what a call brought back that was under way. Uids stay taken.
 */
export async function deleteUser(deps: UserDeps, userId: string): Promise<void> {
  const { context, store, runs, workspaces, volumes, sockets } = deps;
  const cancelRuns = async () => {
    await runs.endAll("cancelled", userId);
    await runs.ahead.drop(userId);
  };
  await workspaces.stop(userId, cancelRuns, async () => {
    await volumes.remove(userId);
    await rm(sockets.directoryOf(userId), { recursive: true, force: true });
    await rm(passwdOf(context.dataDir, userId), { force: true });
    // By slices, for everybody waits for each.
    while (store.forgetUser(userId)) await context.turns(userId);
  });
  context.log.info("user.deleted", { userId });
  context.bus.emit("host");
}
