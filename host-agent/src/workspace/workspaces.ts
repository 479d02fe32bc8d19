/**
 * Workspaces: makes, finds, samples and removes the one container of a user. Works under a lock per user, so that two
 * calls never make two containers and a removal never races a new run. Knows runs only as "is there one in progress".
 */
import { AppError } from "@berth/shared/errors";
import type { ReportedWorkspace } from "@berth/shared/host-api";
import { messageOf } from "@berth/shared/log";
import { describeMemory, describeWorkspace, id, type Workspace } from "@berth/shared/resources";
import { findCgroup, readUsage } from "../machine/cgroup.ts";
import { identify, isAlive } from "../machine/processes.ts";
import {
  forwarderPort,
  nameOf,
  passwdOf,
  type RunningContainer,
  seesVolume,
  specOf,
  waitForForwarder,
  writePasswd,
} from "./container.ts";
import type { ContainerState, Engine } from "../machine/engine.ts";
import { type HostContext } from "../context/context.ts";
import { createLocks } from "../context/wait.ts";
import type { Sockets } from "./unix-sockets.ts";
import type { AgentRow } from "../store/rows.ts";
import type { Store } from "../store/store.ts";
import { type Volumes } from "./volumes.ts";
import { diskUse } from "./volume.ts";

interface Place {
  userId: string;
  status: Workspace["status"];
  container: RunningContainer | null;
  startedAt: string | null;
  reason: string | null;
  connections: number;
  lastBusyAt: number;
  sample: {
    memoryBytes: number;
    cpuNs: number;
    pids: number;
    cpuPercent: number;
    diskBytes: number;
    at: number;
  } | null;
}

/** A container younger than this is never judged an orphan. */
const youngMs = 60_000;

export interface WorkspaceDeps {
  context: HostContext;
  engine: Engine;
  store: Store;
  volumes: Volumes;
  sockets: Sockets;
}

/** The workspaces of this host. */
export class Workspaces {
  readonly #deps: WorkspaceDeps;
  readonly #places = new Map<string, Place>();
  readonly #locked = createLocks();

  constructor(deps: WorkspaceDeps) {
    this.#deps = deps;
  }

  /** The user's running container, if it really runs; null otherwise. */
  current(userId: string): RunningContainer | null {
    const place = this.#places.get(userId);
    return place && isRunning(place) ? place.container : null;
  }

  /** The user's running container, made if need be. Throws `no_host` or `host_unavailable`, with a sentence. */
  async ensure(userId: string): Promise<RunningContainer> {
    const place = this.#placeOf(userId);
    place.lastBusyAt = performance.now();
    if (isRunning(place) && place.status === "running") return place.container!;
    return this.#locked(userId, async () => {
      if (isRunning(place)) return place.container!;
      place.container = null;
      try {
        return await this.#create(place);
      } catch (error) {
        this.#change(place, { status: "failed", container: null, reason: messageOf(error) });
        if (error instanceof AppError) throw error;
        this.#deps.context.log.error("workspace.failed", { userId, error: messageOf(error) });
        const detail = `The workspace could not be started: ${messageOf(error)}.`;
        throw new AppError("host_unavailable", detail, { retryAfter: 5 }, { cause: error });
      }
    });
  }

  /** As `ensure`, with its forwarder listening: nothing of an agent may start before, for it could take the port. */
  async ensureReady(userId: string): Promise<RunningContainer> {
    const container = await this.ensure(userId);
    await waitForForwarder(container.init.pid, forwarderPort);
    return container;
  }

  /** Removes the container once `cancelRuns` has ended what runs in it; a run that came meanwhile is ended too. */
  async stop(userId: string, cancelRuns: () => Promise<void>): Promise<void> {
    const place = this.#placeOf(userId);
    // Cancelling waits for runs, and a run that starts may wait for this lock: never cancel while holding it.
    for (let isStopped = false; !isStopped;) {
      await cancelRuns();
      isStopped = await this.#locked(userId, async () => {
        if (this.#deps.store.countActive(userId) > 0) return false;
        await this.#remove(place, "asked");
        return true;
      });
    }
  }

  /** An agent that the container shall know: its line in /etc/passwd and its socket. */
  async admitAgent(agent: AgentRow): Promise<void> {
    if (!this.#deps.sockets.isOpen(agent)) await this.#admit(agent.userId, [agent]);
  }

  /** A client is there; call the answer once it is gone. */
  connect(userId: string): () => void {
    const place = this.#placeOf(userId);
    this.#change(place, { connections: place.connections + 1 });
    let isOpen = true;
    return () => {
      if (!isOpen) return;
      isOpen = false;
      this.#change(place, { connections: place.connections - 1, lastBusyAt: performance.now() });
    };
  }

  /** Removes workspaces that nobody used for `BERTH_IDLE_SECONDS`. A run admitted meanwhile gets a new one. */
  async removeIdle(): Promise<void> {
    const { context } = this.#deps;
    const idleMs = context.settings.BERTH_IDLE_SECONDS * 1000;
    const isIdle = (place: Place) => !this.#isBusy(place) && performance.now() - place.lastBusyAt >= idleMs;
    for (const place of this.#places.values()) {
      if (this.#isBusy(place)) place.lastBusyAt = performance.now();
      if (!isIdle(place)) continue;
      if (place.container === null && place.status === "absent") this.#places.delete(place.userId);
      if (place.container === null) continue;
      await this.#tryLocked(place.userId, "workspace.remove_failed", async () => {
        if (place.container && isIdle(place)) await this.#remove(place, "idle");
      });
    }
  }

  /** Unmounts the volumes of users without a container whom nobody asked for in twenty times `BERTH_IDLE_SECONDS`. */
  async unmountUnused(): Promise<void> {
    const { volumes, store, context } = this.#deps;
    for (const userId of await volumes.mounted())
      await this.#locked(userId, async () => {
        const isNeeded = this.#places.get(userId)?.container || store.countActive(userId) > 0;
        if (!isNeeded) await volumes.unmountUnused(userId, 20 * context.settings.BERTH_IDLE_SECONDS * 1000);
      });
  }

  /** Reads the kernel's figures of every running workspace. Logs a memory warning once per crossing. */
  sample(): void {
    const { settings, log } = this.#deps.context;
    for (const place of this.#places.values()) {
      const usage = place.container && isRunning(place) ? readUsage(place.container.cgroup) : null;
      if (!usage || !place.container) continue;
      const at = performance.now();
      const before = place.sample;
      const cpuPercent = before && at > before.at ? (100 * (usage.cpuNs - before.cpuNs)) / ((at - before.at) * 1e6) : 0;
      const diskBytes = diskUse(place.container.volume.root)?.usedBytes ?? 0;
      const memory = describeMemory(settings, usage.memoryBytes);
      const isNews = memory.warning !== describeMemory(settings, before?.memoryBytes ?? 0).warning;
      if (memory.warning && isNews) log.warn("memory.warning", { userId: place.userId, ...memory });
      this.#change(place, { sample: { ...usage, cpuPercent: Math.max(0, cpuPercent), diskBytes, at } });
    }
  }

  /** Makes memory and engine agree: adopts our running containers, removes dead ones, notices the gone. */
  async reconcile(): Promise<void> {
    const { engine, context } = this.#deps;
    for (const item of await engine.listContainers(`berth.host=${context.hostId}`)) {
      const userId = id.safeParse(item.labels["berth.user"]).data ?? "unknown";
      const place = this.#placeOf(userId);
      if (place.container?.id === item.id && item.running) continue;
      await this.#tryLocked(userId, "adopt.failed", () => this.#adopt(place, item.id));
    }
    for (const place of this.#places.values()) {
      if (place.container === null || isRunning(place)) continue;
      await this.#tryLocked(place.userId, "remove.failed", async () => {
        if (place.container === null || isRunning(place)) return;
        context.log.warn("container.lost", { userId: place.userId, containerId: place.container.id });
        await this.#remove(place, "lost");
        this.#change(place, { reason: "The container ended unexpectedly; the next message starts a new one." });
      });
    }
  }

  /** If need be, ends the user's container with all that runs in it, and does the job before a new one is made. */
  async evict(userId: string, reason: string, isNeeded: () => boolean, job: () => Promise<void>): Promise<void> {
    await this.#tryLocked(userId, "evict.failed", async () => {
      if (!isNeeded()) return;
      const place = this.#placeOf(userId);
      await this.#remove(place, reason);
      await job();
      this.#change(place, { reason });
    });
  }

  /** How the user's workspace stands now. */
  view(userId: string): Workspace {
    const { context, store, volumes } = this.#deps;
    const { settings, clock, hostId } = context;
    const { status, container, sample, connections, startedAt, reason } = this.#placeOf(userId);
    return describeWorkspace(settings, hostId, {
      ...sample,
      status,
      containerId: container?.id ?? null,
      diskLimitBytes: container?.volume.limitBytes ?? volumes.limitBytes,
      connections,
      activeRuns: store.countActive(userId),
      startedAt,
      sampledAt: sample ? new Date(clock.now() - (performance.now() - sample.at)).toISOString() : null,
      reason,
    });
  }

  /** All workspaces that are or were of use lately. */
  views(): ReportedWorkspace[] {
    return [...this.#places.keys()].map((userId) => ({ userId, ...this.view(userId) }));
  }

  /** How many run, or start, now. */
  count(): number {
    return [...this.#places.values()].filter(({ container, status }) => container !== null || status === "starting")
      .length;
  }

  #placeOf(userId: string): Place {
    let place = this.#places.get(userId);
    if (!place) {
      place = {
        userId,
        status: "absent",
        container: null,
        startedAt: null,
        reason: null,
        connections: 0,
        lastBusyAt: performance.now(),
        sample: null,
      };
      this.#places.set(userId, place);
    }
    return place;
  }

  #change(place: Place, fields: Partial<Place>): void {
    Object.assign(place, fields);
    this.#deps.context.bus.emit(`user:${place.userId}`, "host");
  }

  #isBusy(place: Place): boolean {
    return place.connections > 0 || this.#deps.store.countActive(place.userId) > 0;
  }

  /** Under the user's lock; a failure is logged, for the next pass tries again. */
  async #tryLocked(userId: string, failure: string, job: () => Promise<void>): Promise<void> {
    await this.#locked(userId, job).catch((error: unknown) =>
      this.#deps.context.log.warn(failure, { userId, error: messageOf(error) }),
    );
  }

  /** The agents' lines in /etc/passwd, then their sockets: who has a socket has a line. */
  async #admit(userId: string, agents: AgentRow[]): Promise<void> {
    await writePasswd(passwdOf(this.#deps.context.dataDir, userId), agents);
    await this.#deps.sockets.openUser(userId, agents);
  }

  async #create(place: Place): Promise<RunningContainer> {
    const { context, engine, store, volumes, sockets } = this.#deps;
    const { userId } = place;
    place.status = "absent";
    if (this.count() >= context.settings.BERTH_MAX_WORKSPACES)
      throw new AppError("no_host", "This host runs as many workspaces as it may; try again when one was closed.", {
        retryAfter: 10,
      });
    Object.assign(place, { status: "starting", reason: null, sample: null });
    // Told to the user alone: a report now would only compete with the engine for the processor.
    context.bus.emit(`user:${userId}`);
    const [volume] = await Promise.all([volumes.ensure(userId), this.#admit(userId, store.agentsOf(userId))]);
    const spec = specOf(context, userId, volume, sockets.directoryOf(userId));
    let containerId = await engine.createContainer(spec);
    if (containerId === null) {
      // An earlier process left one of this name: it is used as it is, or makes room.
      const found = await engine.inspectContainer(spec.name);
      if (found?.running && seesVolume(found, volume)) return this.#enter(place, found);
      if (found) await engine.removeContainer(found.id);
      containerId = await engine.createContainer(spec);
    }
    if (containerId === null) throw new Error("the engine still holds the name of the earlier container");
    await engine.startContainer(containerId);
    const state = await engine.inspectContainer(containerId);
    if (!state?.running) throw new Error("the container ended just after its start");
    context.log.info("workspace.started", { userId, containerId });
    return this.#enter(place, state);
  }

  /** Takes a running container as the user's own: its processes, its cgroup, its sockets. */
  async #enter(place: Place, state: ContainerState): Promise<RunningContainer> {
    const volume = await this.#deps.volumes.ensure(place.userId);
    const init = identify(state.pid);
    const cgroup = findCgroup(state.pid);
    if (!init || !cgroup) throw new Error("the container ended just after its start");
    if (!seesVolume(state, volume)) throw new Error("the container does not see the user's volume");
    const container = { id: state.id, init, cgroup, volume };
    this.#change(place, {
      status: "running",
      container,
      startedAt: state.startedAt,
      reason: null,
      lastBusyAt: performance.now(),
    });
    return container;
  }

  /** Takes a container of ours that runs as it should; removes any other, a young one excepted: it may be in the making. */
  async #adopt(place: Place, containerId: string): Promise<void> {
    if (isRunning(place)) return;
    const { context, engine, volumes, sockets, store } = this.#deps;
    const { userId } = place;
    const state = await engine.inspectContainer(containerId);
    if (!state) return;
    if (state.running && volumes.exists(userId) && seesVolume(state, await volumes.ensure(userId))) {
      await sockets.openUser(userId, store.agentsOf(userId));
      await this.#enter(place, state);
      context.log.info("workspace.adopted", { userId, containerId });
    } else if (!state.running || context.clock.now() - Date.parse(state.startedAt) > youngMs) {
      await engine.removeContainer(containerId);
      context.log.warn("orphan.removed", { userId, containerId });
    }
  }

  async #remove(place: Place, why: string): Promise<void> {
    const { engine, sockets, context } = this.#deps;
    const { status } = place;
    this.#change(place, { status: "stopping" });
    try {
      const found = place.container?.id ?? (await engine.inspectContainer(nameOf(context.hostId, place.userId)))?.id;
      if (found) await engine.removeContainer(found);
    } catch (error) {
      this.#change(place, { status });
      throw error;
    }
    await sockets.closeUser(place.userId);
    this.#change(place, {
      status: "absent",
      container: null,
      startedAt: null,
      sample: null,
      reason: null,
    });
    context.log.info("workspace.removed", { userId: place.userId, why });
  }
}

const isRunning = (place: Place) => place.container !== null && isAlive(place.container.init);
