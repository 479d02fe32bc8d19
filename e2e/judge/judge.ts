/** Judges a whole history after the fact. Shares no code with the product, nor with the program that made the history. */
import { readFileSync } from "node:fs";
import { endRules } from "./ends.ts";
import type { HistoryEvent } from "./events.ts";
import { growthRules } from "./growth.ts";
import { createHistory } from "./history.ts";
import { machineRules } from "./machines.ts";
import { outputRules } from "./output.ts";
import type { Judged } from "./rule.ts";

export const rules = { ...endRules, ...outputRules, ...machineRules, ...growthRules };
export type RuleName = keyof typeof rules;

export type Verdict = Judged & { rule: RuleName; says: string };

export function judge(events: HistoryEvent[]): Verdict[] {
  const history = createHistory(events);
  return Object.entries(rules).map(([rule, { says, judge }]) => ({ rule: rule as RuleName, says, ...judge(history) }));
}

/** A history as it was written: one event a line. The last line may be cut off. */
export function readHistory(file: string): HistoryEvent[] {
  const lines = readFileSync(file, "utf8").split("\n").slice(0, -1);
  return lines.map((line) => JSON.parse(line) as HistoryEvent);
}
