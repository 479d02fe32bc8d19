/** A time as seen from now, exact on hover; all of them move together, and only those whose words change are drawn. */
import { computed, signal, useComputed } from "@preact/signals";
import { ahead } from "../text/clock.ts";
import { formatAgo, formatTime } from "../text/format.ts";

const tick = signal(Date.now());
setInterval(() => document.visibilityState === "visible" && (tick.value = Date.now()), 1000);
document.addEventListener("visibilitychange", () => (tick.value = Date.now()));
/** Milliseconds since 1970 by the gateway's clock, each second while the page is looked at. */
export const now = computed(() => tick.value + ahead.value);
/** The same each minute: what is long ago is told in hours and days, and there may be ten thousand of it. */
const minute = computed(() => Math.floor(now.value / 60_000) * 60_000);
const longMs = 2 * 3_600_000;

export function Ago({ time }: { time: string }) {
  return <Seen time={time} isPast />;
}

/** As `Ago`, for times to come. */
export function Until({ time }: { time: string }) {
  return <Seen time={time} isPast={false} />;
}

function Seen({ time, isPast }: { time: string; isPast: boolean }) {
  // Clocks differ: what has happened is not to come.
  const at = Date.parse(time);
  const words = useComputed(() => {
    const seen = (Math.abs(at - now.peek()) > longMs ? minute : now).value;
    return formatAgo(time, isPast ? Math.max(seen, at) : seen);
  });
  return (
    <time dateTime={time} title={formatTime(time)}>
      {words}
    </time>
  );
}
