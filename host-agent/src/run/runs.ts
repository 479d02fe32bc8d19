/**
 * Runs: admission, the life of each from its start to its one settled end, cancelling, and what is to be done with those
 * that an earlier process left. The host's database is the truth; this file moves it on.
 */
import { AppError } from "@berth/shared/errors";
import type { AgentSpec, StartRunBody } from "@berth/shared/host-api";
import { messageOf } from "@berth/shared/log";
import type { Usage } from "@berth/shared/resources";
import { backoff, sleep } from "@berth/shared/wait";
import { readFreeBytes } from "../machine/cgroup.ts";
import { freeMemory, sharedMemory } from "../machine/kept-memory.ts";
import { createElapsed, markNow } from "../context/clock.ts";
import { createLatch, type Latch } from "../context/wait.ts";
import { Ahead } from "./ahead.ts";
import { lostWithoutBegin, type Over } from "./decide.ts";
import { launchPatiently, type LaunchDeps } from "./launch.ts";
import { createLinesReader } from "./lines-reader.ts";
import { monitor } from "./monitor.ts";
import { type Lived, patience, settle, type SettleDeps } from "./settle.ts";
import type { Budget } from "../model/turnstile.ts";
import type { AgentRow, Intent, RunRow } from "../store/rows.ts";
import { isLimit } from "./reason.ts";
import { createTraces, type Traces } from "./run-files.ts";
import { askToStop } from "./turn.ts";
import { closeUnended } from "../workspace/unended.ts";
import { ownerOf, type Volume } from "../workspace/volume.ts";
import type { Volumes } from "../workspace/volumes.ts";

export interface RunDeps extends LaunchDeps, SettleDeps {
  volumes: Volumes;
}
/** A run that this process drives. */
interface Live {
  wake: Latch;
  done: Promise<void>;
}
/** What must survive a retry of one run's drive. */
interface Drive {
  wake: Latch;
  elapsedMs: (() => number | null) | null;
  /** Failures in a row, of all that is no wait for the engine. */
  failures: number;
  /** How it was found to be over: it stays so where its volume cannot be had any more. */
  over: Over | null;
  /** Its files that were told as unreadable. */
  unreadable: Set<string>;
}

const mostUnwanted = 1000;

/** All runs of this host, each driven from wherever it stands to its one end. */
export class Runs {
  readonly ahead: Ahead;
  /** The latest that were cancelled before they were known here: a start that is still under way brings none of them. */
  readonly #unwanted = new Set<string>();
  readonly #deps: RunDeps;
  readonly #live = new Map<string, Live>();
  readonly #promising = new Map<string, Promise<RunRow>>();
  /** By user: that nothing which an ended run kept in memory is left. Without an entry an earlier process may have left some. */
  readonly #freed = new Map<string, Promise<void>>();
  readonly #closing = new AbortController();

  constructor(deps: Omit<RunDeps, "ahead">) {
    this.ahead = new Ahead({ ...deps, freed: (userId) => this.#freedOf(userId) });
    this.#deps = { ...deps, ahead: this.ahead };
  }

  /** Admits and starts a run, or answers the one that this id started before. Throws `run_limit`, `agent_busy`, …. */
  async start(userId: string, { run, agent: spec }: StartRunBody): Promise<RunRow> {
    const { store, context } = this.#deps;
    const known = store.getRun(run.id);
    const { run: admitted, isNew } = known
      ? { run: known, isNew: false }
      : await this.#admit(await this.learn(userId, spec), run);
    const isSame =
      store.promptOf(run.id) === run.prompt && admitted.attachments.join("\n") === (run.attachments ?? []).join("\n");
    if (admitted.userId !== userId || admitted.agentId !== spec.id || !isSame)
      throw new AppError("conflict", "The Idempotency-Key was used with another message: use a new one.", {
        runId: run.id,
      });
    const isPromised = !isNew && (admitted.endedAt !== null || admitted.rev > 0);
    const promised = admitted.rev > 0 || isPromised ? admitted : await this.#promise(admitted, isNew);
    if (!isPromised) {
      context.log.info("run.accepted", { runId: run.id, userId, agentId: spec.id });
      context.bus.emitRun(promised);
      this.#begin(run.id);
    }
    // Beside its first steps: what they start waits for the same.
    await store.synced();
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
    if ("busy" in learned) throw refuseBusy(learned.busy);
    return learned;
  }

  /** Ends a run; answers once no process of it is left. */
  async cancel(userId: string, runId: string): Promise<RunRow> {
    const { store } = this.#deps;
    const run = store.getRun(runId);
    if (!run && this.#unwanted.add(`${userId} ${runId}`).size > mostUnwanted)
      this.#unwanted.delete(this.#unwanted.values().next().value!);
    if (!run || run.userId !== userId) throw new AppError("not_found", "There is no such run.");
    if (run.endedAt) throw new AppError("conflict", "The run has ended already.");
    this.intend(runId, "cancelled");
    this.#begin(runId);
    await this.#live.get(runId)?.done;
    this.#refuseClosing();
    return store.getRun(runId)!;
  }

  /**
   * Stops the run's turn and keeps its conversation; answers once it is over. What does not stop within 5 s, or takes no such
   * word, is ended as by `cancel`.
   */
  async interrupt(userId: string, runId: string): Promise<RunRow> {
    const run = this.#deps.store.getRun(runId);
    if (!run || run.userId !== userId) throw new AppError("not_found", "There is no such run.");
    if (!run.startedAt || run.endedAt) return this.cancel(userId, runId);
    this.intend(runId, "interrupted");
    if (!(await askToStop(this.#deps, run))) return this.cancel(userId, runId);
    await this.#live.get(runId)?.done;
    this.#refuseClosing();
    return this.#deps.store.getRun(runId)!;
  }

  /** Ends all runs, or those of one user; answers once no process of them is left. Throws when this host agent closes meanwhile. */
  async endAll(intent: Intent, userId?: string): Promise<void> {
    const active = this.#deps.store.activeRuns(userId);
    for (const run of active) {
      this.intend(run.id, intent);
      this.#begin(run.id);
    }
    await Promise.all(active.map((run) => this.#live.get(run.id)?.done));
    this.#refuseClosing();
  }

  /** Stores why a run shall end, and has it looked at. */
  intend(runId: string, intent: Intent): void {
    const run = this.#deps.store.intend(runId, intent);
    if (run) this.#deps.context.log.info("run.intent", { runId, userId: run.userId, intent });
    this.#live.get(runId)?.wake.set();
  }

  /**
   * Takes up what an earlier process left; each call after the first finds nothing to do. What that one had promised nobody yet, or a copy
   * of its database did not know of, is told with all others: what a first report leaves out counts as lost.
   */
  resume(): void {
    const { store } = this.#deps;
    for (const run of store.activeRuns()) {
      if (run.rev === 0) store.updateRun(run.id, {});
      this.#begin(run.id);
    }
  }

  /** Looks again at every run now; after an engine event. */
  wakeAll(): void {
    for (const { wake } of this.#live.values()) wake.set();
  }

  /** Adds what the model proxy counted; ends the run once a budget is reached. The gateway hears of it with the next report. */
  addUsage(runId: string, usage: Usage): void {
    if (!this.#deps.store.addUsage(runId, usage)) return;
    if (this.budgetsOf(runId).some(({ leftUsd }) => leftUsd <= 0)) this.intend(runId, "budget_reached");
  }

  /** What the run may still spend of its own budget and of its user's day. */
  budgetsOf(runId: string): Budget[] {
    const { context, store } = this.#deps;
    const run = store.getRun(runId);
    if (!run) return [];
    const { BERTH_RUN_BUDGET_USD: perRun = Infinity, BERTH_DAILY_BUDGET_USD: perDay } = context.settingsOf(run.userId);
    const own = { of: runId, leftUsd: perRun - run.usage.costUsd };
    return perDay === undefined ? [own] : [own, { of: run.userId, leftUsd: perDay - store.spentToday(run.userId) }];
  }

  /** Lets go of every run; their processes go on. */
  close(): void {
    this.#closing.abort();
    this.#live.clear();
  }

  async #admit(agent: AgentRow, run: StartRunBody["run"]): Promise<{ run: RunRow; isNew: boolean }> {
    const { store, context, workspaces } = this.#deps;
    if (this.#unwanted.has(`${agent.userId} ${run.id}`)) throw new AppError("not_found", "The run was cancelled.");
    const settings = context.settingsOf(agent.userId);
    const { BERTH_MAX_RUNS: limit, BERTH_RUN_MEMORY_BYTES: neededBytes, BERTH_MEMORY_BYTES: all } = settings;
    const container = workspaces.current(agent.userId);
    const freeBytes = (container && readFreeBytes(container.cgroup, container.limits.memoryBytes)) ?? all;
    const room = { limit, freeBytes, neededBytes };
    const admission = store.admit({ ...run, agentId: agent.id, userId: agent.userId }, room, container !== null);
    if (admission === "run_limit") {
      context.alerts.note("run_limit", agent.userId);
      throw new AppError("run_limit", `${limit} runs are in progress already: wait for one to end.`, {
        limit,
        retryAfter: 5,
      });
    }
    if (admission === "memory") {
      // Another call with this id may have been admitted meanwhile: what is refused is not here.
      if ((await this.ahead.drop(agent.userId)) || store.getRun(run.id)) return this.#admit(agent, run);
      const detail = "The workspace has too little memory for a run beside others: wait for one to end.";
      throw new AppError("run_limit", detail, { waitsFor: "memory", retryAfter: 5 });
    }
    if ("busy" in admission) throw refuseBusy(admission.busy);
    return admission;
  }

  /**
   * Makes sure of the workspace for an admitted run; withdraws a new one that cannot have any. Calls with one key share
   * one promise: none withdraws the run under another's feet.
   */
  #promise({ id, userId }: RunRow, isNew: boolean): Promise<RunRow> {
    const { store, workspaces } = this.#deps;
    const promise = async () => {
      try {
        await workspaces.ensure(userId);
        return store.updateRun(id, {}) ?? store.getRun(id)!;
      } catch (error) {
        if (isNew) void this.#withdraw(id);
        throw error;
      } finally {
        this.#promising.delete(id);
      }
    };
    const promised = this.#promising.get(id) ?? promise();
    this.#promising.set(id, promised);
    return promised;
  }

  /**
   * Forgets a run that nobody was promised. Where that cannot be stored now, it is tried until it can: it would keep its agent busy for
   * good. Whom somebody cancels or is promised meanwhile is on its way to an end.
   */
  async #withdraw(id: string): Promise<void> {
    const { store, context } = this.#deps;
    for (let failures = 0; !this.#live.has(id) && !this.#closing.signal.aborted; failures++) {
      try {
        if (failures === 0 || !this.#promising.has(id)) return store.withdraw(id);
      } catch (error) {
        context.log.warn("run.not_withdrawn", { runId: id, error: messageOf(error) });
      }
      await sleep(backoff(failures, 200, 5000), this.#closing.signal);
    }
  }

  #refuseClosing(): void {
    if (!this.#closing.signal.aborted) return;
    throw new AppError("host_unavailable", "The host agent is being restarted: try again.", { retryAfter: 2 });
  }

  #begin(runId: string): void {
    if (this.#live.has(runId)) return;
    const wake = createLatch();
    const done = this.#drive(runId, { wake, elapsedMs: null, failures: 0, over: null, unreadable: new Set() }).finally(
      () => this.#live.delete(runId),
    );
    this.#live.set(runId, { wake, done });
  }

  /** One run to its end, whatever fails meanwhile; only a closing host agent leaves it unended. */
  async #drive(runId: string, drive: Drive): Promise<void> {
    const { context, store } = this.#deps;
    while (!this.#closing.signal.aborted) {
      try {
        const run = store.getRun(runId);
        if (run && !run.endedAt) await this.#liveThrough(run, drive);
        return;
      } catch (error) {
        if (this.#closing.signal.aborted) return;
        context.log.warn("run.retry", { runId, error: messageOf(error) });
        closeUnended(this.#deps, store.getRun(runId)!.userId, error);
        await sleep(backoff(drive.failures++, 200, 5000), this.#closing.signal);
      }
    }
  }

  async #liveThrough(run: RunRow, drive: Drive): Promise<void> {
    const { store, context } = this.#deps;
    const agent = store.getAgent(run.agentId)!;
    const volume = await this.#volumeOf(run, drive);
    if (!volume) {
      const over = drive.over ?? lostWithoutBegin;
      return this.#settle({ runId: run.id, agent, volume, container: null, lines: null }, over, drive);
    }
    const traces = this.#tracesOf(run.id, volume, drive);
    const { BERTH_DAILY_BUDGET_USD: perDay } = context.settingsOf(run.userId);
    const isSpent = perDay !== undefined && store.spentToday(run.userId) >= perDay;
    // One that has begun ends at its next call, should it need another.
    if (isSpent && run.startedAt === null && !traces.exit().hasBegun) store.intend(run.id, "budget_reached");
    await this.#freedOf(run.userId);
    const given = { run, agent, traces };
    const { container, over } = await launchPatiently(this.#deps, given, drive.over, this.#closing.signal);
    const lines = createLinesReader(context, volume, run.id, agent);
    const lived = { runId: run.id, agent, volume, container, lines };
    if (over || !container) return this.#settle(lived, over ?? lostWithoutBegin, drive);
    drive.elapsedMs ??= createElapsed(context.clock, run.startedAt, run.startedMark);
    const started = run.startedAt
      ? run
      : store.updateRun(run.id, { status: "running", startedAt: context.clock.iso(), startedMark: markNow() })!;
    context.bus.emitRun(started);
    const watched = { run: started, agent, container, elapsedMs: drive.elapsedMs, lines, traces };
    await this.#settle(lived, await monitor(this.#deps, watched, drive.wake), drive);
  }

  /** The run's volume; null once it could not be had in many tries, and the engine says that nothing of the user runs. */
  async #volumeOf({ userId }: RunRow, { failures }: Drive): Promise<Volume | null> {
    const { volumes, workspaces } = this.#deps;
    try {
      return await volumes.ensure(userId);
    } catch (error) {
      if (failures < patience || (await workspaces.find(userId)) !== null) throw error;
      return null;
    }
  }

  /** Of a file that could not be read in many tries nothing is known, and the run goes on by what is. */
  #tracesOf(runId: string, volume: Volume, drive: Drive): Traces {
    const tell = (part: string, error: unknown) => {
      if (!drive.unreadable.has(part))
        this.#deps.context.log.error("run.end_incomplete", { runId, part, error: messageOf(error) });
      drive.unreadable.add(part);
    };
    return createTraces(volume, runId, () => drive.failures < patience, tell);
  }

  async #settle(lived: Lived, over: Over, drive: Drive): Promise<void> {
    const { context, store } = this.#deps;
    drive.over = over;
    const ended = await settle(this.#deps, lived, over, drive.failures);
    if (!ended) return;
    const { id: runId, userId, reason, exitCode, logBytes } = ended;
    // At once: a run that takes its place is admitted from now on.
    const freed = this.#freeMemory(userId, [lived.agent]);
    await store.synced().catch((error: unknown) => {
      context.log.warn("run.end_incomplete", { runId, part: "sync", error: messageOf(error) });
    });
    context.log.info("run.ended", { runId, userId, reason, exitCode, logBytes });
    if (isLimit(reason)) context.alerts.note(reason, userId);
    context.bus.emitRun(ended);
    context.bus.emit("ended");
    const goesOn = store.activeRuns(userId).find(({ continues }) => continues === runId);
    if (!goesOn) {
      // Who is called by triggers alone waits for nobody's word.
      if (ended.trigger.triggerId === null) void freed.then(() => this.ahead.begin(lived.agent));
      return;
    }
    context.log.info("run.continued", { runId: goesOn.id, userId, continues: runId });
    this.#begin(goesOn.id);
  }

  /** Whoever comes first in this process frees what an earlier one may have left. */
  #freedOf(userId: string): Promise<void> {
    return this.#freed.get(userId) ?? this.#freeMemory(userId, this.#deps.store.agentsOf(userId));
  }

  /** Frees what these agents keep in memory beyond their processes: no end is told later for it, and the user's next run begins after it. */
  #freeMemory(userId: string, agents: AgentRow[]): Promise<void> {
    const { workspaces, context } = this.#deps;
    const free = async (earlier = this.#freed.get(userId)) => {
      await earlier;
      const container = await workspaces.find(userId);
      if (!container) return;
      for (const { uid } of agents) await freeMemory(container, uid, sharedMemory);
    };
    const freed = free().catch((error: unknown) => {
      this.#freed.delete(userId);
      context.log.warn("run.memory_kept", { userId, error: messageOf(error) });
    });
    this.#freed.set(userId, freed);
    return freed;
  }
}

export const refuseBusy = (runId: string) =>
  new AppError("agent_busy", "The agent has a run in progress: wait for it or cancel it.", { runId });
