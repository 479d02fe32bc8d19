/** Workspaces as the gateway knows them: the host's last report, or none yet. */
import type { Workspace } from "@berth/shared/resources";
import type { Settings } from "@berth/shared/settings";
import { eq } from "drizzle-orm";
import type { Database } from "./database.ts";
import { workspaces } from "./schema.ts";

/** The copy of the user's workspace; an absent one where no host has told of any. */
export async function findWorkspace(
  db: Database,
  settings: Settings,
  user: { id: string; hostId: string | null },
): Promise<Workspace> {
  const [row] = await db.select().from(workspaces).where(eq(workspaces.userId, user.id));
  return row?.data ?? absentWorkspace(settings, user.hostId);
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
