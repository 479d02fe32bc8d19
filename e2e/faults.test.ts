import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runCampaign } from "./faults/campaign.ts";

test(
  "nothing is lost, doubled or left behind by faults at random moments under load",
  { timeout: 900_000 },
  async () => {
    const told: string[] = [];
    const dir = mkdtempSync(join(tmpdir(), "berth-history-"));
    const outcome = await runCampaign({
      seed: 11,
      ms: 40_000,
      hosts: 3,
      file: join(dir, "history.ndjson"),
      tell: (line) => told.push(line),
    });
    const wrong = outcome.verdicts.flatMap(({ wrong }) => wrong);
    // The history of one that failed is kept.
    expect({ wrong, told: wrong.length > 0 ? told : [] }).toEqual({ wrong: [], told: [] });
    rmSync(dir, { recursive: true });
    expect(outcome.runs).toBeGreaterThan(10);
    expect(Object.values(outcome.faults).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(1);
    // No rule looked at nothing, but for those of what was not there.
    const idle = outcome.verdicts.filter(({ checked }) => checked === 0).map(({ rule }) => rule);
    expect(idle.filter((rule) => !["driverSawNothing", "deletedAgentsAreGone"].includes(rule))).toEqual([]);
    // Nor did one excuse most of it, but for what a full disk may have taken of a campaign this short.
    const lenient = outcome.verdicts.filter(({ checked, excused = 0 }) => excused > checked).map(({ rule }) => rule);
    if (!("host's disk full" in outcome.faults)) expect(lenient).toEqual([]);
  },
);
