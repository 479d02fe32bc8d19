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

interface AgoProps {
  time: string;
  isToCome?: boolean;
}

export function Ago({ time, isToCome = false }: AgoProps) {
  const at = Date.parse(time);
  const words = useComputed(() => {
    const seen = (Math.abs(at - now.peek()) > longMs ? minute : now).value;
    // Clocks differ: what has happened is not to come.
    return formatAgo(time, isToCome ? seen : Math.max(seen, at));
  });
  return (
    <time dateTime={time} title={formatTime(time)}>
      {words}
    </time>
  );
}
