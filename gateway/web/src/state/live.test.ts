import { beforeEach, expect, test } from "vitest";
import type { Run } from "@berth/shared/resources";
import { connection, noteRuns, runs, stopLive } from "./live.ts";

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

test("what a run asks is as the socket told it last, while that is open, whatever answer comes late", () => {
  const asks = (requestId: string | null) =>
    ({ ...run("running"), waitingFor: requestId && { kind: "permission", requestId } }) as Run;
  const asked = () => runs.value.get("run_1")?.waitingFor?.requestId ?? null;
  connection.value = { kind: "open" };
  noteRuns([asks("first")], true);
  noteRuns([asks("second")], true);
  noteRuns([asks(null)]);
  expect(asked()).toBe("second");
  noteRuns([{ ...run("completed"), waitingFor: null }]);
  expect(asked()).toBe(null);

  stopLive();
  connection.value = { kind: "lost", why: "gateway" };
  noteRuns([asks("first")], true);
  noteRuns([asks("second")]);
  expect(asked()).toBe("second");
});
