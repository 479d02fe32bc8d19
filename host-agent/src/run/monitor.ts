/**
 * Watches one begun run until it is over: its exit code, its processes, its container, its limits. Says what it saw and
 * settles nothing. A closed stream or a missing event proves nothing here; only files and processes do.
 */
import { watch } from "node:fs";
import { messageOf } from "@berth/shared/log";
import { sleep } from "@berth/shared/wait";
import { readOomKills } from "../machine/cgroup.ts";
import { isEnding, isWithout } from "../machine/processes.ts";
import type { HostContext } from "../context/context.ts";
import type { Latch } from "../context/wait.ts";
import { nextOfRun, type Over, type RunFacts } from "./decide.ts";
import type { LinesReader } from "./lines-reader.ts";
import { runtimes } from "../workspace/runtimes.ts";
import type { AgentRow, RunRow } from "../store/rows.ts";
import type { Store } from "../store/store.ts";
import { logSizes, readExit, runDirectory } from "./run-files.ts";
import type { Volume } from "../workspace/volume.ts";
import { inRunOf } from "../store/uids.ts";
import type { RunningContainer } from "../workspace/container.ts";

export interface MonitorDeps {
  context: HostContext;
  store: Store;
  countKills: () => void;
}
export interface Watched {
  run: RunRow;
  agent: AgentRow;
  container: RunningContainer;
  /** Milliseconds since it began; null while that is not known. */
  elapsedMs: () => number | null;
  lines: LinesReader;
}

const startTimeoutMs = 60_000;
const lingerMs = 30_000;
/** Between two looks at a busy run; readers of its output do not wait for this. */
const pauseMs = 20;

/** Resolves once the run is over or an intent says it shall be. `wake` is set by whoever sets an intent. */
export async function monitor(deps: MonitorDeps, watched: Watched, wake: Latch): Promise<Over> {
  const { context, store, countKills } = deps;
  const { run, agent, container, lines } = watched;
  const { seen } = lines;
  const runtime = runtimes[agent.runtime];
  const limits = {
    logBytes: context.settings.BERTH_LOG_BYTES,
    timeoutMs: context.settings.BERTH_RUN_TIMEOUT_SECONDS * 1000,
    startTimeoutMs: runtime.answersSoon ? startTimeoutMs : null,
    lingerMs,
  };
  let idleSince: number | null = null;
  let kills = readOomKills(container.cgroup) ?? 0;
  let logBytes = 0;
  const closeWatcher = watchFiles(deps, container.volume, run.id, wake);
  try {
    for (;;) {
      // What its lines tell never keeps a run from its end.
      if (runtime.answersSoon && readExit(container.volume, run.id).code === null) if (await lines.read()) wake.set();
      idleSince = seen.result && !seen.isInTurn && seen.backgroundTasks === 0 ? (idleSince ?? performance.now()) : null;
      const killsNow = readOomKills(container.cgroup) ?? kills;
      if (killsNow !== kills) countKills();
      kills = killsNow;
      const facts = look(deps, watched, idleSince);
      if (facts.logBytes !== logBytes) context.bus.emit(`run:${run.id}`);
      logBytes = facts.logBytes;
      const next = nextOfRun(facts, limits);
      if (next === "lookAtInit")
        return { exitCode: facts.exit.code, isContainerLost: await hasContainerEnded(container), hasLingered: false };
      if (next === "wait") {
        if (await wake.next(1000)) await sleep(pauseMs);
      } else if ("over" in next) return next.over;
      else store.intend(run.id, next.intend);
    }
  } finally {
    closeWatcher();
  }
}

/** The exit file last: who has no process any more has written it, if ever. */
function look({ store }: MonitorDeps, { run, agent, container, elapsedMs, lines }: Watched, idleSince: number | null) {
  const { out, err } = logSizes(container.volume, run.id);
  const facts: Omit<RunFacts, "exit"> = {
    intent: store.getRun(run.id)!.intent,
    logBytes: out + err,
    isInitEnding: isEnding(container.init),
    hasProcesses: !isWithout(container.cgroup, inRunOf(agent.uid)),
    elapsedMs: elapsedMs(),
    idleMs: idleSince === null ? null : performance.now() - idleSince,
    hasStarted: lines.seen.hasStarted,
  };
  return { ...facts, exit: readExit(container.volume, run.id) };
}

/** Wakes at each write to the run's files. Where the kernel has no watch left, the loop's own look each second is all. */
function watchFiles({ context }: MonitorDeps, volume: Volume, runId: string, wake: Latch): () => void {
  try {
    const watcher = watch(runDirectory(volume, runId), (_event, name) => {
      if (name === "out") context.bus.emit(`run:${runId}`);
      wake.set();
    });
    watcher.on("error", () => watcher.close());
    return () => watcher.close();
  } catch (error) {
    context.log.warn("run.not_watched", { runId, error: messageOf(error) });
    return () => {};
  }
}

/** Whether the container is gone or goes now: its init is the last to end, within a moment of the others. */
async function hasContainerEnded(container: RunningContainer): Promise<boolean> {
  for (let look = 0; look < 20; look++) {
    if (isEnding(container.init)) return true;
    await sleep(10);
  }
  return false;
}
