/** The one shape of a workspace's container: its name, its limits, what it sees of this machine, and how to tell that it really sees it. */
import { join } from "node:path";
import { type Cgroup, isSameDirectory, type ProcessId } from "../machine/cgroup.ts";
import type { ContainerSpec, ContainerState } from "../machine/engine.ts";
import type { HostContext } from "../context/context.ts";
import type { Volume } from "./volumes.ts";

/** A container that runs, and how to look into it. */
export interface RunningContainer {
  id: string;
  init: ProcessId;
  cgroup: Cgroup;
  volume: Volume;
}

export const forwarderPort = 3128;
/** Where a workspace finds the host agent's sockets, the runs' files and the user's volume. */
export const paths = { sockets: "/run/berth", runs: "/run/berth-runs", workspace: "/workspace" };

export const nameOf = (hostId: string, userId: string) => `berth-${hostId}-${userId}`;
export const passwdOf = (dataDir: string, userId: string) => join(dataDir, "passwd", userId);

/** `socketDir` is the user's directory of sockets. */
export function specOf(
  { settings, hostId, dataDir }: HostContext,
  userId: string,
  volume: Volume,
  socketDir: string,
): ContainerSpec {
  return {
    name: nameOf(hostId, userId),
    image: settings.BERTH_IMAGE,
    labels: { "berth.host": hostId, "berth.user": userId },
    memoryBytes: settings.BERTH_MEMORY_BYTES,
    cpus: settings.BERTH_CPUS,
    pids: settings.BERTH_PIDS,
    mounts: [
      { source: volume.workspace, target: paths.workspace, readOnly: false },
      { source: volume.runs, target: paths.runs, readOnly: false },
      { source: socketDir, target: paths.sockets, readOnly: true },
      { source: passwdOf(dataDir, userId), target: "/etc/passwd", readOnly: true },
    ],
  };
}

/** Whether the container has this very volume mounted, and not what lies under its mount point. */
export const seesVolume = ({ pid }: ContainerState, volume: Volume) =>
  isSameDirectory(pid, paths.workspace, volume.workspace) && isSameDirectory(pid, paths.runs, volume.runs);
