/** Numbers and times as people of the page's language write them. */
import { language } from "../i18n/language.ts";

const numberFormats = new Map<string, Intl.NumberFormat>();

function format(value: number, options: Intl.NumberFormatOptions): string {
  const key = language() + JSON.stringify(options);
  const made = numberFormats.get(key) ?? new Intl.NumberFormat(language(), options);
  numberFormats.set(key, made);
  return made.format(value);
}

const byteUnits = ["kilobyte", "megabyte", "gigabyte", "terabyte"];

/** Bytes, decimal units alone: 512 B, 78 MB, 1.07 GB. */
export function formatBytes(bytes: number): string {
  let power = 0;
  while (power < byteUnits.length && bytes >= 999.5 * 1000 ** power) power++;
  const value = bytes / 1000 ** power;
  const unit = byteUnits[Math.max(0, power - 1)]!;
  const maximumFractionDigits = power > 0 && value < 10 ? 2 : 0;
  const text = format(value, { style: "unit", unit, unitDisplay: "short", maximumFractionDigits });
  return power === 0 ? text.replace("kB", "B") : text;
}

const inUnit = (value: number, unit: string, maximumFractionDigits = 0) =>
  format(value, { style: "unit", unit, unitDisplay: "narrow", maximumFractionDigits });

/** Milliseconds: 40ms, 1.4s, 12s, 3m 5s, 2h 10m 7s. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 1) return inUnit(seconds * 1000, "millisecond");
  if (seconds < 9.95) return inUnit(seconds, "second", 1);
  const whole = Math.round(seconds);
  if (whole < 60) return inUnit(whole, "second");
  const minutes = Math.floor(whole / 60);
  const rest = `${inUnit(minutes % 60, "minute")} ${inUnit(whole % 60, "second")}`;
  return minutes < 60 ? rest : `${inUnit(Math.floor(minutes / 60), "hour")} ${rest}`;
}

/** US dollars: $0.00, $0.0034, $1.20. */
export function formatCost(usd: number): string {
  const digits = usd > 0 && usd < 0.01 ? { maximumSignificantDigits: 2 } : {};
  return format(usd, { style: "currency", currency: "USD", currencyDisplay: "narrowSymbol", ...digits });
}

export const formatCount = (value: number) => format(value, { maximumFractionDigits: 0 });
/** A part of one: 12%. */
export const formatPart = (value: number) => format(value, { style: "percent" });

const timeFormats = new Map<string, Intl.DateTimeFormat>();
const agoFormats = new Map<string, Intl.RelativeTimeFormat>();
const steps: [unit: Intl.RelativeTimeFormatUnit, seconds: number][] = [
  ["year", 31_556_952],
  ["month", 2_629_746],
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
];

/** An ISO time seen from `now` (milliseconds since 1970), in whole units that have passed: now, 12 seconds ago, in 3 days. */
export function formatAgo(iso: string, now: number): string {
  const seconds = Math.trunc((Date.parse(iso) - now) / 1000);
  const [unit, size] = steps.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
  const numeric = unit === "second" ? "auto" : "always";
  const key = language() + numeric;
  const made = agoFormats.get(key) ?? new Intl.RelativeTimeFormat(language(), { numeric });
  agoFormats.set(key, made);
  return made.format(Math.trunc(seconds / size) || 0, unit);
}

/** An ISO time to the second, where the reader is. */
export function formatTime(iso: string): string {
  const made =
    timeFormats.get(language()) ?? new Intl.DateTimeFormat(language(), { dateStyle: "medium", timeStyle: "medium" });
  timeFormats.set(language(), made);
  return made.format(new Date(iso));
}
