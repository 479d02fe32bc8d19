import { expect, test } from "vitest";
import { runCampaign } from "./faults/campaign.ts";

test(
  "nothing is lost, doubled or left behind by faults at random moments under load",
  { timeout: 900_000 },
  async () => {
    const told: string[] = [];
    const outcome = await runCampaign({ seed: 11, ms: 40_000, hosts: 3, tell: (line) => told.push(line) });
    expect({ wrong: outcome.wrong, told: outcome.wrong.length > 0 ? told : [] }).toEqual({ wrong: [], told: [] });
    expect(outcome.runs).toBeGreaterThan(10);
    expect(Object.values(outcome.faults).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(1);
  },
);
