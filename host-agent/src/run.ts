/**
 * Runs: admission, the life of each from its start to its one settled end, cancelling, and what is to be done with those
 * that an earlier process left. The host's database is the truth; this file moves it on.
 */
import { join } from "node:path";
import { AppError } from "@berth/shared/errors";
import type { AgentSpec, StartRunBody } from "@berth/shared/host-api";
import { messageOf } from "@berth/shared/log";
import type { Usage } from "@berth/shared/resources";
import { endProcesses } from "./cgroup.ts";
import { createLatch, type Latch } from "./host.ts";
import { type Launched, launch, type LaunchDeps } from "./launch.ts";
import { monitor, readRest, type Seen } from "./monitor.ts";
import { readTail } from "./runlog.ts";
import { runtimes } from "./runtimes.ts";
import { reasonOf, statusOf } from "./settle.ts";
import type { AgentRow, Intent, RunRow } from "./store-rows.ts";
import { diskUse, logSizes, ownerOf, removeRunFiles, runDirectory, runGid, sealRunFiles, type Volume, type Volumes } from "./volume.ts";

export interface RunDeps extends LaunchDeps {
  volumes: Volumes;
  countKills: () => void;
  /** Cuts the run's connections to the model. */
  closeModel: (runId: string) => void;
}
export type Runs = ReturnType<typeof createRuns>;

/** How long a run's processes have to end by themselves once they are told to. */
const graceMs = 2000;
const resultBytes = 64 * 1024;
const shellResultBytes = 4096;
const stderrTailBytes = 4096;
/** How long a start is tried while the engine fails. */
const launchPatienceMs = 60_000;

export function createRuns(deps: RunDeps) {
  const { context, store, volumes, workspaces } = deps;
  const { settings, bus, log, clock } = context;
  const live = new Map<string, { wake: Latch; done: Promise<void> }>();
  const closing = new AbortController();

  const changed = (run: RunRow) => bus.emit(`run:${run.id}`, `user:${run.userId}`, "host");
  function begin(runId: string): void {
    if (live.has(runId)) return;
    const wake = createLatch();
    const done = drive(runId, wake).finally(() => live.delete(runId));
    live.set(runId, { wake, done });
  }

  /** One run from wherever it stands to its end; only a closing host agent leaves it unended. */
  async function drive(runId: string, wake: Latch): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        const run = store.getRun(runId);
        if (!run || run.endedAt) return;
        await live_(run, wake);
        return;
      } catch (error) {
        if (closing.signal.aborted) return;
        log.warn("run.retry", { runId, error: messageOf(error) });
        await createLatch().next(Math.min(5000, 200 * 2 ** attempt), closing.signal);
        if (closing.signal.aborted) return;
      }
    }
  }

  async function live_(run: RunRow, wake: Latch): Promise<void> {
    const agent = store.getAgent(run.agentId)!;
    const volume = await volumes.ensure(run.userId);
    if (settings.BERTH_DAILY_BUDGET_USD !== undefined && store.spentToday(run.userId) >= settings.BERTH_DAILY_BUDGET_USD)
      store.intend(run.id, "budget_reached");
    const launched = await launchPatiently(run, agent, volume);
    if (launched === "lost" || launched === "ended_before_start" || launched instanceof Error) {
      const lost = launched === "lost" || launched instanceof Error;
      await settle(run.id, agent, volume, null, { exitCode: null, isContainerLost: lost, hasLingered: false, told: { hasStarted: false, result: null } });
      return;
    }
    const started = run.startedAt ? run : store.updateRun(run.id, { status: "running", startedAt: clock.iso() })!;
    changed(started);
    const seen = await monitor({ context, store, countKills: deps.countKills }, started, agent, launched, wake);
    await settle(run.id, agent, volume, launched, seen);
  }

  async function launchPatiently(run: RunRow, agent: AgentRow, volume: Volume): Promise<Launched | Error> {
    const deadline = performance.now() + launchPatienceMs;
    for (;;) {
      try {
        return await launch(deps, run.id, agent, volume);
      } catch (error) {
        if (closing.signal.aborted) throw error;
        if (performance.now() > deadline) return error as Error;
        log.warn("run.start_retry", { runId: run.id, error: messageOf(error) });
        await createLatch().next(500, closing.signal);
      }
    }
  }

  /** Ends what is left, fixes the log, finds the reason, stores the end. Repeatable until that last step. */
  async function settle(runId: string, agent: AgentRow, volume: Volume, container: Exclude<Launched, string> | null, seen: Seen): Promise<void> {
    const { intent } = store.getRun(runId)!;
    deps.closeModel(runId);
    if (container) await endProcesses(container.cgroup, agent.uid, runGid, intent || seen.hasLingered ? graceMs : 200);
    deps.countKills();
    await sealRunFiles(volume, runId, settings.BERTH_LOG_BYTES);
    const { out, err } = logSizes(volume, runId);
    const { told } = seen;
    if (runtimes[agent.runtime].answersSoon) await readRest(volume, runId, agent, told, out);
    if (told.hasStarted && runtimes[agent.runtime].hasSession) store.useSession(agent.id);
    const run = store.getRun(runId)!;
    const reason = reasonOf({
      intent: run.intent,
      exitCode: seen.exitCode,
      isContainerLost: seen.isContainerLost,
      oomKills: run.oomKills,
      isDiskFull: (diskUse(volume.root)?.availableBytes ?? Infinity) < 2 ** 20,
      modelStatus: run.modelStatus,
      resultIsError: told.result?.isError ?? null,
      hasLingered: seen.hasLingered,
    });
    const directory = runDirectory(volume, runId);
    const text = told.result?.text ?? (agent.runtime === "shell" ? await readTail(join(directory, "out"), shellResultBytes, out) : null);
    const ended = store.updateRun(runId, {
      status: statusOf(reason),
      reason,
      result: text === null ? null : clip(text, resultBytes),
      exitCode: seen.exitCode,
      logBytes: out,
      stderrTail: reason === "completed" ? null : await readTail(join(directory, "err"), stderrTailBytes, err),
      endedAt: clock.iso(),
    });
    if (!ended) return;
    log.info("run.ended", { runId, userId: run.userId, reason, exitCode: seen.exitCode, logBytes: out });
    changed(ended);
    bus.emit("ended");
  }

  /** Learns the agent as the gateway describes it; refuses what is older than what is known. */
  async function learn(userId: string, spec: AgentSpec): Promise<AgentRow> {
    const known = store.getAgent(spec.id);
    const owner = known ? null : await ownerOf(await volumes.ensure(userId), spec.id);
    const learned = store.learnAgent(userId, spec, owner);
    if (learned === "foreign" || learned === "deleted") throw new AppError("not_found", "There is no such agent.");
    if (learned === "stale") throw new AppError("conflict", "The agent was changed meanwhile: send the message again.");
    return learned;
  }

  function intend(runId: string, intent: Intent): void {
    const run = store.intend(runId, intent);
    if (run) log.info("run.intent", { runId, userId: run.userId, intent });
    live.get(runId)?.wake.set();
  }

  return {
    learn,
    /** Admits and starts a run, or answers the one that this id started before. Throws `run_limit`, `agent_busy`, …. */
    async start(userId: string, { run, agent: spec }: StartRunBody): Promise<RunRow> {
      const known = store.getRun(run.id);
      const agent = known ? null : await learn(userId, spec);
      const admission = known
        ? { run: known, isNew: false }
        : store.admit({ ...run, agentId: agent!.id, userId }, settings.BERTH_MAX_RUNS);
      if (admission === "run_limit")
        throw new AppError("run_limit", `${settings.BERTH_MAX_RUNS} runs are in progress already: wait for one to end.`, { limit: settings.BERTH_MAX_RUNS, retryAfter: 5 });
      if ("busy" in admission)
        throw new AppError("agent_busy", "The agent has a run in progress: wait for it or cancel it.", { runId: admission.busy });
      const { run: admitted, isNew } = admission;
      if (admitted.userId !== userId || admitted.agentId !== spec.id || admitted.prompt !== run.prompt)
        throw new AppError("conflict", "The Idempotency-Key was used with another prompt: use a new one.");
      if (!isNew && (admitted.endedAt || admitted.rev > 0)) return admitted;
      try {
        await workspaces.ensure(userId);
      } catch (error) {
        if (isNew) store.withdraw(run.id);
        throw error;
      }
      const promised = store.updateRun(run.id, {}) ?? store.getRun(run.id)!;
      log.info("run.accepted", { runId: run.id, userId, agentId: agent?.id ?? promised.agentId });
      changed(promised);
      begin(run.id);
      return promised;
    },
    /** Ends a run; answers once no process of it is left. */
    async cancel(userId: string, runId: string): Promise<RunRow> {
      const run = store.getRun(runId);
      if (!run || run.userId !== userId) throw new AppError("not_found", "There is no such run.");
      if (run.endedAt) throw new AppError("conflict", "The run has ended already.");
      intend(runId, "cancelled");
      begin(runId);
      await live.get(runId)?.done;
      return store.getRun(runId)!;
    },
    async cancelAll(userId: string): Promise<void> {
      for (const run of store.activeRuns(userId)) {
        intend(run.id, "cancelled");
        begin(run.id);
      }
      await Promise.all(store.activeRuns(userId).map((run) => live.get(run.id)?.done));
    },
    intend,
    /** Takes up what an earlier process left; each call after the first finds nothing to do. */
    resume(): void {
      for (const run of store.activeRuns()) begin(run.id);
    },
    /** Looks again at every run now; after an engine event. */
    wakeAll: () => live.forEach(({ wake }) => wake.set()),
    addUsage(runId: string, usage: Usage): void {
      const run = store.addUsage(runId, usage);
      if (!run) return;
      if (isOverBudget(run)) intend(runId, "budget_reached");
      bus.emit("host");
    },
    isOverBudget: (runId: string) => {
      const run = store.getRun(runId);
      return run !== null && isOverBudget(run);
    },
    /** Removes ended runs past `BERTH_RETENTION_DAYS`, with their logs. */
    async removeExpired(): Promise<void> {
      const before = new Date(clock.now() - settings.BERTH_RETENTION_DAYS * 86_400_000).toISOString();
      for (const run of store.expiredRuns(before)) {
        if (volumes.exists(run.userId)) await removeRunFiles(await volumes.ensure(run.userId), run.id);
        store.removeRun(run.id);
      }
    },
    /** Lets go of every run; their processes go on. */
    async close(): Promise<void> {
      closing.abort();
      live.clear();
    },
  };

  function isOverBudget(run: RunRow): boolean {
    const { BERTH_RUN_BUDGET_USD: perRun, BERTH_DAILY_BUDGET_USD: perDay } = settings;
    return (perRun !== undefined && run.usage.costUsd >= perRun) || (perDay !== undefined && store.spentToday(run.userId) >= perDay);
  }
}

/** The first `maxBytes` of a text, cut at a character. */
function clip(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text);
  return bytes.length <= maxBytes ? text : new TextDecoder().decode(bytes.subarray(0, maxBytes), { stream: true });
}
