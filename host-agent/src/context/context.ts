/** What the parts of a host agent share: settings, clock, log and the bus on which changes are told. Plain data. */
import { EventEmitter } from "node:events";
import type { Log } from "@berth/shared/log";
import type { Settings } from "@berth/shared/settings";

/** The gateway's time: this machine's clock, corrected by what the gateway last said. */
export interface Clock {
  /** Milliseconds since 1970, by the gateway's time. */
  now(): number;
  iso(): string;
  /** Takes the gateway's time, in milliseconds since 1970, told in answer to what was asked when this machine's clock said `askedAt`. */
  follow(gatewayNow: number, askedAt: number): void;
  /** This machine's own clock, uncorrected. */
  machine(): number;
  /** Whether the gateway has told its time to this process, or has had its chance: before that no time limit is judged. */
  isSure(): boolean;
}

/** How long a process waits for the gateway's time. */
const unsureMs = 30_000;

/** `machine` is this machine's own clock, `kept` its difference as it was known last; `keep` is told each new one. In milliseconds. */
export function createClock(
  machine: () => number = Date.now,
  kept: () => number = () => 0,
  keep: (offsetMs: number) => void = () => {},
): Clock {
  let told: number | null = null;
  const offset = () => told ?? kept();
  const startedAt = performance.now();
  const now = () => machine() + offset();
  return {
    now,
    iso: () => new Date(now()).toISOString(),
    machine,
    follow: (gatewayNow, askedAt) => {
      // The gateway looked at its clock some time between question and answer, and may tell whole seconds alone.
      const [least, most] = [gatewayNow - machine() - 1000, gatewayNow - askedAt + 1000];
      const known = [offset(), 0].find((one) => least <= one && one <= most);
      const next = known ?? (least + most) / 2;
      // A clock that merely drifts is not kept anew each time.
      if (Math.abs(next - offset()) > 500) keep(next);
      told = next;
    },
    isSure: () => told !== null || performance.now() - startedAt > unsureMs,
  };
}

/** Tells that something changed; what it is now is read from its owner. Topics: a run, a user, all of the host, a run's end. */
export interface Bus {
  emit(...topics: Topic[]): void;
  /** Calls on each change until the returned function is called. */
  on(topic: Topic, onChange: () => void): () => void;
}
export type Topic = `run:${string}` | `user:${string}` | "host" | "ended";

export function createBus(): Bus {
  const emitter = new EventEmitter().setMaxListeners(0);
  return {
    emit: (...topics) => topics.forEach((topic) => void emitter.emit(topic)),
    on(topic, onChange) {
      emitter.on(topic, onChange);
      return () => void emitter.off(topic, onChange);
    },
  };
}

/** Remembers a change that comes while nobody waits: `next` answers at once then. */
export interface Latch {
  set(): void;
  /** True if something was set within `ms`; false when the time ran out or the signal ended it. */
  next(ms: number, signal?: AbortSignal): Promise<boolean>;
}

export function createLatch(): Latch {
  let isSet = false;
  let wake: (() => void) | null = null;
  return {
    set() {
      isSet = true;
      wake?.();
    },
    async next(ms, signal) {
      if (!isSet && !signal?.aborted) {
        await new Promise<void>((resolve) => {
          const done = () => {
            clearTimeout(timer);
            signal?.removeEventListener("abort", done);
            wake = null;
            resolve();
          };
          const timer = setTimeout(done, ms);
          signal?.addEventListener("abort", done, { once: true });
          wake = done;
        });
      }
      const was = isSet;
      isSet = false;
      return was;
    },
  };
}

/** Runs jobs of the same key one after the other; other keys go on beside them. */
export function createLocks() {
  const tails = new Map<string, Promise<unknown>>();
  return async function locked<T>(key: string, job: () => Promise<T>): Promise<T> {
    const before = tails.get(key) ?? Promise.resolve();
    const mine = before.then(job, job);
    const tail = mine.catch(() => undefined);
    tails.set(key, tail);
    try {
      return await mine;
    } finally {
      if (tails.get(key) === tail) tails.delete(key);
    }
  };
}

/** What every part is given. */
export interface HostContext {
  hostId: string;
  settings: Settings;
  /** Absolute path of `BERTH_HOST_DATA_DIR`. */
  dataDir: string;
  clock: Clock;
  log: Log;
  bus: Bus;
}
