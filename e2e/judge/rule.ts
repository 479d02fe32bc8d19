/** What a rule is: a sentence that must hold of every history, and what of a history it looks at. */
import type { Deed, EventOf } from "./events.ts";
import { type History, lifeOf, type RunStory } from "./history.ts";

export interface Rule {
  says: string;
  judge(history: History): Judged;
}
export interface Judged {
  /** How many facts were compared. */
  checked: number;
  /** How many could not be, for a deed in the history took away what they say. */
  excused?: number;
  /** What is not as the rule says, in sentences. */
  wrong: string[];
}

/** Of an item about which nothing can be said. */
export const excused = Symbol("excused");

/** A rule about each item of a kind by itself. */
export function ofEach<T>(itemsOf: (history: History) => Iterable<T>, problemOf: Problem<T>): Rule["judge"] {
  return (history) => {
    const found = [...itemsOf(history)].map((item) => problemOf(item, history));
    const judged = found.filter((problem) => problem !== excused);
    const wrong = judged.flatMap((problem) => problem ?? []);
    return { checked: judged.length, excused: found.length - judged.length, wrong };
  };
}
type Problem<T> = (item: T, history: History) => string | string[] | null | typeof excused;

export const runsOf = ({ runs }: History) => runs.values();
export const endedRunsOf = ({ runs }: History) => [...runs.values()].filter(({ end }) => end !== null);

/**
 * Seen by two that take turns on one machine: what was later by so much may have been earlier. It is how late a look may be,
 * and no measure of speed.
 */
export const lookMs = 10_000;

/** Deeds to one of the run's hosts while it lived; to any host where nobody knows which had it. */
export function deedsTo(history: History, run: RunStory, deeds: Deed[]): EventOf<"deed">[] {
  const { from, to } = lifeOf(run);
  return history
    .all("deed")
    .filter(
      ({ deed, host, at }) =>
        deeds.includes(deed) &&
        (run.hosts.length === 0 || run.hosts.includes(host)) &&
        at >= from - lookMs &&
        at <= to + lookMs,
    );
}

/** A disk is felt to be full before and after: what was written shortly before may still be lost. */
const unwrittenMs = 120_000;
const feltMs = 30_000;

/** Whether the disk of one of the run's hosts was full while it lived. */
export function metFullDisk(history: History, run: RunStory): boolean {
  const { from, to } = lifeOf(run);
  const changes = history.all("deed").filter(({ host }) => run.hosts.includes(host));
  return changes.some(({ deed, host, at: fullAt }) => {
    if (deed !== "disk full" || fullAt > to + unwrittenMs) return false;
    const freeAt = changes.find((other) => other.deed === "disk free" && other.host === host && other.at >= fullAt)?.at;
    return (freeAt ?? Infinity) + feltMs >= from;
  });
}

/** Whether a host that had the run was removed, or forgot it, after it was sent: what it had of it is gone. */
export const isForgotten = (history: History, { asked, hosts }: RunStory) =>
  history
    .all("deed")
    .some(
      ({ deed, host, at }) =>
        ["host removed", "host database lost", "host database restored"].includes(deed) &&
        at >= asked.at &&
        (hosts.length === 0 || hosts.includes(host)),
    );

export const isDeleted = (history: History, agent: string) =>
  callsTo(history, "DELETE", `/v1/agents/${agent}`).length > 0;

export const callsTo = ({ calls }: History, method: string, path: string) => calls.get(`${method} ${path}`) ?? [];

/** What is there more than once. */
export function doubled<T>(items: T[]): T[] {
  const seen = new Set<T>();
  return items.filter((item) => seen.has(item) || !seen.add(item));
}
