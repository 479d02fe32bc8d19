/**
 * Which workspaces a report tells of: those that changed since the gateway last took word of them. What is sampled changes all
 * the time and is told once in a while, and with it each workspace, whatever was lost on the way.
 */
import type { ReportedWorkspace } from "@berth/shared/host-api";

const retellMs = 60_000;

/** `now` is a monotonic clock in milliseconds. */
export function createWorkspaceNews(now: () => number = () => performance.now()) {
  let known = new Map<string, { state: string; toldAt: number }>();
  return {
    /** Of these workspaces those to tell; `taken` is called once the gateway has them. */
    of(all: ReportedWorkspace[]): { workspaces: ReportedWorkspace[]; taken(): void } {
      const at = now();
      const told = new Map<string, { state: string; toldAt: number }>();
      const workspaces = all.filter((workspace) => {
        const state = stateOf(workspace);
        const before = known.get(workspace.userId);
        const isKnown = before !== undefined && before.state === state && at - before.toldAt < retellMs;
        told.set(workspace.userId, isKnown ? before : { state, toldAt: at });
        return !isKnown;
      });
      return { workspaces, taken: () => void (known = told) };
    },
    /** The next report tells of all. */
    forget: () => known.clear(),
  };
}

/** Without its samples. */
function stateOf({ memory, cpu, pids, disk, sampledAt: _sampledAt, ...state }: ReportedWorkspace): string {
  const limits = [memory.limitBytes, memory.warnBytes, memory.warning, cpu.cores, pids.limit, disk.limitBytes];
  return JSON.stringify([state, limits]);
}
