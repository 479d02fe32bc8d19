import Database from "better-sqlite3";
import { tmpdir } from "node:os";
import { expect, onTestFinished, test, vi } from "vitest";
import { createLog } from "@berth/shared/log";
import { parseSettings } from "@berth/shared/settings";
import { createAlerts } from "../context/alerts.ts";
import { createBus } from "../context/bus.ts";
import { createClock } from "../context/clock.ts";
import type { HostContext } from "../context/context.ts";
import { Store } from "../store/store.ts";
import { isRolledBack, Reports } from "./reports.ts";
import { inMemory } from "../../test/memory.ts";
import { type ReportBody, unseenAgent } from "@berth/shared/host-api";
import { threeRuns } from "../../test/room.ts";

const spec = { ...unseenAgent("agt_a"), version: 1, name: "a" };
/** Starts a host on the database as this image has it; answers its store and how to take the next image. */
function start(image?: Buffer) {
  const db = new Database(image);
  return { store: new Store(inMemory(db), Date.now), image: () => db.serialize() };
}
const change = ({ store }: ReturnType<typeof start>) => void store.setEnv("agt_a", { AT: String(store.revision()) });
/** What the gateway holds after it was told all. */
const ackOf = ({ store }: ReturnType<typeof start>) => ({
  ack: { epoch: store.epoch, rev: store.changedSince(0, 1e6).rev },
  heldRuns: [] as string[],
});

test("an older copy is known for one, in whichever start it was taken and in whichever it is put back", () => {
  const first = start();
  first.store.learnAgent("usr_u", spec, null);
  const copies = [first.image()];
  change(first);
  let [last, ack] = [first, ackOf(first)];
  for (let count = 0; count < 3; count++) {
    const next = start(last.image());
    for (const copy of copies) expect(isRolledBack(start(copy).store, false, ack)).toBe(true);
    // The database itself, started anew, is no older copy: also when a change found no row and took no revision.
    expect(isRolledBack(next.store, false, ack)).toBe(false);
    copies.push(next.image());
    change(next);
    expect(next.store.updateRun("run_none", {})).toBeNull();
    [last, ack] = [next, ackOf(next)];
    expect(isRolledBack(next.store, true, ack)).toBe(false);
    expect(isRolledBack(start(next.image()).store, false, ack)).toBe(false);
  }
});

test("an older copy is known by a run that the gateway has from the answer to its start alone", () => {
  const first = start();
  first.store.learnAgent("usr_u", spec, null);
  const answer = ackOf(first);
  const copy = first.image();
  const trigger = { kind: "api", triggerId: null } as const;
  const run = { id: "run_a", agentId: "agt_a", userId: "usr_u", trigger, prompt: "p", payload: null };
  first.store.admit(run, threeRuns, true);
  expect(isRolledBack(start(first.image()).store, false, { ...answer, heldRuns: ["run_a"] })).toBe(false);
  expect(isRolledBack(start(copy).store, false, { ...answer, heldRuns: ["run_a"] })).toBe(true);
  expect(isRolledBack(start(copy).store, true, { ...answer, heldRuns: ["run_a"] })).toBe(true);
});

/** Hosts that report to a gateway which answers as `answer` says; the times of all reports, in milliseconds since they began. */
function reportTo(answer: (body: ReportBody) => Response, count = 1, bus = createBus()): number[] {
  vi.useFakeTimers();
  const ending = new AbortController();
  const times: number[] = [];
  const startedAt = Date.now();
  vi.stubGlobal("fetch", async (_url: string, { body }: { body: string }) => {
    times.push(Date.now() - startedAt);
    return answer(JSON.parse(body) as ReportBody);
  });
  onTestFinished(() => {
    ending.abort();
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });
  const { store } = start();
  const log = createLog(() => {});
  const alerts = createAlerts(Date.now);
  const context = {
    settings: parseSettings({}),
    dataDir: tmpdir(),
    clock: createClock(),
    bus,
    log,
    alerts,
  };
  for (let at = 0; at < count; at++) {
    const reports = new Reports({
      context: context as Partial<HostContext> as HostContext,
      identity: { hostId: "hst_a", issuer: "", gatewayUrl: "http://localhost", sign: async () => "" },
      store,
      workspaces: { views: () => [], count: () => 0, problem: null },
      isDemo: true,
      version: "test",
      hasUser: () => false,
      onAnswer: () => {},
      onRemoved: () => {},
    });
    void reports.run(ending.signal);
  }
  return times;
}

test("a host that is asked to wait does, but never for so long that it is taken for down", async () => {
  const asked = ["3", "3600", null];
  const times = reportTo(() => {
    const after = asked.shift();
    return new Response("", { status: 503, headers: after ? { "retry-after": after } : {} });
  });
  await vi.advanceTimersByTimeAsync(2999);
  expect(times).toEqual([0]);
  await vi.advanceTimersByTimeAsync(501);
  expect(times).toHaveLength(2);
  await vi.advanceTimersByTimeAsync(11_000);
  expect(times.length).toBeGreaterThan(1);
  expect(times[2]! - times[1]!).toBeGreaterThanOrEqual(10_000);
});

test("hosts that lose their gateway together come again at times of their own", async () => {
  const times = reportTo(() => Response.error(), 50);
  await vi.advanceTimersByTimeAsync(500);
  const again = times.slice(50);
  expect(Math.min(...again)).toBeLessThan(150);
  expect(Math.max(...again)).toBeGreaterThan(350);
});

test.each([
  { asked: undefined, gatherMs: 100 },
  { asked: 0, gatherMs: 100 },
  { asked: 2000, gatherMs: 2000 },
  { asked: 3_600_000, gatherMs: 8000 },
])(
  "a host gathers for $gatherMs ms where $asked are asked for, and tells an end at once",
  async ({ asked, gatherMs }) => {
    const bus = createBus();
    const lists = { revokedTokens: [], disabledUsers: [], deletedAgents: [] };
    const times = reportTo(
      ({ epoch, rev, seq }) =>
        Response.json({
          protocol: 3,
          time: new Date().toISOString(),
          ack: { epoch, rev, seq },
          ...lists,
          gatherMs: asked,
        }),
      1,
      bus,
    );
    for (let step = 0; step < 5000; step++) {
      bus.emit("host");
      await vi.advanceTimersByTimeAsync(10);
    }
    const pauses = times.slice(3).map((time, at) => time - times[at + 2]!);
    expect(pauses.length).toBeGreaterThan(1);
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(gatherMs);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(gatherMs + 20);
    await vi.advanceTimersByTimeAsync(20_000);
    // The heartbeat of a host that has nothing to tell.
    expect(times.at(-1)! - times.at(-2)!).toBe(Math.max(5000, gatherMs));
    const told = times.length;
    bus.emit("ended");
    await vi.advanceTimersByTimeAsync(10);
    expect(times.length).toBe(told + 1);
  },
);
