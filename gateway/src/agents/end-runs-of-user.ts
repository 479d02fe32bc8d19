/** Ending what a disabled user has running: pending runs here, the others on their host. */
import { AppError } from "@berth/shared/errors";
import { sql } from "drizzle-orm";
import { cancelWaiting } from "./cancel-waiting.ts";
import { isoTime } from "../data/database.ts";
import type { Deps } from "../deps.ts";
import { callHost, longDeadlineMs } from "../hosts/call.ts";
import { findHostOfUser } from "../hosts/placement.ts";

/**
 * Cancels the user's runs and stops the workspace. That it shall be so is stored with the user already: a host that is
 * away now hears of it in the answer to its next report.
 */
export async function cancelRunsOf(deps: Deps, userId: string): Promise<void> {
  const time = isoTime(deps.now());
  const ofUser = sql`d.user_id = ${userId} and exists (select 1 from users u where u.id = ${userId} and u.disabled)`;
  await deps.atomic(cancelWaiting(time, ofUser));
  const host = await findHostOfUser(deps.db, userId);
  if (!host) return;
  const caller = { user: { id: userId }, token: { id: null, expiresAt: Math.floor(deps.now() / 1000) + 60 } };
  try {
    await callHost(deps, host, caller, { method: "POST", path: "/v1/workspace/stop", deadlineMs: longDeadlineMs });
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    deps.log.warn("user.runs_not_cancelled_yet", { userId, hostId: host.id, code: error.code });
  }
}
