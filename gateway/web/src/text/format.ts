/** Numbers and times as people read them. Pure. */

const number = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const units = ["B", "kB", "MB", "GB", "TB"];
const binaryUnits = ["B", "KiB", "MiB", "GiB", "TiB"];

/** Bytes: 612 MB; a whole number of binary units keeps them: 1 GiB. */
export function formatBytes(bytes: number): string {
  for (const power of [4, 3, 2])
    if (bytes > 0 && bytes % 1024 ** power === 0) return `${bytes / 1024 ** power} ${binaryUnits[power]}`;
  let power = 0;
  while (power < units.length - 1 && bytes >= 999.5 * 1000 ** power) power++;
  const value = bytes / 1000 ** power;
  return `${power > 0 && value < 10 ? value.toFixed(1) : number.format(value)} ${units[power]}`;
}

/** Milliseconds: 40 ms, 1.4 s, 12 s, 3 min 5 s, 2 h 10 min. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** US dollars: $0.00, $0.0034, $1.20. */
export function formatCost(usd: number): string {
  return `$${usd > 0 && usd < 0.01 ? usd.toPrecision(2) : usd.toFixed(2)}`;
}

export const formatCount = (value: number) => number.format(value);

/** `1 run`, `2 runs`. */
export const plural = (count: number, noun: string) => `${number.format(count)} ${noun}${count === 1 ? "" : "s"}`;

/** An ISO time seen from `now` (milliseconds since 1970): just now, 5 min ago, in 3 days. */
export function formatAgo(iso: string, now: number): string {
  const seconds = (now - Date.parse(iso)) / 1000;
  const size = Math.abs(seconds);
  if (size < 45) return seconds >= 0 ? "just now" : "in a moment";
  const [value, unit] = size < 3600 ? [size / 60, "min"] : size < 86_400 ? [size / 3600, "h"] : [size / 86_400, "day"];
  const rounded = Math.max(1, Math.round(value));
  const words = unit === "day" ? plural(rounded, "day") : `${rounded} ${unit}`;
  return seconds >= 0 ? `${words} ago` : `in ${words}`;
}

const fullTime = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "medium" });
export const formatTime = (iso: string) => fullTime.format(new Date(iso));
