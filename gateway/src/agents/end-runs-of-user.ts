/** Ending what a disabled or deleted user has running: pending runs here, the others on their host. */
import { sql } from "drizzle-orm";
import { cancelWaiting } from "./cancel-waiting.ts";
import { isoTime } from "../data/database.ts";
import type { Deps } from "../deps.ts";
import { longDeadlineMs } from "../hosts/call.ts";
import type { HostTarget } from "../hosts/placement.ts";
import { tellHost, tellHostOf } from "../hosts/workspaces.ts";

/**
 * Cancels the user's runs and stops the workspace. That it shall be so is stored with the user already: a host that is
 * away now hears of it in the answer to its next report.
 */
export async function cancelRunsOf(deps: Deps, userId: string): Promise<void> {
  const time = isoTime(deps.now());
  const ofUser = sql`d.user_id = ${userId} and exists (select 1 from users u where u.id = ${userId} and u.disabled)`;
  await deps.atomic(cancelWaiting(time, ofUser));
  await tellHostOf(deps, userId, stop);
}

/** Of a user who has just been deleted, and whose host would end all by its next report. */
export const endWorkspace = (deps: Deps, host: HostTarget, userId: string): Promise<void> =>
  tellHost(deps, host, userId, stop);

const stop = { method: "POST", path: "/v1/workspace/stop", deadlineMs: longDeadlineMs } as const;
