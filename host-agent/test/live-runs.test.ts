/** What a run comes to where disk, files or another run's spending are in the way. */
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { takeUp } from "../src/inside/take-up.ts";
import { openLiveRuns, userId } from "./live-runs.ts";

let host: ReturnType<typeof openLiveRuns>;
afterEach(() => host.close());

const ended = (runId: string) =>
  vi.waitFor(
    () => {
      const run = host.store.getRun(runId)!;
      expect(run.endedAt).not.toBeNull();
      return run;
    },
    { timeout: 30_000, interval: 20 },
  );
const noSpace = () => Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });

test("a run that goes on while the machine's own disk is full is looked for again, and ends as it ends", async () => {
  let looks = 0;
  // As where it is taken up and files of its sockets are to be written, which lie on the machine's disk.
  const find = async () => {
    if (looks++ < 2) throw noSpace();
    return host.container;
  };
  host = openLiveRuns({ workspaces: { find } });
  host.leave("run_a", { exit: "\nbegun\n0\n" });
  host.runs.resume();
  expect(await ended("run_a")).toMatchObject({ reason: "completed", exitCode: 0 });
});

test("a run whose disk is full to its last block before it begins ends as that, and leaves no process", async () => {
  host = openLiveRuns({ isDisk: true });
  // It waited for its message, and was claimed: what it is told does not fit.
  const claimed = { isBegun: false, runtime: "claude", prompt: "x".repeat(20_000) };
  host.leave("run_a", { exit: "\nahead\n", in: "" }, claimed);
  const child = host.startProcess("run_a");
  host.fill();
  host.runs.resume();
  expect(await ended("run_a")).toMatchObject({ reason: "disk_full", exitCode: null });
  await vi.waitFor(() => expect(child.signalCode).not.toBeNull());
});

test("a day that is spent ends what has not begun, and nothing that an earlier host agent left running or done", async () => {
  host = openLiveRuns({ settings: { BERTH_DAILY_BUDGET_USD: 3 } });
  host.leave("run_spender", { exit: "\nbegun\n0\n" });
  host.spend("run_spender", 4);
  host.leave("run_done", { exit: "\nbegun\n0\n" });
  // Its begin is in its files alone.
  host.leave("run_begun", { exit: "\nbegun\n0\n" }, { isBegun: false });
  host.runs.resume();
  for (const runId of ["run_spender", "run_done", "run_begun"])
    expect(await ended(runId)).toMatchObject({ reason: "completed", exitCode: 0 });
  host.leave("run_new", { exit: "\n" }, { isBegun: false });
  host.runs.resume();
  expect(await ended("run_new")).toMatchObject({ reason: "budget_reached" });
});

/** Twenty times as quick as it would be. */
function hurry(): void {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const pump = setInterval(() => vi.advanceTimersByTime(100), 5);
  onTestFinished(() => {
    clearInterval(pump);
    vi.useRealTimers();
  });
}

describe("a file of a run that cannot be read, now and later, neither ends it nor keeps it from its end:", () => {
  test.each([
    ["end", { reason: "completed", exitCode: 0 }],
    ["ends", { reason: "completed", exitCode: 0 }],
    ["out", { reason: "completed", exitCode: 0 }],
    ["container", { reason: "completed", exitCode: 0 }],
    // It has no process, and whether it said a code nobody can tell.
    ["exit", { reason: "nonzero_exit", exitCode: null }],
  ])("%s", async (name, end) => {
    host = openLiveRuns();
    host.leave("run_a", { exit: "\nbegun\n0\n" });
    host.spoil("run_a", name);
    hurry();
    host.runs.resume();
    expect(await ended("run_a")).toMatchObject(end);
  });

  test("exit, of a run that goes on: it ends when its user says so", async () => {
    host = openLiveRuns();
    host.leave("run_a", { exit: "\nbegun\n" });
    const child = host.startProcess("run_a");
    host.spoil("run_a", "exit");
    hurry();
    host.runs.resume();
    await vi.waitFor(() => expect(host.told("run.end_incomplete")).toHaveLength(1), { timeout: 30_000 });
    expect([host.store.getRun("run_a")!.endedAt, child.signalCode]).toEqual([null, null]);
    expect(await host.runs.cancel(userId, "run_a")).toMatchObject({ reason: "cancelled" });
  });

  test("in, of a CLI that waited and was claimed: it is never told its message, and goes", async () => {
    host = openLiveRuns({ engine: { inspectExec: async () => ({ running: true, exitCode: null, pid: 9 }) } });
    host.leave("run_a", { exit: "\nahead\n", in: "" }, { isBegun: false, runtime: "claude" });
    const child = host.startProcess("run_a");
    host.spoil("run_a", "in");
    vi.useFakeTimers({ toFake: ["performance"] });
    onTestFinished(() => void vi.useRealTimers());
    host.runs.resume();
    await vi.waitFor(() => expect(host.told("run.start_retry").length).toBeGreaterThan(0), { timeout: 30_000 });
    vi.advanceTimersByTime(61_000);
    expect(await ended("run_a")).toMatchObject({ reason: "start_timeout" });
    await vi.waitFor(() => expect(child.signalCode).not.toBeNull());
  });
});

test("a container with a run whose exit cannot be read is taken up, and the run is left in peace", async () => {
  host = openLiveRuns();
  host.leave("run_a", { exit: "\nbegun\n" });
  const child = host.startProcess("run_a");
  host.spoil("run_a", "exit");
  await takeUp(host.deps, userId, host.container, false);
  expect(child.signalCode).toBeNull();
});

test("a CLI whose lines cannot be read is watched on, and that is said once", async () => {
  host = openLiveRuns();
  host.leave("run_a", { exit: "\nbegun\n" }, { runtime: "claude" });
  host.startProcess("run_a");
  host.spoil("run_a", "out");
  host.runs.resume();
  await vi.waitFor(() => expect(host.told("run.lines_unread")).toHaveLength(1), { timeout: 30_000 });
  host.write("run_a", "exit", "\nbegun\n0\n");
  expect(await ended("run_a")).toMatchObject({ reason: "completed", exitCode: 0 });
  expect([host.told("run.lines_unread").length, host.told("run.retry")]).toEqual([1, []]);
});

describe("a process that the engine has not got yet is no process of the run's:", () => {
  /** An engine that says this of the exec at each look, the last for good, and this to each call for its start. */
  function open(looks: object[], starts: string[]) {
    const next = <T>(all: T[]) => (all.length > 1 ? all.shift()! : all[0]!);
    const start = vi.fn(async () => next(starts) as "started");
    host = openLiveRuns({ engine: { inspectExec: async () => next(looks) as never, startExec: start } });
    host.leave("run_a", { exit: "\n" }, { isBegun: false });
    host.runs.resume();
    return start;
  }
  const made = { running: false, exitCode: null, pid: 0 };
  const coming = { running: true, exitCode: null, pid: 0 };

  test("one that it is starting, and then could not start, is started anew", async () => {
    const failed = { running: false, exitCode: 126, pid: 0 };
    const start = open([coming, coming, failed], ["started"]);
    await vi.waitFor(() => expect(start).toHaveBeenCalledTimes(1), { timeout: 30_000 });
    expect(host.told("run.start_retry").length).toBeGreaterThan(0);
  });

  test("one that it refuses to start now is started later", async () => {
    const start = open([made], ["already", "already", "started"]);
    await vi.waitFor(() => expect(start).toHaveBeenCalledTimes(3), { timeout: 30_000 });
    expect(host.told("run.start_retry").length).toBe(2);
  });

  test("one that was started by an earlier call is not started again", async () => {
    const start = open([made, { running: true, exitCode: null, pid: 1 }], ["already"]);
    await vi.waitFor(() => expect(host.store.getRun("run_a")!.startedAt).not.toBeNull(), { timeout: 30_000 });
    expect(start).toHaveBeenCalledTimes(1);
  });
});
