/** What a run comes to where disk, files or another run's spending are in the way. */
import { afterEach, expect, test, vi } from "vitest";
import { openLiveRuns } from "./live-runs.ts";

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
