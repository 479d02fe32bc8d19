/**
 * Rate limits: fixed windows in this process alone, of bounded size. They keep a flood off the database and the hosts, and
 * are no guarantee. Generous for who is known; failures are few, and pauses back off exponentially.
 */
import { AppError } from "@berth/shared/errors";
import { networkOf } from "@berth/shared/bounds/network";
import type { Caller } from "./caller.ts";

/**
 * Calls a minute, by one credential (at a hook: one trigger's) or one network; all tokens of a network together have five times as many.
 * `changes`, of which each is an entry of the audit that stays for a year, are one user's, by whatever credential.
 */
const callsPerMinute = { sign_in: 300, tokens: 300, changes: 300, tickets: 3000, search: 600, runs: 6000, hooks: 6000 };
export type LimitName = keyof typeof callsPerMinute;
/** An entry with its indices takes 0.7 KB. */
export const changesPerDay = 5000;

/** Long bodies of one user in so many seconds: each costs tenths of a second here, at their host and in both databases. */
export const longBodies = { most: 8, seconds: 4 };

/** Failed credentials a minute: of one network at sign-in, of one network at one trigger; and of all networks at sign-in, as the audit tells them. */
export const failuresPerMinute = { sign_in: 60, hooks: 100, entries: 60 };
type FailureName = Exclude<keyof typeof failuresPerMinute, "entries">;

const firstPauseSeconds = 60;
const longestPauseSeconds = 3600;
const daySeconds = 24 * 3600;
const maxKeys = 20_000;

export type Limits = ReturnType<typeof createLimits>;

/** What counts throws `rate_limited` beyond the most, but for `mayWriteDown`, which answers. */
export function createLimits(others: Partial<Record<LimitName, number>> = {}) {
  const perMinute = { ...callsPerMinute, ...others };
  const names = Object.keys(perMinute) as LimitName[];
  const byKey = new Map(names.map((name) => [name, createCounter(60)]));
  const byNetwork = new Map(names.map((name) => [name, createCounter(60)]));
  const failures = { sign_in: createCounter(60), hooks: createCounter(60), entries: createCounter(60) };
  const pauses = createCounter(daySeconds);
  const long = createCounter(longBodies.seconds);
  const changes = createCounter(daySeconds);
  /** Counts a call under any key, such as a trigger's id. */
  const spendKey = async (name: LimitName, key: string): Promise<void> => {
    refuse(byKey.get(name)!.add(key), perMinute[name]);
    if (name === "changes") refuse(changes.add(key), changesPerDay);
  };
  const countFailure = (name: keyof typeof failures, key: string) => {
    const window = failures[name].add(key);
    if (window.count !== failuresPerMinute[name] + 1) return window;
    const doublings = Math.min(pauses.add(`${name} ${key}`).count - 1, 10);
    const seconds = Math.min(longestPauseSeconds, firstPauseSeconds * 2 ** doublings);
    return failures[name].open(key, window.count, seconds);
  };
  return {
    spendKey,
    /** Counts a long body of this caller, before it is read. */
    spendLong: async ({ user }: Pick<Caller, "user">) => refuse(long.add(user.id), longBodies.most),
    /** Counts a call by this caller, or by the network of a caller who is not known. */
    async spend(name: LimitName, caller: Pick<Caller, "user" | "token"> | null, address: string | null): Promise<void> {
      const network = networkOf(address ?? "unknown");
      if (!caller) return spendKey(name, network);
      if (name === "changes") return spendKey(name, caller.user.id);
      await spendKey(name, caller.token.id ?? caller.user.id);
      refuse(byNetwork.get(name)!.add(network), perMinute[name] * 5);
    },
    /** Refuses while this key pauses for its failures: before the credential is even looked at. */
    refusePaused: async (name: FailureName, key: string) => refuse(failures[name].find(key), failuresPerMinute[name]),
    /** Counts a failed credential; once there are too many in a minute it pauses for a minute, then two, four … an hour. */
    noteFailure: async (name: FailureName, key: string) => refuse(countFailure(name, key), failuresPerMinute[name]),
    /** Counts a failed sign-in, from wherever it comes; whether the audit has room for it: of too many the rest has no entry, for as long as a network would pause. */
    mayWriteDown: async () => countFailure("entries", "").count <= failuresPerMinute.entries,
  };
}

interface Window {
  count: number;
  /** By `performance.now()`. */
  endsAt: number;
}

function refuse(window: Window | undefined, most: number): void {
  if (!window || window.count <= most) return;
  const retryAfter = Math.max(1, Math.ceil((window.endsAt - performance.now()) / 1000));
  throw new AppError("rate_limited", `Too many calls; try again in ${retryAfter} s.`, { retryAfter });
}

/** Fixed windows of so many seconds, one a key. Of more than `maxKeys` keys the window that was opened first is forgotten. */
function createCounter(seconds: number) {
  const windows = new Map<string, Window>();
  const open = (key: string, count: number, forSeconds: number) => {
    const window = { count, endsAt: performance.now() + forSeconds * 1000 };
    windows.delete(key);
    windows.set(key, window);
    if (windows.size > maxKeys) windows.delete(windows.keys().next().value!);
    return window;
  };
  const find = (key: string) => {
    const window = windows.get(key);
    return window && window.endsAt > performance.now() ? window : undefined;
  };
  const add = (key: string) => {
    const window = find(key) ?? open(key, 0, seconds);
    window.count += 1;
    return window;
  };
  return { add, find, open };
}
