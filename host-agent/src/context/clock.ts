/** The gateway's time on this host: the machine's clock and the difference that the gateway told. Beside it what nobody sets. */
import { readFileSync } from "node:fs";
import { uptime } from "node:os";

export type Clock = ReturnType<typeof createClock>;

/** How long a process waits for the gateway's time. */
const unsureMs = 30_000;

/** `machine` is this machine's own clock, `kept` its difference as it was known last; `keep` is told each new one. In milliseconds. */
export function createClock(
  machine: () => number = Date.now,
  kept: () => number = () => 0,
  keep: (offsetMs: number) => void = () => {},
) {
  let told: number | null = null;
  const offset = () => told ?? kept();
  const startedAt = performance.now();
  const now = () => machine() + offset();
  return {
    /** Milliseconds since 1970, by the gateway's time: this machine's clock, corrected by what the gateway last said. */
    now,
    iso: () => new Date(now()).toISOString(),
    /** This machine's own clock, uncorrected. */
    machine,
    /** Takes the gateway's time, in milliseconds since 1970, told in answer to what was asked when this machine's clock said `askedAt`. */
    follow: (gatewayNow: number, askedAt: number): void => {
      // The gateway looked at its clock some time between question and answer, and may tell whole seconds alone.
      const [least, most] = [gatewayNow - machine() - 1000, gatewayNow - askedAt + 1000];
      const known = [offset(), 0].find((one) => least <= one && one <= most);
      const next = known ?? (least + most) / 2;
      // A clock that merely drifts is not kept anew each time.
      if (Math.abs(next - offset()) > 500) keep(next);
      told = next;
    },
    /** Whether the gateway has told its time to this process, or has had its chance: before that no time limit is judged. */
    isSure: () => told !== null || performance.now() - startedAt > unsureMs,
  };
}

/** Of the machine: another one since each of its starts. */
export const bootId = () => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();

/** Milliseconds of the clock that `performance.now` goes by as well, the same in all processes of one boot: it stands still while the machine sleeps. */
function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

/** Now, for later processes of this host agent: the machine's boot, and its monotonic clock. */
export const markNow = (): string => `${bootId()} ${Math.round(monotonicMs())} monotonic`;

/** Milliseconds since then; null where the machine was booted since. A mark without the clock's name is of before: it counts the machine's sleep. */
function sinceMark(mark: string): number | null {
  const [of, at, clock] = mark.split(" ");
  const now = clock === "monotonic" ? monotonicMs() : uptime() * 1000;
  return of === bootId() ? Math.max(0, now - Number(at)) : null;
}

/**
 * How long ago something began, in milliseconds, by the monotonic clock: a wall clock that steps changes nothing. What began
 * in an earlier process is placed by its mark; without one of this boot (of a database from before there were marks) once by the
 * gateway's time and `startedAt`, ISO, and is null until that is sure.
 */
export function createElapsed(clock: Clock, startedAt: string | null, mark: string | null): () => number | null {
  const markedMs = mark === null ? null : sinceMark(mark);
  let origin = startedAt === null ? performance.now() : markedMs === null ? null : performance.now() - markedMs;
  return () => {
    if (origin === null && clock.isSure())
      origin = performance.now() - Math.max(0, clock.now() - Date.parse(startedAt!));
    return origin === null ? null : performance.now() - origin;
  };
}
