import { beforeEach, expect, test } from "vitest";
import type { Run } from "@berth/shared/resources";
import { noteRuns, runs, stopLive } from "./live.ts";

const times = { pending: [null, null], starting: [null, null], running: ["1", null], completed: ["1", "2"] } as const;
const run = (status: keyof typeof times) =>
  ({ id: "run_1", agentId: "agt_1", status, startedAt: times[status][0], endedAt: times[status][1] }) as Run;
const statuses = Object.keys(times) as (keyof typeof times)[];

beforeEach(stopLive);

test("a run goes forward alone, whichever of answers and frames comes last", () => {
  for (const [at, first] of statuses.entries())
    for (const [then, second] of statuses.entries()) {
      stopLive();
      noteRuns([run(first)]);
      noteRuns([run(second)]);
      expect([first, second, runs.value.get("run_1")?.status]).toEqual([first, second, at > then ? first : second]);
    }
});
