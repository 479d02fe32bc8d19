/** A host that is simulated: the host agent's own reports, of a database and workspaces that are maps. */
import { mkdirSync } from "node:fs";
import type { ReportedRun, ReportedWorkspace } from "@berth/shared/host-api";
import { describeWorkspace } from "@berth/shared/resources";
import type { Settings } from "@berth/shared/settings";
import { type Bus, createBus } from "../../host-agent/src/context/bus.ts";
import { createClock } from "../../host-agent/src/context/clock.ts";
import type { HostContext } from "../../host-agent/src/context/context.ts";
import { type Identity, openIdentity } from "../../host-agent/src/membership/identity.ts";
import { type ReportDeps, Reports } from "../../host-agent/src/membership/reports.ts";

type SimulatedRun = ReportedRun & { firstRev: number; prompt: string };
export type Place = Pick<SimulatedRun, "id" | "userId" | "agentId" | "prompt">;

const sampleMs = 5000;
const containerId = "c".repeat(64);
/** What a host would tell its operator, once each: a measurement of hosts that are refused says nothing. */
const said = new Set<string>();
const tell = (event: string, fields?: unknown) => {
  const words = `${event} ${JSON.stringify(fields)}`;
  if (!said.has(words)) process.stderr.write(`a host says: ${words}\n`);
  said.add(words);
};
const log = { info: () => {}, warn: tell, error: tell };
const usage = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0, costUsd: 0 };

/** Joins, or finds itself joined in `dataDir`; `userIds` are those whose workspaces run there. */
export async function openHost(settings: Settings, dataDir: string, epoch: string, userIds: string[]): Promise<Host> {
  mkdirSync(dataDir, { recursive: true });
  const identity = await openIdentity(settings, dataDir, log, new AbortController().signal);
  return new Host(settings, dataDir, identity, epoch, userIds);
}

export class Host {
  readonly id: string;
  readonly epoch: string;
  readonly runs = new Map<string, SimulatedRun>();
  readonly workspaces = new Map<string, ReportedWorkspace>();
  readonly reports: Reports;
  /** How many of its reports were answered. */
  answered = 0;
  onAnswer = (): void => {};
  readonly #settings: Settings;
  readonly #bus: Bus = createBus();
  #rev = 0;
  /** The newest revision of earlier processes on its database. */
  #earlierRev = 0;

  constructor(settings: Settings, dataDir: string, identity: Identity, epoch: string, userIds: string[]) {
    this.id = identity.hostId;
    this.epoch = epoch;
    this.#settings = settings;
    for (const userId of userIds) this.#occupy(userId, 0);
    const alerts = { note: () => {}, list: () => [] };
    const context: Partial<HostContext> = { hostId: this.id, settings, dataDir, clock: createClock(), log, alerts };
    this.reports = new Reports({
      context: { ...context, bus: this.#bus } as HostContext,
      identity,
      store: this.#store(),
      workspaces: { views: () => this.#views(), count: () => this.workspaces.size, problem: null },
      isDemo: true,
      version: "scale",
      hasUser: () => false,
      onAnswer: () => this.#heard(),
      onRemoved: () => {},
    });
  }

  /** Reports as a process does that has just started on this database: all that is there, and once. */
  report(signal: AbortSignal): void {
    this.#earlierRev = this.#rev++;
    void this.reports.run(signal);
  }

  active(): SimulatedRun[] {
    return [...this.runs.values()].filter(({ endedAt }) => endedAt === null);
  }

  begin(place: Place): SimulatedRun {
    const rev = ++this.#rev;
    const time = new Date().toISOString();
    const run: SimulatedRun = {
      ...place,
      rev,
      firstRev: rev,
      status: "running",
      reason: null,
      trigger: { kind: "api", triggerId: null },
      result: null,
      exitCode: null,
      usage,
      oomKills: 0,
      logBytes: 0,
      stderrTail: null,
      createdAt: time,
      startedAt: time,
      endedAt: null,
    };
    this.runs.set(run.id, run);
    this.#occupy(run.userId, 1);
    this.#bus.emit("host");
    return run;
  }

  /** The model has answered in it, which waits for the next report, as the host agent's own count does. */
  turn(run: SimulatedRun): void {
    const { inputTokens, costUsd } = run.usage;
    const counted = { ...run.usage, inputTokens: inputTokens + 900, costUsd: costUsd + 0.01 };
    this.#change(run, { usage: counted, logBytes: run.logBytes + 2000 });
  }

  end(run: SimulatedRun, reason: "completed" | "cancelled" = "completed"): SimulatedRun {
    this.#occupy(run.userId, 0);
    const ended = { status: reason, reason, result: "Done.", exitCode: 0, endedAt: new Date().toISOString() };
    const changed = this.#change(run, ended);
    this.#bus.emit("host", "ended");
    return changed;
  }

  #change(run: SimulatedRun, changes: Partial<SimulatedRun>): SimulatedRun {
    const changed = { ...run, ...changes, rev: ++this.#rev };
    this.runs.set(run.id, changed);
    return changed;
  }

  #occupy(userId: string, activeRuns: number): void {
    const known = this.workspaces.get(userId) ?? { ...describeWorkspace(this.#settings, this.id), userId };
    const startedAt = known.startedAt ?? new Date().toISOString();
    this.workspaces.set(userId, { ...known, status: "running", containerId, startedAt, activeRuns });
  }

  /** Each with a sample of its own, which is another every five seconds. */
  #views(): ReportedWorkspace[] {
    const sample = Math.floor(Date.now() / sampleMs);
    const sampledAt = new Date(sample * sampleMs).toISOString();
    const usedBytes = 3_000_000 + (sample % 100) * 4096;
    return [...this.workspaces.values()].map((one) => ({ ...one, sampledAt, memory: { ...one.memory, usedBytes } }));
  }

  #store(): ReportDeps["store"] {
    const meta = new Map<string, string>();
    const earlier = () => this.#earlierRev;
    const store: Record<keyof ReportDeps["store"], unknown> = {
      epoch: this.epoch,
      get earlierRevision() {
        return earlier();
      },
      revision: () => this.#rev,
      renewEpoch: () => {},
      countActive: () => this.active().length,
      getRun: (id: string) => this.runs.get(id) ?? null,
      getMeta: (name: string) => meta.get(name) ?? null,
      setMeta: (name: string, value: string) => void meta.set(name, value),
      synced: async () => {},
      changedSince: (since: number) => ({
        rev: this.#rev,
        agents: [],
        runs: [...this.runs.values()]
          .filter(({ rev }) => rev > since)
          .map(({ firstRev, prompt, ...run }) => ({ ...run, ...(firstRev > since && { prompt }) })),
      }),
    };
    return store as unknown as ReportDeps["store"];
  }

  /** What ended and is known at the gateway is forgotten here. */
  #heard(): void {
    this.answered += 1;
    for (const [id, run] of this.runs)
      if (run.endedAt !== null && run.rev <= this.reports.heldRev()) this.runs.delete(id);
    this.onAnswer();
  }
}

/** As an answer to the gateway has it. */
export const withoutPrompt = ({ prompt: _prompt, firstRev: _firstRev, ...run }: SimulatedRun): ReportedRun => run;
