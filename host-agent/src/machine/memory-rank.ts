/**
 * Whom the kernel kills first when a container's memory runs out: by itself the largest process, so that a neighbour's large one goes
 * before a hog's many small ones. Raised by what an agent has beside its largest, each of its processes stands for all of them.
 */
import { type Cgroup, readUsage } from "./cgroup.ts";
import { readProc as read } from "./proc.ts";
import { processesOf, setOomScore, type Which } from "./processes.ts";

/** What all processes of agents begin with. */
export const agentScore = 500;
const [highestScore, tolerance, pageBytes] = [1000, 10, 4096];
/** Below this share of the limit nobody goes. */
const tightShare = 0.5;
/** Of so many times the largest the others are many; of a few, such as a CLI and its tools, a score would be outdated once one is gone. */
const manyTimes = 2;

/**
 * Ranks one agent's processes among those of a container with this limit; costs nothing while memory is not tight. `raised` keeps whom it
 * has raised: a process that put itself in front stays there.
 */
export function rankByTotal(cgroup: Cgroup, which: Which, limitBytes: number, raised: Set<number>): void {
  if ((readUsage(cgroup)?.memoryBytes ?? 0) < limitBytes * tightShare) return;
  const pids = processesOf(cgroup, which);
  const sizes = pids.map((pid) => Number((read(`/proc/${pid}/statm`) ?? "").split(" ")[1] ?? 0) * pageBytes);
  const largest = Math.max(0, ...sizes);
  const others = sizes.reduce((sum, size) => sum + size, 0) - largest;
  // A point is a thousandth of the limit, as the kernel counts it.
  const raise = others > manyTimes * largest ? Math.round((others / limitBytes) * 1000) : 0;
  const score = Math.min(highestScore, agentScore + raise);
  for (const pid of pids) {
    const now = Number(read(`/proc/${pid}/oom_score_adj`) ?? score);
    if (Math.abs(now - score) <= tolerance || (now > score && !raised.has(pid))) continue;
    setOomScore(pid, score);
    if (score > agentScore) raised.add(pid);
    else raised.delete(pid);
  }
}
