/**
 * Watches one begun run until it is over: its exit code, its processes, its container, its limits. Says what it saw and
 * settles nothing. A closed stream or a missing event proves nothing here; only files and processes do.
 */
import { type FSWatcher, watch } from "node:fs";
import { join } from "node:path";
import { messageOf } from "@berth/shared/log";
import { sleep } from "@berth/shared/wait";
import { readOomKills } from "../machine/cgroup.ts";
import { rankByTotal } from "../machine/memory-rank.ts";
import { isEnding, isWithout, lookSeldom } from "../machine/processes.ts";
import type { HostContext } from "../context/context.ts";
import { createLatch, type Latch } from "../context/wait.ts";
import { nextOfRun, type Over, type RunFacts } from "./decide.ts";
import type { LinesReader } from "./lines-reader.ts";
import { runtimes } from "../runtimes/runtimes.ts";
import type { AgentRow, RunRow } from "../store/rows.ts";
import type { Store } from "../store/store.ts";
import { runDirectory, type Traces } from "./run-files.ts";
import { createTurnFollower } from "./turn.ts";
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
  traces: Traces;
}

const startTimeoutMs = 60_000;
const lingerMs = 30_000;
const interruptMs = 5000;
/** Between two looks at a busy run; its end and readers of its output do not wait for this. */
const pauseMs = 20;
/** For so long nothing is watched after a write: the longer, the quicker one follows the other. */
const [leastBlindMs, mostBlindMs] = [1, 20];
/** So many writes to `exit` are told at once: the agent can write to it too. */
const mostExitWrites = 3;

/** Resolves once the run is over or an intent says it shall be. `wake` is set by whoever sets an intent. */
export async function monitor(deps: MonitorDeps, watched: Watched, wake: Latch): Promise<Over> {
  const { context, store, countKills } = deps;
  const { run, agent, container, lines, traces } = watched;
  const { seen } = lines;
  const runtime = runtimes[agent.runtime];
  const limits = {
    logBytes: context.settings.BERTH_LOG_BYTES,
    timeoutMs: context.settings.BERTH_RUN_TIMEOUT_SECONDS * 1000,
    startTimeoutMs: runtime.answersSoon ? startTimeoutMs : null,
    lingerMs,
    interruptMs,
  };
  let idleSince: number | null = null;
  let interruptedSince: number | null = null;
  let kills = readOomKills(container.cgroup) ?? 0;
  let logBytes = 0;
  const isOfRun = inRunOf(agent.uid);
  const raised = new Set<number>();
  const hasProcesses = lookSeldom(() => {
    rankByTotal(container.cgroup, isOfRun, container.limits.memoryBytes, raised);
    return !isWithout(container.cgroup, isOfRun);
  });
  const followTurn = createTurnFollower(deps, { run, agent, volume: container.volume, lines });
  const readOn = createReadOn(context, run.id, lines);
  const hurry = createLatch();
  const closers = [
    watchFiles(deps, container.volume, run.id, wake),
    watchExit(container.volume, run.id, () => [hurry, wake].forEach((latch) => latch.set())),
  ];
  try {
    for (;;) {
      const lookedAt = performance.now();
      // What its lines tell never keeps a run from its end.
      if (runtime.answersSoon && traces.exit().code === null && (await readOn())) wake.set();
      await followTurn();
      const { intent } = store.getRun(run.id)!;
      if (intent === "interrupted") interruptedSince ??= performance.now();
      idleSince = seen.result && !seen.isInTurn && seen.backgroundTasks === 0 ? (idleSince ?? performance.now()) : null;
      const killsNow = readOomKills(container.cgroup) ?? kills;
      if (killsNow !== kills) countKills();
      kills = killsNow;
      const facts = { intent, ...look(watched, hasProcesses, idleSince, interruptedSince) };
      if (facts.logBytes !== logBytes) context.bus.emit(`run:${run.id}`);
      logBytes = facts.logBytes;
      const next = nextOfRun(facts, limits);
      if (next === "lookAtInit")
        return { exitCode: facts.exit.code, isContainerLost: await hasContainerEnded(container), hasLingered: false };
      if (next === "wait") {
        if (await wake.next(1000)) await hurry.next(lookedAt + pauseMs - performance.now());
      } else if ("over" in next) return next.over;
      else store.intend(run.id, next.intend);
    }
  } finally {
    closers.forEach((close) => close());
  }
}

/** Reads on in its lines; true if there is more. Never throws, for what they tell only decorates a run: a failure is logged once until it heals. */
function createReadOn({ log }: HostContext, runId: string, lines: LinesReader): () => Promise<boolean> {
  let isWell = true;
  return async () => {
    try {
      const isMore = await lines.read();
      isWell = true;
      return isMore;
    } catch (error) {
      if (isWell) log.warn("run.lines_unread", { runId, error: messageOf(error) });
      isWell = false;
      return false;
    }
  };
}

/** The exit file after the processes: who has none any more has written it, if ever. And then the log: who has written that has said all. */
function look(
  { container, elapsedMs, lines, traces }: Watched,
  hasProcesses: () => boolean,
  idleSince: number | null,
  interruptedSince: number | null,
) {
  const facts: Omit<RunFacts, "intent" | "exit" | "logBytes"> = {
    interruptedMs: interruptedSince === null ? 0 : performance.now() - interruptedSince,
    isInitEnding: isEnding(container.init),
    hasProcesses: hasProcesses(),
    elapsedMs: elapsedMs(),
    idleMs: idleSince === null ? null : performance.now() - idleSince,
    hasStarted: lines.seen.hasStarted,
  };
  const exit = traces.exit();
  const { out, err } = traces.sizes();
  return { ...facts, exit, logBytes: out + err };
}

/**
 * Wakes after writes to the run's files. Debounced with backoff: an agent can write a million times a second, and each write that
 * is watched is told, so after one nothing is watched for a moment, and then looked at again. Where the kernel has no watch left,
 * the loop's own look each second is all.
 */
function watchFiles({ context }: MonitorDeps, volume: Volume, runId: string, wake: Latch): () => void {
  let watcher: FSWatcher | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let blindMs = leastBlindMs;
  let beganAt = performance.now();
  const tell = () => {
    context.bus.emit(`run:${runId}`);
    wake.set();
  };
  const stop = () => {
    watcher?.close();
    watcher = null;
  };
  function begin(): void {
    beganAt = performance.now();
    try {
      watcher = watch(runDirectory(volume, runId), () => {
        if (!watcher) return;
        stop();
        const isQuiet = performance.now() - beganAt > mostBlindMs / 2;
        blindMs = isQuiet ? leastBlindMs : Math.min(2 * blindMs, mostBlindMs);
        timer = setTimeout(begin, blindMs);
        tell();
      });
      watcher.on("error", stop);
      // What was written while nothing watched.
      if (timer) tell();
    } catch (error) {
      context.log.warn("run.not_watched", { runId, error: messageOf(error) });
    }
  }
  begin();
  return () => {
    clearTimeout(timer);
    stop();
  };
}

/** Tells the first writes to the run's `exit`: mostly the trace of its begin and its code. Other ways lead to its end as well. */
function watchExit(volume: Volume, runId: string, tell: () => void): () => void {
  let left = mostExitWrites;
  try {
    const watcher = watch(join(runDirectory(volume, runId), "exit"), () => {
      if (--left <= 0) watcher.close();
      tell();
    });
    watcher.on("error", () => watcher.close());
    return () => watcher.close();
  } catch {
    return () => undefined;
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
