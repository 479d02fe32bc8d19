/** The run that ended last while nobody looked at this page: for its title and icon. */
import { signal } from "@preact/signals";
import type { Run } from "@berth/shared/resources";
import { activeRuns, runs } from "./live.ts";

export const endedUnseen = signal<Run | null>(null);

let before: Run[] = [];
activeRuns.subscribe((now) => {
  const isHidden = document.visibilityState === "hidden";
  for (const { id } of isHidden ? before : []) {
    const run = runs.value.get(id);
    if (run?.endedAt) endedUnseen.value = run;
  }
  before = now;
});
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") endedUnseen.value = null;
});
