/** Workspaces as the gateway knows them: the host's last report, or none yet. */
import type { Workspace } from "@berth/shared/resources";
import type { Settings } from "@berth/shared/settings";
import { eq } from "drizzle-orm";
import type { Database } from "../data/database.ts";
import { users, workspaces } from "../data/schema.ts";

/** The copy of the user's workspace; an absent one where no host has told of any. */
export async function findWorkspace(
  db: Database,
  settings: Settings,
  user: { id: string; hostId: string | null },
): Promise<Workspace> {
  const [row] = await db.select().from(workspaces).where(eq(workspaces.userId, user.id));
  return withNotice(db, user.id, row?.data ?? absentWorkspace(settings, user.hostId));
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

export async function dismissNotice(db: Database, userId: string): Promise<void> {
  await db.update(users).set({ notice: null }).where(eq(users.id, userId));
}

/** A workspace that no host has made yet, with the limits it will have. */
export function absentWorkspace(settings: Settings, hostId: string | null): Workspace {
  return {
    status: "absent",
    hostId,
    containerId: null,
    memory: {
      usedBytes: 0,
      limitBytes: settings.BERTH_MEMORY_BYTES,
      warnBytes: settings.BERTH_MEMORY_WARN_BYTES,
      warning: false,
    },
    cpu: { percent: 0, cores: settings.BERTH_CPUS },
    pids: { current: 0, limit: settings.BERTH_PIDS },
    disk: { usedBytes: 0, limitBytes: settings.BERTH_DISK_BYTES },
    connections: 0,
    activeRuns: 0,
    startedAt: null,
    sampledAt: null,
    reason: null,
  };
}
