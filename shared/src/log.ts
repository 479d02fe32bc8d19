/** Logs: one JSON object a line, fixed event names, facts as fields. Never bodies, headers, tokens, prompts or terminal bytes. */

export type LogFields = Record<string, string | number | boolean | null | undefined>;
/** info = state changed, warn = will retry, error = a person must act. */
export interface Log {
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
}

/** Rate limit (token bucket) of each event: a log file has an end, and whoever can fill it with one event loses all others. */
const [mostAtOnce, perSecond] = [1000, 50];

interface Bucket {
  tokens: number;
  filledAt: number;
  leftOut: number;
}

/** A log that gives each line to `write`; where lines of an event were left out, the next one tells how many (`leftOut`). */
export function createLog(write: (line: string) => void, now: () => number = Date.now): Log {
  const buckets = new Map<string, Bucket>();
  function take(event: string): Bucket | null {
    const at = now();
    const { tokens, filledAt, leftOut } = buckets.get(event) ?? { tokens: mostAtOnce, filledAt: at, leftOut: 0 };
    const filled = Math.min(mostAtOnce, tokens + (Math.max(0, at - filledAt) / 1000) * perSecond);
    const isFull = filled >= 1;
    const bucket = { tokens: isFull ? filled - 1 : filled, filledAt: at, leftOut: isFull ? 0 : leftOut + 1 };
    buckets.set(event, bucket);
    return isFull ? { ...bucket, leftOut } : null;
  }
  const line =
    (level: string) =>
    (event: string, fields: LogFields = {}) => {
      const taken = take(event);
      if (!taken) return;
      const leftOut = taken.leftOut > 0 ? { leftOut: taken.leftOut } : {};
      write(JSON.stringify({ at: new Date(now()).toISOString(), level, event, ...fields, ...leftOut }));
    };
  return { info: line("info"), warn: line("warn"), error: line("error") };
}

/** The message of anything thrown, for a log field. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // A query's error also tells the values it was given, which no log may have; its reason is the cause, and so is that of a failed `fetch`.
  const [text = ""] = error.message.split("\nparams: ");
  const isToldByCause = text !== error.message || text === "fetch failed";
  return isToldByCause && error.cause instanceof Error ? `${text}: ${reasonOf(error.cause)}` : text;
}

/** Of several addresses that were tried there is a code alone. */
const reasonOf = (cause: Error) => cause.message || ("code" in cause ? String(cause.code) : cause.name);

/** Where it was thrown, innermost first; without the message, which `messageOf` makes fit for a log. */
export function stackOf(error: unknown): string {
  const { message = "", stack = "" } = error instanceof Error ? error : {};
  const at = stack.indexOf(message);
  return at < 0
    ? ""
    : stack
        .slice(at + message.length)
        .split("\n    at ")
        .slice(1)
        .join(" < ");
}
