/** Whether a further run has room in its user's workspace. Pure. */
import type { RunRow } from "./rows.ts";

export interface Room {
  /** Runs of one user in progress at once. */
  limit: number;
  /** Memory that is free in the workspace, and what must be for one more run beside others. */
  freeBytes: number;
  neededBytes: number;
}

/** Alone a run always has room. One in progress that has not begun yet will take as much as the next. */
export function whatIsMissing(active: Pick<RunRow, "startedAt">[], room: Room): "run_limit" | "memory" | null {
  if (active.length >= room.limit) return "run_limit";
  const coming = active.filter(({ startedAt }) => startedAt === null).length + 1;
  return active.length > 0 && room.freeBytes < coming * room.neededBytes ? "memory" : null;
}
