/** A time as seen from now, exact on hover; all of them move together. */
import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { formatAgo, formatTime } from "../text/format.ts";

/** Milliseconds since 1970, each 10 s. */
export const now = signal(Date.now());
setInterval(() => (now.value = Date.now()), 10_000);

/** As `now`, each second, for what goes on. */
export function useSecond(): number {
  const [second, setSecond] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setSecond(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return second;
}

export function Ago({ time }: { time: string }) {
  return (
    <time dateTime={time} title={formatTime(time)}>
      {formatAgo(time, Math.max(now.value, Date.parse(time)))}
    </time>
  );
}

/** As `Ago`, for times to come. */
export function Until({ time }: { time: string }) {
  return (
    <time dateTime={time} title={formatTime(time)}>
      {formatAgo(time, now.value)}
    </time>
  );
}
