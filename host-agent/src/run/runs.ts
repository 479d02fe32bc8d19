/**
 * Runs: admission, the life of each from its start to its one settled end, cancelling, and what is to be done with those
 * that an earlier process left. The host's database is the truth; this file moves it on.
 */
import { join } from "node:path";
import { AppError } from "@berth/shared/errors";
import { notInvoked } from "@berth/shared/exit-codes";
import type { AgentSpec, StartRunBody } from "@berth/shared/host-api";
import { messageOf } from "@berth/shared/log";
import type { Usage } from "@berth/shared/resources";
import { backoff, sleep } from "@berth/shared/wait";
import { endProcesses } from "../machine/processes.ts";
import { createLatch, type Latch } from "../context/wait.ts";
import { isNotStartable, type Launched, launch, type LaunchDeps } from "./launch.ts";
import { monitor, readRest, type Seen } from "./monitor.ts";
import { readTail } from "./run-log.ts";
import { runtimes } from "./runtimes.ts";
import { reasonOf, statusOf } from "./reason.ts";
import type { AgentRow, Intent, RunRow } from "../store/rows.ts";
import { isOutOfSpace, logSizes, runDirectory, sealRunFiles } from "./run-files.ts";
import { type Volumes } from "../workspace/volumes.ts";
import { diskUse, ownerOf, type Volume } from "../workspace/volume.ts";
import { runGid } from "../store/uids.ts";

export interface RunDeps extends LaunchDeps {
  volumes: Volumes;
  countKills: () => void;
  /** Cuts the run's connections to the model. */
  closeModel: (runId: string) => void;
}
/** A run and where it was. */
interface Lived {
  run: RunRow;
  agent: AgentRow;
  volume: Volume;
  container: Exclude<Launched, string> | null;
}

/** How long a run's processes have to end by themselves once they are told to. */
const graceMs = 2000;
/** The same for what a run left behind when it ended by itself. */
const leftoverGraceMs = 200;
const resultBytes = 64 * 1024;
const tailResultBytes = 4096;
const stderrTailBytes = 4096;
/** How long a start is tried while the engine fails. */
const launchPatienceMs = 60_000;

/** All runs of this host, each driven from wherever it stands to its one end. */
export class Runs {
  readonly #deps: RunDeps;
  readonly #live = new Map<string, { wake: Latch; done: Promise<void> }>();
  readonly #closing = new AbortController();

  constructor(deps: RunDeps) {
    this.#deps = deps;
  }

  /** Admits and starts a run, or answers the one that this id started before. Throws `run_limit`, `agent_busy`, …. */
  async start(userId: string, { run, agent: spec }: StartRunBody): Promise<RunRow> {
    const { store, context } = this.#deps;
    const known = store.getRun(run.id);
    const { run: admitted, isNew } = known
      ? { run: known, isNew: false }
      : this.#admit(await this.learn(userId, spec), run);
    if (admitted.userId !== userId || admitted.agentId !== spec.id || store.promptOf(run.id) !== run.prompt)
      throw new AppError("conflict", "The Idempotency-Key was used with another prompt: use a new one.");
    if (!isNew && (admitted.endedAt || admitted.rev > 0)) return admitted;
    const promised = admitted.rev > 0 ? admitted : await this.#promise(admitted, isNew);
    context.log.info("run.accepted", { runId: run.id, userId, agentId: spec.id });
    this.#tell(promised);
    this.#begin(run.id);
    return promised;
  }

  /** Learns the agent as the gateway describes it; refuses what is older than what is known. */
  async learn(userId: string, spec: AgentSpec): Promise<AgentRow> {
    const { store, volumes } = this.#deps;
    const known = store.getAgent(spec.id);
    const owner = known ? null : await ownerOf(await volumes.ensure(userId), spec.id);
    const learned = store.learnAgent(userId, spec, owner);
    if (learned === "foreign" || learned === "deleted") throw new AppError("not_found", "There is no such agent.");
    if (learned === "stale") throw new AppError("conflict", "The agent was changed meanwhile: send the message again.");
    return learned;
  }

  /** Ends a run; answers once no process of it is left. */
  async cancel(userId: string, runId: string): Promise<RunRow> {
    const { store } = this.#deps;
    const run = store.getRun(runId);
    if (!run || run.userId !== userId) throw new AppError("not_found", "There is no such run.");
    if (run.endedAt) throw new AppError("conflict", "The run has ended already.");
    this.intend(runId, "cancelled");
    this.#begin(runId);
    await this.#live.get(runId)?.done;
    return store.getRun(runId)!;
  }

  cancelAll(userId: string): Promise<void> {
    return this.endAll("cancelled", userId);
  }

  /** Ends all runs, or those of one user; answers once no process of them is left. */
  async endAll(intent: Intent, userId?: string): Promise<void> {
    const active = this.#deps.store.activeRuns(userId);
    for (const run of active) {
      this.intend(run.id, intent);
      this.#begin(run.id);
    }
    await Promise.all(active.map((run) => this.#live.get(run.id)?.done));
  }

  /** Stores why a run shall end, and has it looked at. */
  intend(runId: string, intent: Intent): void {
    const run = this.#deps.store.intend(runId, intent);
    if (run) this.#deps.context.log.info("run.intent", { runId, userId: run.userId, intent });
    this.#live.get(runId)?.wake.set();
  }

  /** Takes up what an earlier process left; each call after the first finds nothing to do. */
  resume(): void {
    for (const run of this.#deps.store.activeRuns()) this.#begin(run.id);
  }

  /** Looks again at every run now; after an engine event. */
  wakeAll(): void {
    for (const { wake } of this.#live.values()) wake.set();
  }

  /** Adds what the model proxy counted; ends the run once a budget is reached. */
  addUsage(runId: string, usage: Usage): void {
    if (!this.#deps.store.addUsage(runId, usage)) return;
    if (this.isOverBudget(runId)) this.intend(runId, "budget_reached");
    this.#deps.context.bus.emit("host");
  }

  isOverBudget(runId: string): boolean {
    const { context, store } = this.#deps;
    const { BERTH_RUN_BUDGET_USD: perRun, BERTH_DAILY_BUDGET_USD: perDay } = context.settings;
    const run = store.getRun(runId);
    if (!run) return false;
    return (
      (perRun !== undefined && run.usage.costUsd >= perRun) ||
      (perDay !== undefined && store.spentToday(run.userId) >= perDay)
    );
  }

  /** Lets go of every run; their processes go on. */
  close(): void {
    this.#closing.abort();
    this.#live.clear();
  }

  #admit(agent: AgentRow, run: StartRunBody["run"]): { run: RunRow; isNew: boolean } {
    const { store, context, workspaces } = this.#deps;
    const { BERTH_MAX_RUNS: limit } = context.settings;
    const isPromised = workspaces.current(agent.userId) !== null;
    const admission = store.admit({ ...run, agentId: agent.id, userId: agent.userId }, limit, isPromised);
    if (admission === "run_limit")
      throw new AppError("run_limit", `${limit} runs are in progress already: wait for one to end.`, {
        limit,
        retryAfter: 5,
      });
    if ("busy" in admission)
      throw new AppError("agent_busy", "The agent has a run in progress: wait for it or cancel it.", {
        runId: admission.busy,
      });
    return admission;
  }

  /** Makes sure of the workspace for an admitted run; withdraws a new one that cannot have any. */
  async #promise({ id, userId }: RunRow, isNew: boolean): Promise<RunRow> {
    const { store, workspaces } = this.#deps;
    try {
      await workspaces.ensure(userId);
    } catch (error) {
      if (isNew) store.withdraw(id);
      throw error;
    }
    return store.updateRun(id, {}) ?? store.getRun(id)!;
  }

  #tell(run: RunRow): void {
    this.#deps.context.bus.emit(`run:${run.id}`, `user:${run.userId}`, "host");
  }

  #begin(runId: string): void {
    if (this.#live.has(runId)) return;
    const wake = createLatch();
    const done = this.#drive(runId, wake).finally(() => this.#live.delete(runId));
    this.#live.set(runId, { wake, done });
  }

  /** One run to its end, whatever fails meanwhile; only a closing host agent leaves it unended. */
  async #drive(runId: string, wake: Latch): Promise<void> {
    const { context, store } = this.#deps;
    for (let attempt = 0; !this.#closing.signal.aborted; attempt++) {
      try {
        const run = store.getRun(runId);
        if (run && !run.endedAt) await this.#liveThrough(run, wake);
        return;
      } catch (error) {
        if (this.#closing.signal.aborted) return;
        context.log.warn("run.retry", { runId, error: messageOf(error) });
        await sleep(backoff(attempt, 200, 5000), this.#closing.signal);
      }
    }
  }

  async #liveThrough(run: RunRow, wake: Latch): Promise<void> {
    const { context, store, volumes, countKills } = this.#deps;
    const agent = store.getAgent(run.agentId)!;
    const volume = await volumes.ensure(run.userId);
    const { BERTH_DAILY_BUDGET_USD: perDay } = context.settings;
    if (perDay !== undefined && store.spentToday(run.userId) >= perDay) store.intend(run.id, "budget_reached");
    const launched = await this.#launch(run, agent, volume);
    if (typeof launched === "string") {
      const exitCode = launched === "not_startable" ? notInvoked : null;
      const nothing = { exitCode, hasLingered: false, told: { hasStarted: false, result: null } };
      await this.#settle({ run, agent, volume, container: null }, { ...nothing, isContainerLost: launched === "lost" });
      return;
    }
    const started = run.startedAt
      ? run
      : store.updateRun(run.id, { status: "running", startedAt: context.clock.iso() })!;
    this.#tell(started);
    const seen = await monitor({ context, store, countKills }, started, agent, launched, wake);
    await this.#settle({ run, agent, volume, container: launched }, seen);
  }

  /**
   * Tries to start while the engine fails; a run that could not be started in a minute has lost its container, unless
   * the engine tried in there. On a disk that is full to its last block nothing is tried again.
   */
  async #launch(run: RunRow, agent: AgentRow, volume: Volume): Promise<Launched> {
    const deadline = performance.now() + launchPatienceMs;
    for (;;) {
      try {
        return await launch(this.#deps, run.id, agent, volume);
      } catch (error) {
        if (this.#closing.signal.aborted) throw error;
        this.#deps.context.log.warn("run.start_retry", { runId: run.id, error: messageOf(error) });
        if (isOutOfSpace(error)) return "ended_before_start";
        if (performance.now() > deadline) return (await isNotStartable(this.#deps, run.id)) ? "not_startable" : "lost";
        await sleep(500, this.#closing.signal);
      }
    }
  }

  /** Ends what is left, fixes the log, finds the reason, stores the end. Repeatable until that last step. */
  async #settle({ run: { id: runId }, agent, volume, container }: Lived, seen: Seen): Promise<void> {
    const { context, store, closeModel, countKills } = this.#deps;
    const { told, exitCode, isContainerLost, hasLingered } = seen;
    closeModel(runId);
    const isTold = store.getRun(runId)!.intent !== null || hasLingered;
    if (container) await endProcesses(container.cgroup, agent.uid, runGid, isTold ? graceMs : leftoverGraceMs);
    countKills();
    await sealRunFiles(volume, runId, context.settings.BERTH_LOG_BYTES);
    const { out, err } = logSizes(volume, runId);
    if (runtimes[agent.runtime].answersSoon) await readRest(volume, runId, agent, told, out);
    if (told.hasStarted && runtimes[agent.runtime].hasSession) store.useSession(agent.id);
    const { intent, oomKills, modelStatus, userId } = store.getRun(runId)!;
    const isDiskFull = diskUse(volume.root)?.isFull ?? false;
    const resultIsError = told.result?.isError ?? null;
    const reason = reasonOf({
      intent,
      exitCode,
      isContainerLost,
      oomKills,
      isDiskFull,
      modelStatus,
      resultIsError,
      hasLingered,
    });
    const directory = runDirectory(volume, runId);
    const text =
      told.result?.text ??
      (runtimes[agent.runtime].resultIsTail ? await readTail(join(directory, "out"), tailResultBytes, out) : null);
    const ended = store.updateRun(runId, {
      status: statusOf(reason),
      reason,
      result: text === null ? null : clip(text, resultBytes),
      exitCode,
      logBytes: out,
      stderrTail: statusOf(reason) === "failed" ? await readTail(join(directory, "err"), stderrTailBytes, err) : null,
      endedAt: context.clock.iso(),
    });
    if (!ended) return;
    context.log.info("run.ended", { runId, userId, reason, exitCode, logBytes: out });
    this.#tell(ended);
    context.bus.emit("ended");
  }
}

/** The first `maxBytes` of a text, cut at a character. */
function clip(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text);
  return bytes.length <= maxBytes ? text : new TextDecoder().decode(bytes.subarray(0, maxBytes), { stream: true });
}
