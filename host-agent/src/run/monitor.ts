/**
 * Watches one begun run until it is over: its exit code, its processes, its container, its limits. Says what it saw and
 * settles nothing. A closed stream or a missing event proves nothing here; only files and processes do.
 */
import { watch } from "node:fs";
import { join } from "node:path";
import { sleep } from "@berth/shared/wait";
import { readOomKills } from "../machine/cgroup.ts";
import { isAlive, isEnding, processesOf } from "../machine/processes.ts";
import { type HostContext } from "../context/context.ts";
import type { Latch } from "../context/wait.ts";
import { type LogSource, readLines } from "./run-log.ts";
import { runtimes } from "./runtimes.ts";
import type { AgentRow, Intent, RunRow } from "../store/rows.ts";
import type { Store } from "../store/store.ts";
import { logSizes, readExit, runDirectory } from "./run-files.ts";
import { type Volume } from "../workspace/volume.ts";
import { runGid } from "../store/uids.ts";
import type { RunningContainer } from "../workspace/container.ts";

/** What the lines of a run have shown so far. */
export interface LinesSeen {
  hasStarted: boolean;
  result: { text: string; isError: boolean } | null;
}
export interface Seen {
  exitCode: number | null;
  isContainerLost: boolean;
  hasLingered: boolean;
  told: LinesSeen;
}
export interface MonitorDeps {
  context: HostContext;
  store: Store;
  countKills: () => void;
}

const startTimeoutMs = 60_000;
const lingerMs = 30_000;
/** Between two looks at a busy run; readers of its output do not wait for this. */
const pauseMs = 20;
const longestResultBytes = 2 * 2 ** 20;

/** Resolves once the run is over or an intent says it shall be. `wake` is set by whoever sets an intent. */
export async function monitor(
  { context, store, countKills }: MonitorDeps,
  run: RunRow,
  agent: AgentRow,
  container: RunningContainer,
  wake: Latch,
): Promise<Seen> {
  const { volume } = container;
  const runtime = runtimes[agent.runtime];
  const told: LinesSeen = { hasStarted: false, result: null };
  const reader = createReader(volume, run.id, agent, told);
  const startedAt = Date.parse(run.startedAt ?? run.createdAt);
  const timeoutMs = context.settings.BERTH_RUN_TIMEOUT_SECONDS * 1000;
  const seen = (fields: Partial<Seen>): Seen => ({
    exitCode: null,
    isContainerLost: false,
    hasLingered: false,
    told,
    ...fields,
  });
  const intend = (intent: Intent) => store.intend(run.id, intent);
  let resultAt: number | null = null;
  let kills = readOomKills(container.cgroup) ?? 0;

  const watcher = watch(runDirectory(volume, run.id), (_event, name) => {
    if (name === "out") context.bus.emit(`run:${run.id}`);
    wake.set();
  });
  try {
    for (;;) {
      const exit = readExit(volume, run.id);
      // Also of one that is over: its log will be cut, and that must be said.
      if (bytesOf(volume, run.id) > context.settings.BERTH_LOG_BYTES) intend("log_limit");
      if (exit.code !== null) {
        // The container's end kills the run first and ends itself a moment later: 128 and above may mean that.
        return seen({ exitCode: exit.code, isContainerLost: exit.code >= 128 && (await hasContainerEnded(container)) });
      }
      if (store.getRun(run.id)!.intent) return seen({});
      if (!isAlive(container.init)) return seen({ isContainerLost: true, exitCode: readExit(volume, run.id).code });
      if (processesOf(container.cgroup, agent.uid, runGid).length === 0) {
        const last = readExit(volume, run.id).code;
        return seen({
          exitCode: last,
          isContainerLost: (last === null || last >= 128) && (await hasContainerEnded(container)),
        });
      }
      const now = context.clock.now();
      if (runtime.answersSoon) await reader.read();
      resultAt ??= told.result ? performance.now() : null;
      const killsNow = readOomKills(container.cgroup) ?? kills;
      if (killsNow !== kills) countKills();
      kills = killsNow;
      if (resultAt !== null && performance.now() - resultAt > lingerMs) return seen({ hasLingered: true });
      else if (context.clock.isSure() && now - startedAt > timeoutMs) intend("timed_out");
      else if (context.clock.isSure() && runtime.answersSoon && !told.hasStarted && now - startedAt > startTimeoutMs)
        intend("start_timeout");
      else if (await wake.next(1000)) await sleep(pauseMs);
    }
  } finally {
    watcher.close();
  }
}

function bytesOf(volume: Volume, runId: string): number {
  const { out, err } = logSizes(volume, runId);
  return out + err;
}

/** Reads the rest of the lines; for when the log is sealed. */
export async function readRest(
  volume: Volume,
  runId: string,
  agent: AgentRow,
  told: LinesSeen,
  sealedBytes: number,
): Promise<void> {
  await createReader(volume, runId, agent, told, sealedBytes).read();
}

function createReader(
  volume: Volume,
  runId: string,
  agent: AgentRow,
  told: LinesSeen,
  sealedBytes: number | null = null,
) {
  const runtime = runtimes[agent.runtime];
  const source: LogSource = {
    path: join(runDirectory(volume, runId), "out"),
    speaksJson: runtime.speaksJson,
    sealedBytes: () => sealedBytes,
    limitBytes: Infinity,
  };
  let at = 0;
  return {
    async read(): Promise<void> {
      const batches = readLines(source, at);
      for (let batch = await batches.next(); ; batch = await batches.next()) {
        if (batch.done) {
          at = batch.value;
          return;
        }
        for (const { data } of batch.value) {
          const facts = runtime.readLine(typeof data === "string" ? data : await collect(data));
          if (facts?.hasStarted) told.hasStarted = true;
          if (facts?.result) told.result = facts.result;
        }
      }
    },
  };
}

/** A long line as text, up to a bound; a longer one tells nothing. */
async function collect(chunks: AsyncIterable<string>): Promise<string> {
  let text = "";
  for await (const chunk of chunks) {
    text += chunk;
    if (text.length > longestResultBytes) return "{}";
  }
  return text;
}

/** Whether the container is gone or goes now: its init is the last to end, within a moment of the others. */
async function hasContainerEnded(container: RunningContainer): Promise<boolean> {
  for (let look = 0; look < 20; look++) {
    if (isEnding(container.init)) return true;
    await sleep(10);
  }
  return false;
}
