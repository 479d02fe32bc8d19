/**
 * What an admin should look at, by user: a sliding window of an hour in memory, bounded whatever users do. It clears by itself. A new
 * process notes what it finds: ends of runs at a limit stand in the database, and what cannot be ended is still there.
 */
import type { Alert } from "@berth/shared/host-api";

export type Alerts = ReturnType<typeof createAlerts>;

export const windowMs = 3_600_000;
/** How often within the window. That a program survives every try to end it is never usual. */
const needed = (kind: Alert["kind"]) => (kind === "unended" ? 1 : 10);
/** More is not counted. */
const most = { times: 100, keys: 1000, told: 20 };

/** `now` is in milliseconds since 1970. */
export function createAlerts(now: () => number) {
  const noted = new Map<string, Pick<Alert, "kind" | "userId"> & { times: number[] }>();
  const recent = (times: number[] = []) => times.filter((at) => at > now() - windowMs);
  return {
    /** `at` is in milliseconds since 1970, now where nothing else is said. */
    note(kind: Alert["kind"], userId: string, at = now()): void {
      const key = `${kind} ${userId}`;
      const times = [...recent(noted.get(key)?.times), at].slice(-most.times);
      noted.delete(key);
      noted.set(key, { kind, userId, times });
      if (noted.size > most.keys) noted.delete(noted.keys().next().value!);
    },
    /** Of the kinds and users that were noted often enough within the hour, the last ones first. */
    list: (): Alert[] =>
      [...noted.values()]
        .map(({ times, ...of }) => ({ ...of, times: recent(times) }))
        .filter(({ kind, times }) => times.length >= needed(kind))
        .map(({ times, ...of }) => ({ ...of, count: times.length, lastAt: new Date(times.at(-1)!).toISOString() }))
        .toReversed()
        .slice(0, most.told),
  };
}
