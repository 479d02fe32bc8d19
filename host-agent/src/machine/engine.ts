/**
 * The few engine calls Berth makes, each with a deadline, behind one interface. Knows the engine's vocabulary and its
 * traps; knows nothing of users, agents or runs. A container or exec that is not there is null, not an exception.
 */
import type { Duplex } from "node:stream";
import Docker from "dockerode";
import { withDeadline } from "@berth/shared/wait";
import { MachineError } from "./machine-error.ts";
import { maskedPaths } from "./masked-paths.ts";
import { agentScore } from "./memory-rank.ts";
import { isThere } from "./missing.ts";
import { endForgotten } from "./processes.ts";
import { seccompProfile } from "./seccomp.ts";

export interface ContainerState {
  id: string;
  /** Its init lives; also while it is paused. False for one that is created, restarting, being removed, exited or dead. */
  running: boolean;
  paused: boolean;
  /** Host pid of the container's init; 0 unless running. */
  pid: number;
  startedAt: string;
  labels: Record<string, string>;
  imageId: string;
  limits: ContainerLimits;
}
export interface ContainerLimits {
  memoryBytes: number;
  cpus: number;
  pids: number;
}
export interface ExecState {
  running: boolean;
  /** Null until the process has ended. */
  exitCode: number | null;
  /** Host pid; 0 if the exec was never started. */
  pid: number;
}
export interface ContainerSpec extends ContainerLimits {
  name: string;
  image: string;
  /** The engine's default where it is left out. */
  runtime?: string | undefined;
  labels: Record<string, string>;
  mounts: { source: string; target: string; readOnly: boolean }[];
}
export interface ExecSpec {
  command: string[];
  env: string[];
  uid: number;
  gid: number;
  workingDir: string;
  /** How it is attached: not at all, to a terminal, or to three streams. */
  attach?: "terminal" | "streams";
}

/** Lowest engine API 1.x this works with (Docker 20.10), and the newest it was tried with. */
const minimumMinor = 41;
const newestTriedMinor = 47;
/**
 * On a terminal the engine detaches at a sequence of keys, Ctrl-P Ctrl-Q unless told otherwise, and holds back what may
 * begin it. It cannot be switched off: so one that nobody types, begun by a key whose second stroke brings the first.
 */
const detachKeys = ["\\", "^", "_", "]", "_", "\\", "^", "]", "\\", "_", "^", "_"].map((key) => `ctrl-${key}`).join();

/** Connects to the engine named by `DOCKER_HOST` (a Unix socket; default the local one) and settles the API version. */
export async function connectEngine(dockerHost: string | undefined): Promise<Engine> {
  const socketPath = (dockerHost ?? "unix:///var/run/docker.sock").replace(/^unix:\/\//, "");
  const probe = new Docker({ socketPath });
  const { ApiVersion: spoken, MinAPIVersion: least } = await within(10_000, "version", () => probe.version());
  const [minor, leastMinor] = [spoken, least].map((one) => Number(one.split(".")[1])) as [number, number];
  if (minor < minimumMinor)
    throw new Error(
      `the Docker engine speaks API ${spoken} and Berth needs 1.${minimumMinor}: install Docker 20.10 or later`,
    );
  return new Engine(
    new Docker({ socketPath, version: `v1.${Math.max(leastMinor, Math.min(minor, newestTriedMinor))}` }),
  );
}

/** The engine's API as far as Berth needs it. It holds no connection that would have to be closed. */
export class Engine {
  readonly #docker: Docker;

  constructor(docker: Docker) {
    this.#docker = docker;
  }

  /** Answers the new container's id; null if the name is taken. */
  async createContainer(spec: ContainerSpec): Promise<string | null> {
    const created = await within(60_000, "create", (abortSignal) =>
      this.#docker.createContainer({ ...toCreate(spec), abortSignal }),
    ).catch(unless(409));
    return created?.id ?? null;
  }

  /** Starting a running container is fine. */
  async startContainer(id: string): Promise<void> {
    await within(60_000, "start", (abortSignal) => this.#docker.getContainer(id).start({ abortSignal })).catch(
      unless(304),
    );
  }

  /** By id or name; null if there is none. */
  async inspectContainer(idOrName: string): Promise<ContainerState | null> {
    const found = await within(15_000, "inspect", (abortSignal) =>
      this.#docker.getContainer(idOrName).inspect({ abortSignal } as object),
    ).catch(unless(404));
    if (!found) return null;
    return {
      id: found.Id,
      running: found.State.Running && !found.State.Dead && !found.State.Restarting,
      paused: found.State.Paused,
      pid: found.State.Running ? found.State.Pid : 0,
      // The engine tells nanoseconds.
      startedAt: new Date(found.State.StartedAt).toISOString(),
      labels: found.Config.Labels ?? {},
      imageId: found.Image,
      limits: {
        memoryBytes: found.HostConfig.Memory ?? 0,
        cpus: (found.HostConfig.NanoCpus ?? 0) / 1e9,
        pids: found.HostConfig.PidsLimit ?? 0,
      },
    };
  }

  /**
   * Ends and removes it at once; one that is gone already, or is being removed, is fine. Of one that does not run the
   * engine may have forgotten processes: it was killed while it started them.
   */
  async removeContainer(id: string): Promise<void> {
    const isRunning = (await this.inspectContainer(id))?.running ?? false;
    await within(60_000, "remove", (abortSignal) =>
      this.#docker.getContainer(id).remove({ force: true, v: true, abortSignal }),
    ).catch(unless(404, 409));
    if (!isRunning) await endForgotten(id);
  }

  /** One that is not paused, or gone, is fine. */
  async unpauseContainer(id: string): Promise<void> {
    await within(15_000, "unpause", (abortSignal) =>
      this.#docker.getContainer(id).unpause({ abortSignal } as object),
    ).catch(unless(404, 409));
  }

  async listContainers(
    label: string,
  ): Promise<{ id: string; running: boolean; paused: boolean; labels: Record<string, string> }[]> {
    const list = await within(30_000, "list", (abortSignal) =>
      this.#docker.listContainers({
        all: true,
        filters: { label: [label] },
        abortSignal,
      } as Docker.ContainerListOptions),
    );
    return list.map(({ Id, State, Labels }) => ({
      id: Id,
      running: State === "running" || State === "paused",
      paused: State === "paused",
      labels: Labels,
    }));
  }

  /** The id of the image that has this name now; null if none has. */
  async imageId(name: string): Promise<string | null> {
    const found = await within(15_000, "image", () => this.#docker.getImage(name).inspect()).catch(unless(404));
    return found?.Id ?? null;
  }

  /** The names of the OCI runtimes that it has. */
  async runtimes(): Promise<string[]> {
    const { Runtimes } = (await within(15_000, "info", () => this.#docker.info())) as { Runtimes?: object };
    return Object.keys(Runtimes ?? {});
  }

  /** Null if the container is gone or not running. */
  async createExec(containerId: string, spec: ExecSpec): Promise<string | null> {
    const exec = await within(30_000, "exec create", (abortSignal) =>
      this.#docker.getContainer(containerId).exec({
        Cmd: spec.command,
        Env: spec.env,
        User: `${spec.uid}:${spec.gid}`,
        WorkingDir: spec.workingDir,
        AttachStdin: spec.attach !== undefined,
        AttachStdout: spec.attach !== undefined,
        AttachStderr: spec.attach !== undefined,
        Tty: spec.attach === "terminal",
        DetachKeys: detachKeys,
        abortSignal,
      }),
    ).catch(unless(404, 409));
    return exec?.id ?? null;
  }

  /** Starts it detached, once: "already" if it was started before, "gone" if the engine does not know it. */
  async startExec(execId: string): Promise<"started" | "already" | "gone"> {
    try {
      const answer = (await within(60_000, "exec start", (abortSignal) =>
        this.#docker.getExec(execId).start({ Detach: true, abortSignal }),
      )) as unknown as { resume(): void };
      answer.resume(); // an answer that nobody reads keeps a descriptor open here and in the engine
      return "started";
    } catch (error) {
      if (statusOfCode(error) === 409) return "already";
      if (statusOfCode(error) === 404) return "gone";
      throw error;
    }
  }

  /**
   * Starts it attached: what is written goes to its standard input, what is read comes from its output (in frames
   * unless on a terminal). Whoever has it reads or destroys it. Null if the engine does not know it.
   */
  async attachExec(execId: string, attach: "terminal" | "streams"): Promise<Duplex | null> {
    const start = this.#docker.getExec(execId).start({ hijack: true, stdin: true, Tty: attach === "terminal" });
    const stream = await within(60_000, "exec attach", () => start).catch((error: unknown) => {
      // An answer that comes after all must not stay open.
      start.then(
        (late) => late.destroy(),
        () => undefined,
      );
      return unless(404)(error);
    });
    // A connection that breaks is told to readers and writers; without a listener it would end this process.
    stream?.on("error", () => undefined);
    return stream ?? null;
  }

  /** Sets the size of its terminal; one that has ended meanwhile is fine. */
  async resizeExec(execId: string, { cols, rows }: { cols: number; rows: number }): Promise<void> {
    await within(15_000, "exec resize", (abortSignal) =>
      this.#docker.getExec(execId).resize({ w: cols, h: rows, abortSignal }),
    ).catch(unless(404, 409, 500));
  }

  async inspectExec(execId: string): Promise<ExecState | null> {
    const found = await within(15_000, "exec inspect", (abortSignal) =>
      this.#docker.getExec(execId).inspect({ abortSignal } as object),
    ).catch(unless(404));
    return found ? { running: found.Running, exitCode: found.ExitCode ?? null, pid: found.Pid ?? 0 } : null;
  }

  /**
   * Calls `onEvent` with the action of each event of containers with the label until the signal ends it: a hint to look, never a fact
   * to act upon. Rejects when the stream breaks.
   */
  async watchEvents(label: string, signal: AbortSignal, onEvent: (action: string) => void): Promise<void> {
    const filters = { type: ["container"], label: [label], event: ["die", "destroy", "oom", "pause"] };
    const opening = new AbortController();
    const stream = await within(30_000, "events", () =>
      this.#docker.getEvents({
        filters: JSON.stringify(filters) as unknown as object,
        abortSignal: AbortSignal.any([signal, opening.signal]),
      } as object),
    ).catch((error: unknown) => {
      opening.abort();
      throw error;
    });
    stream.setEncoding("utf8");
    let rest = "";
    for await (const chunk of stream) {
      const lines = (rest + String(chunk)).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines.filter(Boolean)) onEvent((JSON.parse(line) as { Action?: string }).Action ?? "");
    }
    throw new Error("the engine ended the event stream");
  }
}

/** What a workspace is called inside. */
export const hostname = "berth";
/** What is the same for every workspace of this machine: nothing but its mounts and the limits. */
export const fixedShape = () => ({
  NetworkMode: "none",
  Init: true,
  ReadonlyRootfs: true,
  CapDrop: ["ALL"],
  SecurityOpt: ["no-new-privileges", `seccomp=${seccompProfile}`],
  MaskedPaths: maskedPaths,
  // Its own name leads to itself, and so does every spelling of loopback.
  ExtraHosts: [`${hostname}:127.0.0.1`],
  ShmSize: 16 * 2 ** 20,
  // What outlives its process is small beside the workspace's memory.
  Sysctls: {
    "kernel.shmall": "4096",
    "kernel.shmmax": String(16 * 2 ** 20),
    "kernel.msgmni": "32",
    "kernel.sem": "250 2048 32 64",
    "fs.mqueue.queues_max": "32",
    ...(isThere("/proc/sys/net/ipv6") && { "net.ipv6.conf.lo.disable_ipv6": "0" }),
  },
  // A floor that none of its processes can go below; the forwarder is lowered once it runs.
  OomScoreAdj: agentScore,
  LogConfig: { Type: "none", Config: {} },
  RestartPolicy: { Name: "no" },
});

function toCreate(spec: ContainerSpec): Docker.ContainerCreateOptions {
  return {
    name: spec.name,
    Image: spec.image,
    Hostname: hostname,
    Labels: spec.labels,
    HostConfig: {
      ...fixedShape(),
      ...(spec.runtime !== undefined && { Runtime: spec.runtime }),
      Memory: spec.memoryBytes,
      MemorySwap: spec.memoryBytes,
      NanoCpus: Math.round(spec.cpus * 1e9),
      PidsLimit: spec.pids,
      Mounts: spec.mounts.map(({ source, target, readOnly }) => ({
        Type: "bind" as const,
        Source: source,
        Target: target,
        ReadOnly: readOnly,
        BindOptions: { Propagation: "rprivate" as const },
      })),
    },
  };
}

/** An engine that hangs must not hang its caller. */
const within = <T>(ms: number, what: string, call: (signal: AbortSignal) => Promise<T>): Promise<T> =>
  withDeadline(ms, call, () => new MachineError(`the Docker engine did not answer "${what}" in ${ms / 1000} s`));

const statusOfCode = (error: unknown) => (error as { statusCode?: number }).statusCode;
/** Turns the named statuses into undefined: for us they are facts, not failures. */
const unless =
  (...statuses: number[]) =>
  (error: unknown): undefined => {
    if (!statuses.includes(statusOfCode(error) ?? 0)) throw error;
  };
