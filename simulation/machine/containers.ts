/** What the engine has: containers and execs, and what becomes of their processes. No faults and no delays: `docker.ts` adds those. */
import { hash } from "../world/random.ts";
import { world } from "../world/world.ts";
import type { Kernel } from "./kernel.ts";
import type { Container, ContainerOptions, Exec, ExecOptions, Process } from "./shapes.ts";
import { runOf } from "./evidence.ts";
import { startRun } from "./run-program.ts";

/** An answer of the engine other than success. */
export class EngineError extends Error {
  readonly statusCode: number;
  constructor(statusCode: number, message: string) {
    super(`(HTTP code ${statusCode}) ${message}`);
    this.statusCode = statusCode;
  }
}

export class Containers {
  readonly kernel: Kernel;
  readonly all = new Map<string, Container>();
  readonly execs = new Map<string, Exec>();
  /** Every container there ever was, for the evidence. */
  readonly history = new Map<string, Container>();
  readonly listeners = new Set<(action: string, id: string) => void>();
  #count = 0;

  constructor(kernel: Kernel) {
    this.kernel = kernel;
  }

  create(options: ContainerOptions): Container {
    if ([...this.all.values()].some((other) => other.options.name === options.name))
      throw new EngineError(409, `the name ${options.name} is in use`);
    const id = this.#newId();
    const made = {
      id,
      options,
      isRunning: false,
      startedMs: 0,
      endedMs: 0,
      init: null,
      mounts: new Map(),
      isListening: false,
      isBounded: false,
      isFrozen: false,
      isTight: false,
      kept: new Map(),
    };
    this.all.set(id, made);
    this.history.set(id, made);
    return made;
  }

  /** By id or name. */
  find(idOrName: string): Container {
    const found = this.all.get(idOrName) ?? [...this.all.values()].find(({ options }) => options.name === idOrName);
    if (!found) throw new EngineError(404, `No such container: ${idOrName}`);
    return found;
  }

  start(container: Container): void {
    if (container.isRunning) throw new EngineError(304, "it runs already");
    const { kernel } = this;
    const mounts = container.options.HostConfig.Mounts.map(({ Source, Target }) => {
      const inode = kernel.files.find(Source);
      if (!inode) throw new EngineError(400, `bind source path does not exist: ${Source}`);
      return [Target, inode] as const;
    });
    container.mounts = new Map(mounts);
    container.init = this.#spawnOwn(container, 0);
    const asNew = { isListening: false, isBounded: false, isFrozen: false };
    Object.assign(container, { isRunning: true, startedMs: world().nowMs, ...asNew });
    const listen = () => {
      if (!container.isRunning) return;
      this.#spawnOwn(container, 19_999);
      container.isListening = true;
    };
    world().after(world().draws("forwarder", world().outside).delay(), listen, world().outside);
  }

  /** Ends what runs in it: its init goes last, within a moment. A run's program may be the first, and say so. */
  stop(container: Container): void {
    if (!container.isRunning) return;
    container.isRunning = false;
    container.endedMs = world().nowMs;
    container.kept.clear();
    const init = container.init!;
    init.isEnding = true;
    const draws = world().draws("container end", world().outside);
    for (const process of this.kernel.ofContainer(container)) {
      if (process === init) continue;
      const run = process.runId === null ? null : runOf(process.runId);
      if (run && draws.is(0.2)) run.writeCode(137);
      this.kernel.end(process, "container");
    }
    world().after(draws.between(0, 50), () => this.kernel.end(init, "container"), world().outside);
    for (const exec of this.execs.values())
      if (exec.container === container && exec.state === "made") this.execs.delete(exec.id);
    this.#tell("die", container.id);
  }

  remove(container: Container): void {
    this.stop(container);
    if (container.init) this.kernel.end(container.init, "container");
    this.all.delete(container.id);
    for (const exec of this.execs.values()) if (exec.container === container) this.execs.delete(exec.id);
    this.#tell("destroy", container.id);
  }

  createExec(container: Container, options: ExecOptions): Exec {
    if (!container.isRunning) throw new EngineError(409, `Container ${container.id} is not running`);
    const exec: Exec = {
      id: this.#newId(),
      container,
      options,
      state: "made",
      exitCode: null,
      process: null,
      isComing: false,
    };
    this.execs.set(exec.id, exec);
    return exec;
  }

  findExec(id: string): Exec {
    const exec = this.execs.get(id);
    if (!exec) throw new EngineError(404, `No such exec instance: ${id}`);
    return exec;
  }

  startExec(exec: Exec): void {
    if (exec.state !== "made") throw new EngineError(409, "exec was started already");
    if (!exec.container.isRunning) throw new EngineError(409, `Container ${exec.container.id} is not running`);
    if (world().draws("exec fails", world().outside).is(0.02)) {
      Object.assign(exec, { state: "ended", exitCode: 126 });
      throw new EngineError(503, "connection error: unavailable");
    }
    exec.state = "running";
    startRun(this.kernel, exec);
  }

  #spawnOwn(container: Container, uid: number): Process {
    return this.kernel.spawn({
      uid,
      gid: uid,
      environment: [],
      container,
      runId: null,
      movesOn: false,
      onSignal: () => "stays",
      onEnd: () => this.stop(container),
    });
  }

  #tell(action: string, id: string): void {
    for (const listener of this.listeners) listener(action, id);
  }

  #newId(): string {
    const count = ++this.#count;
    return Array.from({ length: 8 }, (_, at) => hash(`${count}.${at}`).toString(16).padStart(8, "0")).join("");
  }
}
