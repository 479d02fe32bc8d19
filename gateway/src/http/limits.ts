/**
 * How often somebody may call. Counters of this process alone, of bounded size: they keep a flood off the database and
 * the hosts, and are no guarantee. Generous for who is known; failures are few, and each time too many wait longer.
 */
import { AppError } from "@berth/shared/errors";
import RateLimiterMemory from "rate-limiter-flexible/lib/RateLimiterMemory.js";
import { networkOf } from "./address.ts";
import type { Caller } from "./caller.ts";

/** Calls a minute, by one credential (at a hook: one trigger's) or one network; all tokens of a network together have five times as many. */
const callsPerMinute = { sign_in: 300, tokens: 300, tickets: 3000, runs: 6000, hooks: 6000 };
export type LimitName = keyof typeof callsPerMinute;

/** Failed credentials a minute: of one network at sign-in, of one network at one trigger. */
export const failuresPerMinute = { sign_in: 60, hooks: 100 };
export type FailureName = keyof typeof failuresPerMinute;

const firstPauseSeconds = 60;
const longestPauseSeconds = 3600;
const daySeconds = 24 * 3600;
const maxKeys = 20_000;

export interface Limits {
  /** Counts a call by this caller, or by the network of a caller who is not known. Throws `rate_limited`. */
  spend(name: LimitName, caller: Pick<Caller, "user" | "token"> | null, address: string | null): Promise<void>;
  /** Counts a call under any key, such as a trigger's id. Throws `rate_limited`. */
  spendKey(name: LimitName, key: string): Promise<void>;
  /** Throws `rate_limited` while this key pauses for its failures: before the credential is even looked at. */
  refusePaused(name: FailureName, key: string): Promise<void>;
  /** Counts a failed credential. Throws `rate_limited` once there are too many in a minute: a pause of a minute, then two, four … an hour. */
  noteFailure(name: FailureName, key: string): Promise<void>;
}

export function createLimits(perMinute: Record<LimitName, number> = callsPerMinute): Limits {
  const names = Object.keys(perMinute) as LimitName[];
  const byKey = new Map(names.map((name) => [name, createCounter(perMinute[name], 60)]));
  const byNetwork = new Map(names.map((name) => [name, createCounter(perMinute[name] * 5, 60)]));
  const failures = {
    sign_in: createCounter(failuresPerMinute.sign_in, 60),
    hooks: createCounter(failuresPerMinute.hooks, 60),
  };
  const pauses = createCounter(Number.MAX_SAFE_INTEGER, daySeconds);
  const spendKey = async (name: LimitName, key: string) => refuse(await byKey.get(name)!.count(key));
  return {
    spendKey,
    async spend(name, caller, address) {
      const network = networkOf(address ?? "unknown");
      if (!caller) return spendKey(name, network);
      await spendKey(name, caller.token.id ?? caller.user.id);
      refuse(await byNetwork.get(name)!.count(network));
    },
    async refusePaused(name, key) {
      refuse(await failures[name].left(key));
    },
    async noteFailure(name, key) {
      const over = await failures[name].count(key);
      if (over === null) return;
      if (!over.isFirst) refuse(over);
      const earlier = await pauses.add(`${name} ${key}`);
      const seconds = Math.min(longestPauseSeconds, firstPauseSeconds * 2 ** Math.min(earlier - 1, 10));
      await failures[name].pause(key, seconds);
      refuse({ waitMs: seconds * 1000 });
    },
  };
}

interface Over {
  waitMs: number;
  /** Whether this call is the one that went over. */
  isFirst?: boolean;
}

function refuse(over: Over | null): void {
  if (!over) return;
  const retryAfter = Math.max(1, Math.ceil(over.waitMs / 1000));
  throw new AppError("rate_limited", `Too many calls; try again in ${retryAfter} s.`, { retryAfter });
}

/** Counts in windows; starts anew rather than hold more than `maxKeys` keys. */
function createCounter(points: number, duration: number) {
  const limiter = new RateLimiterMemory({ points, duration });
  let keys = 0;
  const note = (isNew: boolean) => {
    if (isNew) keys += 1;
    if (keys <= maxKeys) return;
    // Each key has a timer that would hold it until its time.
    for (const { key } of limiter.dump().storage) void limiter.delete(key);
    keys = 0;
  };
  return {
    async count(key: string): Promise<Over | null> {
      const counted = await limiter.penalty(key);
      note(counted.isFirstInDuration);
      if (counted.consumedPoints <= points) return null;
      return { waitMs: counted.msBeforeNext, isFirst: counted.consumedPoints === points + 1 };
    },
    async add(key: string): Promise<number> {
      const counted = await limiter.penalty(key);
      note(counted.isFirstInDuration);
      return counted.consumedPoints;
    },
    async left(key: string): Promise<Over | null> {
      const counted = await limiter.get(key);
      return counted && counted.consumedPoints > points && counted.msBeforeNext > 0
        ? { waitMs: counted.msBeforeNext }
        : null;
    },
    async pause(key: string, seconds: number): Promise<void> {
      await limiter.block(key, seconds);
    },
  };
}
