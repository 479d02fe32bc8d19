/** A time as seen from now, exact on hover; all of them move together, and only those whose words change are drawn. */
import { signal, useComputed } from "@preact/signals";
import { formatAgo, formatTime } from "../text/format.ts";

/** Milliseconds since 1970, each second while the page is looked at. */
export const now = signal(Date.now());
setInterval(() => document.visibilityState === "visible" && (now.value = Date.now()), 1000);
document.addEventListener("visibilitychange", () => (now.value = Date.now()));

export function Ago({ time }: { time: string }) {
  return <Seen time={time} isPast />;
}

/** As `Ago`, for times to come. */
export function Until({ time }: { time: string }) {
  return <Seen time={time} isPast={false} />;
}

function Seen({ time, isPast }: { time: string; isPast: boolean }) {
  // Clocks differ: what has happened is not to come.
  const words = useComputed(() => formatAgo(time, isPast ? Math.max(now.value, Date.parse(time)) : now.value));
  return (
    <time dateTime={time} title={formatTime(time)}>
      {words}
    </time>
  );
}
