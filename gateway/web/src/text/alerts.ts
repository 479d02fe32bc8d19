/** What an admin is told of a user's last hour, and what to do about it. */
import type { Alert } from "@berth/shared/host-api";
import { t } from "../i18n/language.ts";

export function tellAlert({ kind, count }: Alert): string {
  const words = t().hosts;
  if (kind === "unended") return words.unended;
  return words.withinAnHour(kind === "run_limit" ? words.tooManyRuns : t().states.ends[kind][0], count);
}
