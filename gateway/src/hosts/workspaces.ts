/** Workspaces as the gateway knows them: the host's last report, or none yet. */
import { AppError } from "@berth/shared/errors";
import { describeWorkspace, type Workspace } from "@berth/shared/resources";
import type { Settings } from "@berth/shared/settings";
import { settingsFor } from "@berth/shared/users";
import { eq } from "drizzle-orm";
import type { Database } from "../data/database.ts";
import type { Deps } from "../deps.ts";
import type { Caller } from "../http/caller.ts";
import { actOnHost, gatewayFor, type HostCall } from "./call.ts";
import { findHostOfUser, type HostTarget } from "./placement.ts";
import { users, workspaces } from "../data/schema.ts";

/** The copy of the user's workspace; an absent one where no host has told of any. */
export async function findWorkspace(
  db: Database,
  settings: Settings,
  user: Pick<Caller["user"], "id" | "hostId" | "limits">,
): Promise<Workspace> {
  const [row] = await db.select().from(workspaces).where(eq(workspaces.userId, user.id));
  return withNotice(db, user.id, row?.data ?? describeWorkspace(settingsFor(settings, user.limits), user.hostId));
}

/** Has the user's host do what the gateway itself asks, and hear of what changed of the user; one that is away hears of it later. */
export async function tellHostOf(deps: Deps, userId: string, call: HostCall): Promise<void> {
  const host = await findHostOfUser(deps.db, userId);
  if (host) await tellHost(deps, host, userId, call);
}

/** The same of a host that was the user's. */
export async function tellHost(deps: Deps, host: HostTarget, userId: string, call: HostCall): Promise<void> {
  try {
    await actOnHost(deps, host, gatewayFor(deps, userId), call);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    deps.log.warn("user.host_not_told", { userId, hostId: host.id, code: error.code });
  }
}

/** The workspace with what its user must be told, where it has no reason of its own. */
export async function withNotice(db: Database, userId: string, workspace: Workspace): Promise<Workspace> {
  return workspace.reason === null ? { ...workspace, reason: await findNotice(db, userId) } : workspace;
}

/** What the user must be told until it is dismissed; null mostly. */
export async function findNotice(db: Database, userId: string): Promise<string | null> {
  const [user] = await db.select({ notice: users.notice }).from(users).where(eq(users.id, userId));
  return user?.notice ?? null;
}

export async function dismissNotice({ db }: Deps, userId: string): Promise<void> {
  await db.update(users).set({ notice: null }).where(eq(users.id, userId));
}
