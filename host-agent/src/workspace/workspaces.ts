/**
 * Workspaces: makes, finds, samples and removes the one container of a user. Works under a lock per user, so that two
 * calls never make two containers and a removal never races a new run. Knows runs only as "is there one in progress".
 */
import { AppError } from "@berth/shared/errors";
import type { ReportedWorkspace } from "@berth/shared/host-api";
import { messageOf } from "@berth/shared/log";
import type { Workspace } from "@berth/shared/resources";
import { id } from "@berth/shared/values";
import { sleep } from "@berth/shared/wait";
import { letGoOn } from "../machine/freezer.ts";
import { MachineError } from "../machine/machine-error.ts";
import {
  lookInto,
  nameOf,
  passwdOf,
  prepare,
  type RunningContainer,
  seesVolume,
  shapeLabel,
  specOf,
  tellApart,
  tellUnseen,
  waitForForwarder,
  writePasswd,
} from "./container.ts";
import type { ContainerState, Engine } from "../machine/engine.ts";
import { type HostContext } from "../context/context.ts";
import { createLocks } from "../context/wait.ts";
import { createImageCheck, noImage } from "./image.ts";
import { createJobs } from "./jobs.ts";
import type { Sockets } from "./unix-sockets.ts";
import type { AgentRow } from "../store/rows.ts";
import type { Store } from "../store/store.ts";
import { renewTmp, type Volume } from "./volume.ts";
import { type Volumes } from "./volumes.ts";
import { isRunning, newPlace, nextOfFound, type Place, sample, usedOf, viewOf, whyGo } from "./place.ts";

/** A container younger than this is never judged an orphan. */
const youngMs = 60_000;

export interface WorkspaceDeps {
  context: HostContext;
  engine: Engine;
  store: Store;
  volumes: Volumes;
  sockets: Sockets;
  /** Looks at what an earlier process of this host agent left in a container, unless it is new, and on the user's volume. */
  takeUp(userId: string, container: RunningContainer, isNew: boolean): Promise<void>;
}

/** The workspaces of this host. */
export class Workspaces {
  readonly #deps: WorkspaceDeps;
  readonly #places = new Map<string, Place>();
  readonly #locked = createLocks();
  readonly #attempt: ReturnType<typeof createJobs>;
  readonly #image: ReturnType<typeof createImageCheck>;

  constructor(deps: WorkspaceDeps) {
    this.#deps = deps;
    this.#image = createImageCheck(deps.context, deps.engine);
    this.#attempt = createJobs(deps.context, this.#locked);
  }

  /** The user's running container, if it really runs; null otherwise. */
  current(userId: string): RunningContainer | null {
    const place = this.#places.get(userId);
    return place && isRunning(place) ? place.container : null;
  }

  /** The user's running container, made if need be. Throws `no_host` or `host_unavailable`, with a sentence. */
  async start(userId: string): Promise<RunningContainer> {
    const place = this.#placeOf(userId);
    place.lastBusyAt = performance.now();
    if (isRunning(place) && place.status === "running") return place.container!;
    return this.#locked(userId, async () => {
      if (isRunning(place)) return place.container!;
      place.container = null;
      return this.#create(place).catch((error: unknown) => {
        throw this.#fail(place, error);
      });
    });
  }

  /** As `start`, and prepared: who is promised a run is promised that it can begin. */
  async ensure(userId: string): Promise<RunningContainer> {
    const container = await this.start(userId);
    await this.#prepare(this.#placeOf(userId), container);
    return container;
  }

  /** As `ensure`, with its forwarder listening: nothing of an agent may start before, for it could take the port. */
  async ensureReady(userId: string): Promise<RunningContainer> {
    const container = await this.ensure(userId);
    await waitForForwarder(container);
    return container;
  }

  /**
   * The user's running container, whether this process knows it yet or not; null if the engine says that there is none.
   * Throws while nobody can tell, or while it cannot be taken up.
   */
  async find(userId: string): Promise<RunningContainer | null> {
    const place = this.#placeOf(userId);
    if (isRunning(place)) return place.container;
    return this.#locked(userId, async () => {
      if (!isRunning(place)) await this.#adopt(place, nameOf(this.#deps.context.hostId, userId));
      return isRunning(place) ? place.container : null;
    });
  }

  /**
   * Removes the container once `cancelRuns` has ended what runs in it, then does the `last` before there is a new one; a run that
   * came meanwhile is ended too. `cancelRuns` throws when this host agent closes.
   */
  async stop(userId: string, cancelRuns: () => Promise<void>, last = async () => {}): Promise<void> {
    const place = this.#placeOf(userId);
    // Cancelling waits for runs, and a run that starts may wait for this lock: never cancel while holding it.
    for (;;) {
      await cancelRuns();
      const isStopped = await this.#locked(userId, async () => {
        if (this.#deps.store.countActive(userId) > 0) return false;
        await this.#remove(place, "asked");
        await last();
        return true;
      });
      if (isStopped) return;
      await sleep(20);
    }
  }

  /** An agent that the container shall know: its line in /etc/passwd and its socket. A run and a transfer may ask for it at once. */
  async admitAgent(agent: AgentRow): Promise<void> {
    const opened = () => this.#deps.sockets.opened(agent);
    await (opened() ?? this.#locked(agent.userId, async () => opened() ?? this.#admit(agent.userId, [agent])));
  }

  /** What the user may have has changed: a container that is there goes once nothing runs in it. */
  outdate = (userId: string): void => this.#change(this.#placeOf(userId), { isOutdated: true });
  isOutdated = (userId: string): boolean => this.#placeOf(userId).isOutdated;

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

  /** Removes workspaces that nobody used for `BERTH_IDLE_SECONDS`, and outdated ones. A run admitted meanwhile gets a new one. */
  removeIdle(): void {
    const { context, store } = this.#deps;
    const idleMostMs = context.settings.BERTH_IDLE_SECONDS * 1000;
    const look = (place: Place) => usedOf(place, store.countActive(place.userId));
    for (const place of this.#places.values()) {
      const used = look(place);
      if (used.connections > 0 || used.activeRuns > 0) place.lastBusyAt = performance.now();
      if (whyGo(used, idleMostMs) === null) continue;
      if (place.container === null && place.status === "absent") this.#places.delete(place.userId);
      if (place.container === null) continue;
      this.#attempt(place.userId, "workspace.remove_failed", async () => {
        const why = whyGo(look(place), idleMostMs);
        if (place.container && why) await this.#remove(place, why);
      });
    }
  }

  /** Unmounts the volumes of users without a container whom nobody asked for in twenty times `BERTH_IDLE_SECONDS`. */
  async unmountUnused(): Promise<void> {
    const { volumes, store, context } = this.#deps;
    for (const userId of await volumes.mounted())
      this.#attempt(userId, "unmount.failed", async () => {
        const isNeeded = this.#places.get(userId)?.container || store.countActive(userId) > 0;
        if (!isNeeded) await volumes.unmountUnused(userId, 20 * context.settings.BERTH_IDLE_SECONDS * 1000);
      });
  }

  /** Reads the kernel's figures of every running workspace. Logs a memory warning once per crossing. */
  sample(): void {
    for (const place of this.#places.values()) {
      const sampled = sample(this.#deps.context, place);
      if (sampled) this.#change(place, sampled);
    }
  }

  /** Reconciles memory with the engine: notices the gone, adopts ours that run, removes dead ones. Begins that for each user, and waits for none. */
  async reconcile(): Promise<void> {
    const { engine, context } = this.#deps;
    const listed = await engine.listContainers(`berth.host=${context.hostId}`);
    await this.#image.find();
    for (const place of this.#places.values())
      if (place.container !== null && !isRunning(place))
        this.#attempt(place.userId, "remove.failed", () => this.#noticeLost(place));
    for (const item of listed) {
      const userId = id.safeParse(item.labels["berth.user"]).data ?? "unknown";
      const place = this.#placeOf(userId);
      if (place.container?.id === item.id && item.running && !item.paused) continue;
      this.#attempt(userId, "adopt.failed", () => this.#tryAdopt(place, item.id));
    }
  }

  /** If need be, ends the user's container with all that runs in it, and does the job before a new one is made. */
  evict(userId: string, reason: string, isNeeded: () => boolean, job: () => Promise<void>): void {
    this.#attempt(userId, "evict.failed", async () => {
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
    return viewOf(context, this.#placeOf(userId), store.countActive(userId), volumes.bytesOf(userId));
  }

  /** All workspaces that are or were of use lately. */
  views(): ReportedWorkspace[] {
    return [...this.#places.keys()].map((userId) => ({ userId, ...this.view(userId) }));
  }

  /** Why no workspace can be started here now, in a sentence for the operator; null if one can. */
  get problem(): string | null {
    return this.#image.problem();
  }

  /** How many run, or start, now. */
  count(): number {
    return [...this.#places.values()].filter((place) => place.container || place.status === "starting").length;
  }

  #placeOf(userId: string): Place {
    let place = this.#places.get(userId);
    if (!place) {
      place = newPlace(userId);
      this.#places.set(userId, place);
    }
    return place;
  }

  #fail(place: Place, error: unknown): AppError {
    const nothing = { container: null, startedAt: null, sample: null };
    this.#change(place, { ...nothing, status: "failed", reason: messageOf(error) });
    if (error instanceof AppError) return error;
    this.#deps.context.log.error("workspace.failed", { userId: place.userId, error: messageOf(error) });
    const detail = `The workspace could not be started: ${messageOf(error)}.`;
    return new AppError("host_unavailable", detail, { retryAfter: 5 }, { cause: error });
  }

  #change(place: Place, fields: Partial<Place>): void {
    Object.assign(place, fields);
    this.#deps.context.bus.emit(`user:${place.userId}`, "host");
  }

  /** The agents' lines in /etc/passwd, then their sockets: who has a socket has a line. */
  async #admit(userId: string, agents: AgentRow[]): Promise<void> {
    const { context, sockets } = this.#deps;
    await writePasswd(passwdOf(context.dataDir, userId), agents);
    await sockets.openUser(userId, agents);
    const container = this.current(userId);
    if (!container) return;
    // Not beside what knows of fewer agents.
    await this.#prepare(this.#placeOf(userId), container);
    await tellApart(context, container, sockets.lanesOf(userId));
  }

  async #create(place: Place): Promise<RunningContainer> {
    const { context, engine, store, volumes, sockets } = this.#deps;
    const { userId } = place;
    place.status = "absent";
    if (this.count() >= context.settings.BERTH_MAX_WORKSPACES)
      throw new AppError("no_host", "This host runs as many workspaces as it may; try again when one was closed.", {
        retryAfter: 10,
      });
    Object.assign(place, { status: "starting", reason: null, sample: null, isOutdated: false });
    // Told to the user alone: a report now would only compete with the engine for the processor.
    context.bus.emit(`user:${userId}`);
    await volumes.unmountSmall(userId);
    const [volume] = await Promise.all([volumes.ensure(userId), this.#admit(userId, store.agentsOf(userId))]);
    const spec = specOf(context, userId, volume, sockets.directoryOf(userId));
    let containerId = await engine.createContainer(spec).catch(async (error: unknown) => {
      // Somebody may have removed the image since this process found it.
      if ((await this.#image.find()) !== null) throw error;
      throw new AppError("host_unavailable", noImage(spec.image), { retryAfter: 30 }, { cause: error });
    });
    if (containerId === null) {
      // An earlier process left one of this name: it is used as it is, or makes room.
      await this.#adopt(place, spec.name, 0);
      if (isRunning(place)) return place.container!;
      containerId = await engine.createContainer(spec);
    }
    if (containerId === null) throw new MachineError("the engine still holds the name of the earlier container");
    await renewTmp(volume);
    await engine.startContainer(containerId);
    const state = await engine.inspectContainer(containerId);
    if (!state?.running) throw new MachineError("the container ended just after its start");
    context.log.info("workspace.started", { userId, containerId });
    return this.#enter(place, state, { isNew: true });
  }

  /** Where it cannot be, the user's workspace has failed; one that is being taken up, or removed, is for who does that to tell. */
  async #prepare(place: Place, container: RunningContainer): Promise<void> {
    const { context, sockets } = this.#deps;
    await prepare(context, container, sockets.lanesOf(place.userId)).catch((error: unknown) => {
      throw place.container === container && place.status === "running" ? this.#fail(place, error) : error;
    });
  }

  /** Takes a running container as the user's own: its processes, its cgroup, its sockets. In one that was made just now nothing is left. */
  async #enter(place: Place, state: ContainerState, { isNew = false, isOutdated = false }): Promise<RunningContainer> {
    const volume = await this.#deps.volumes.ensure(place.userId);
    const container = lookInto(state, volume);
    if (!container) throw new MachineError("the container ended just after its start");
    if (!seesVolume(state, volume)) throw new MachineError(tellUnseen(this.#deps.context.settings));
    const prepared = this.#prepare(place, container);
    // Who starts something in a new one waits for that; in another, agents may be at work.
    if (isNew) prepared.catch(() => undefined);
    else await Promise.all([prepared, letGoOn(container.cgroup)]);
    await this.#deps.takeUp(place.userId, container, isNew || place.container?.id === state.id);
    place.isOutdated ||= isOutdated; // What changed meanwhile counts as well.
    Object.assign(place, { startedAt: state.startedAt, reason: null, lastBusyAt: performance.now() });
    this.#change(place, { status: "running", container });
    return container;
  }

  /**
   * Takes a container of ours that runs as it should, by id or name; removes any other. One younger than `graceMs` may be in the making.
   */
  async #adopt(place: Place, idOrName: string, graceMs = youngMs): Promise<void> {
    const { context, engine, volumes } = this.#deps;
    const { userId } = place;
    const state = await engine.inspectContainer(idOrName);
    // Berth never pauses one; whoever did, its runs would neither go on nor end.
    if (state?.paused) await engine.unpauseContainer(state.id);
    if (!state || isRunning(place)) return;
    const volume = state.running && volumes.exists(userId) ? await volumes.ensure(userId) : null;
    const sees = volume !== null && seesVolume(state, volume);
    // By the machine's clock, as the engine goes by it.
    const startedMsAgo = context.clock.machine() - Date.parse(state.startedAt);
    const next = nextOfFound({ isRunning: state.running, startedMsAgo, seesVolume: sees }, graceMs);
    if (next === "take") return this.#take(place, state, volume!);
    if (next === "wait")
      throw new MachineError("the container is in the making: it does not see the user's volume yet");
    await engine.removeContainer(state.id);
    context.log.warn("orphan.removed", { userId, containerId: state.id });
  }

  /** Takes a container that an earlier process made; one that is not what the settings say goes once nothing runs in it. */
  async #take(place: Place, state: ContainerState, volume: Volume): Promise<void> {
    const { context, sockets, store } = this.#deps;
    const { userId } = place;
    await sockets.openUser(userId, store.agentsOf(userId));
    const spec = specOf(context, userId, volume, sockets.directoryOf(userId));
    const image = (await this.#image.find()) ?? state.imageId;
    const isOutdated = state.labels[shapeLabel] !== spec.labels[shapeLabel] || state.imageId !== image;
    await this.#enter(place, state, { isOutdated });
    context.log.info("workspace.adopted", { userId, containerId: state.id, isOutdated });
  }

  async #tryAdopt(place: Place, containerId: string): Promise<void> {
    try {
      await this.#adopt(place, containerId);
    } catch (error) {
      if (!isRunning(place))
        this.#change(place, { status: "failed", reason: `It runs, and cannot be taken up: ${messageOf(error)}.` });
      throw error;
    }
  }

  async #noticeLost(place: Place): Promise<void> {
    if (place.container === null || isRunning(place)) return;
    this.#deps.context.log.warn("container.lost", { userId: place.userId, containerId: place.container.id });
    await this.#remove(place, "lost");
    this.#change(place, { reason: "The container ended unexpectedly; the next message starts a new one." });
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
    const nothing = { container: null, startedAt: null, sample: null, reason: null };
    this.#change(place, { status: "absent", ...nothing, isOutdated: false });
    context.log.info("workspace.removed", { userId: place.userId, why });
  }
}
