import type { ReportedWorkspace } from "@berth/shared/host-api";
import { describeWorkspace } from "@berth/shared/resources";
import { parseSettings } from "@berth/shared/settings";
import { expect, test } from "vitest";
import { createWorkspaceNews } from "./workspace-news.ts";

const absent = describeWorkspace(parseSettings({}), "hst_a");
const names = ["usr_a", "usr_b", "usr_c"];
const all = (changes: Record<string, Partial<ReportedWorkspace>> = {}): ReportedWorkspace[] =>
  names.map((userId) => ({ ...absent, userId, ...changes[userId] }));
const sampled = { memory: { ...absent.memory, usedBytes: 7 }, sampledAt: new Date(0).toISOString() };

function start() {
  const clock = { ms: 0 };
  const news = createWorkspaceNews(() => clock.ms);
  /** Whom the next report tells of, and the gateway takes. */
  const tell = (workspaces: ReportedWorkspace[]) => {
    const { workspaces: told, taken } = news.of(workspaces);
    taken();
    return told.map(({ userId }) => userId);
  };
  return { news, clock, tell };
}

test("the first report tells of each workspace, the next of none, whatever was sampled meanwhile", () => {
  const { tell } = start();
  expect(tell(all())).toEqual(names);
  expect(tell(all())).toEqual([]);
  expect(tell(all({ usr_a: sampled, usr_b: sampled }))).toEqual([]);
});

test("what changed is told, and nothing beside it", () => {
  const { tell } = start();
  tell(all());
  const busy = { usr_b: { status: "running", activeRuns: 1 } as const };
  expect(tell(all(busy))).toEqual(["usr_b"]);
  expect(tell(all(busy))).toEqual([]);
  const warned = { usr_c: { memory: { ...absent.memory, warning: true } } };
  expect(tell(all({ ...busy, ...warned }))).toEqual(["usr_c"]);
});

test("what the gateway did not take is told again", () => {
  const { news, tell } = start();
  tell(all());
  const busy = all({ usr_a: { activeRuns: 1 } });
  expect(news.of(busy).workspaces).toHaveLength(1);
  expect(tell(busy)).toEqual(["usr_a"]);
});

test("each is told again after a minute, and all once that is asked for", () => {
  const { news, clock, tell } = start();
  tell(all());
  clock.ms = 59_999;
  expect(tell(all({ usr_a: { activeRuns: 1 } }))).toEqual(["usr_a"]);
  clock.ms = 60_000;
  expect(tell(all({ usr_a: { activeRuns: 1 } }))).toEqual(["usr_b", "usr_c"]);
  news.forget();
  expect(tell(all())).toEqual(names);
});
