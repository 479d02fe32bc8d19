/** How many files and connections this process may have open at once. */
import { readFileSync } from "node:fs";

/** The soft limit, which Node raises to the hard one when it starts. */
export function descriptorLimit(): number {
  const [, soft = "1024"] = /^Max open files +(\d+|unlimited)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
  return soft === "unlimited" ? 1_048_576 : Number(soft);
}

/** A workspace has sockets of its agents and connections of their runs. */
const [ofItself, ofWorkspace] = [1024, 64];

/** What an operator must know of a limit that is too low for so many workspaces, in one sentence; null where it is not. */
export function tellFewDescriptors(limit: number, workspaces: number): string | null {
  const needed = ofItself + workspaces * ofWorkspace;
  if (limit >= needed) return null;
  return `This process may have ${limit} files and connections open and ${workspaces} workspaces may need ${needed}: raise its hard limit (LimitNOFILE= of systemd, ulimit -Hn), or lower BERTH_MAX_WORKSPACES.`;
}
