/**
 * How one user's workspace stands in this process: its container, its figures, who uses it; what follows for it, as pure functions of
 * what was observed; and what others see of it.
 */
import { describeMemory, describeWorkspace, type Workspace } from "@berth/shared/resources";
import type { HostContext } from "../context/context.ts";
import { readUsage } from "../machine/cgroup.ts";
import { isAlive, processesOf } from "../machine/processes.ts";
import { firstUid } from "../store/uids.ts";
import type { RunningContainer } from "./container.ts";
import { diskUse } from "./volume.ts";

export interface Place {
  userId: string;
  status: Workspace["status"];
  container: RunningContainer | null;
  startedAt: string | null;
  reason: string | null;
  connections: number;
  lastBusyAt: number;
  sample: {
    memoryBytes: number;
    cpuNs: number;
    pids: number;
    cpuPercent: number;
    diskBytes: number;
    at: number;
  } | null;
  /** Its container has another shape or image than the settings ask for: it goes once nothing runs in it. */
  isOutdated: boolean;
}

export const newPlace = (userId: string): Place => ({
  userId,
  status: "absent",
  container: null,
  startedAt: null,
  reason: null,
  connections: 0,
  lastBusyAt: performance.now(),
  sample: null,
  isOutdated: false,
});

export const isRunning = (place: Place) => place.container !== null && isAlive(place.container.init);
/** Whether any process of an agent runs there. */
export const hasAgents = ({ container }: Place) =>
  container !== null && processesOf(container.cgroup, ({ uid }) => uid >= firstUid).length > 0;

/** What may be observed of a container of the user's that this process does not know. */
export interface Found {
  isRunning: boolean;
  startedMsAgo: number;
  /** It has the user's volume before it. */
  seesVolume: boolean;
}

/**
 * What to do with it: `take` it as the user's own, `wait` for one that may be in the making, `remove` it. A clock that was set back has
 * one start in the future.
 */
export function nextOfFound({ isRunning, startedMsAgo, seesVolume }: Found, graceMs: number) {
  if (isRunning && seesVolume) return "take";
  return isRunning && Math.abs(startedMsAgo) <= graceMs ? "wait" : "remove";
}

/** What may be observed of a workspace that somebody used. */
export interface Used {
  connections: number;
  activeRuns: number;
  idleMs: number;
  isOutdated: boolean;
  /** Asked where it matters alone: it reads all that runs there. */
  hasAgents: () => boolean;
}

export const usedOf = (place: Place, activeRuns: number): Used => ({
  connections: place.connections,
  activeRuns,
  idleMs: performance.now() - place.lastBusyAt,
  isOutdated: place.isOutdated,
  hasAgents: () => hasAgents(place),
});

/** Why the workspace goes; null while it stays. */
export function whyGo({ connections, activeRuns, idleMs, isOutdated, hasAgents }: Used, idleMostMs: number) {
  if (connections === 0 && activeRuns === 0 && idleMs >= idleMostMs) return "idle";
  return isOutdated && activeRuns === 0 && !hasAgents() ? "outdated" : null;
}

/** The kernel's figures of a running workspace now; null if it does not run. Logs a memory warning once per crossing. */
export function sample({ settingsOf, log }: HostContext, place: Place): Pick<Place, "sample"> | null {
  const usage = place.container && isRunning(place) ? readUsage(place.container.cgroup) : null;
  if (!usage || !place.container) return null;
  const at = performance.now();
  const before = place.sample;
  const cpuPercent = before && at > before.at ? (100 * (usage.cpuNs - before.cpuNs)) / ((at - before.at) * 1e6) : 0;
  const diskBytes = diskUse(place.container.volume.root)?.usedBytes ?? 0;
  const settings = settingsOf(place.userId);
  const memory = describeMemory(settings, usage.memoryBytes);
  const isNews = memory.warning !== describeMemory(settings, before?.memoryBytes ?? 0).warning;
  if (memory.warning && isNews) log.warn("memory.warning", { userId: place.userId, ...memory });
  return { sample: { ...usage, cpuPercent: Math.max(0, cpuPercent), diskBytes, at } };
}

/** How the user's workspace stands now, with the limits that its container has. */
export function viewOf(
  { settingsOf, clock, hostId }: HostContext,
  { userId, status, container, sample, connections, startedAt, reason }: Place,
  activeRuns: number,
  newVolumeBytes: number,
): Workspace {
  const own = container?.limits;
  const limits = own && { BERTH_MEMORY_BYTES: own.memoryBytes, BERTH_CPUS: own.cpus, BERTH_PIDS: own.pids };
  return describeWorkspace({ ...settingsOf(userId), ...limits }, hostId, {
    ...sample,
    status,
    containerId: container?.id ?? null,
    diskLimitBytes: container?.volume.limitBytes ?? newVolumeBytes,
    connections,
    activeRuns,
    startedAt,
    sampledAt: sample ? new Date(clock.now() - (performance.now() - sample.at)).toISOString() : null,
    reason,
  });
}
