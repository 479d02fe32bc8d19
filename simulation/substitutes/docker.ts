/** The substitute of `dockerode`: the machine's engine as a client sees it, with the delays and failures of the weather. */
import { PassThrough } from "node:stream";
import { mark, world } from "../world/world.ts";
import { startMs } from "../world/globals.ts";
import { EngineError } from "../machine/containers.ts";
import { machine } from "../machine/machine.ts";
import type { ContainerOptions, Exec, ExecOptions } from "../machine/shapes.ts";

/** One call: an engine that is away refuses it, one that hangs never answers. */
function call<T>(name: string, work: () => T, lateMs?: number): Promise<T> {
  const there = machine();
  return world().io(
    `engine.${name}`,
    () => {
      if (there.engine === "away")
        throw Object.assign(new Error(`connect ECONNREFUSED ${mark}`), { code: "ECONNREFUSED" });
      if (there.engine === "hangs") return new Promise<T>(() => undefined);
      return work();
    },
    { by: world().outside, ...(lateMs !== undefined && { lateMs }) },
  );
}

/** The engine says of an exec that it runs, and has not begun to start its process, which may yet fail. */
async function dawdle(exec: Exec): Promise<void> {
  exec.isComing = true;
  const ms = world().draws("dawdle", world().outside).between(10, 3000);
  await new Promise<void>((resolve) => void world().after(ms, resolve, world().outside));
  exec.isComing = false;
}

const isoOf = (ms: number) => new Date(startMs + ms).toISOString();

export default class Docker {
  version(): Promise<{ ApiVersion: string; MinAPIVersion: string }> {
    return call("version", () => ({ ApiVersion: "1.47", MinAPIVersion: "1.24" }));
  }

  createContainer(options: ContainerOptions): Promise<{ id: string }> {
    return call("create", () => ({ id: machine().containers.create(options).id }), 61_000);
  }

  getContainer(id: string) {
    const find = () => machine().containers.find(id);
    return {
      start: () => call("start", () => machine().containers.start(find()), 61_000),
      remove: () => call("remove", () => machine().containers.remove(find()), 61_000),
      stop: () => call("stop", () => machine().containers.stop(find())),
      inspect: () =>
        call("inspect", () => {
          const { id, isRunning, init, startedMs, options } = find();
          const state = {
            Running: isRunning,
            Dead: false,
            Pid: isRunning ? init!.pid : 0,
            StartedAt: isoOf(startedMs),
          };
          const { HostConfig, Labels, Image } = options;
          return {
            Id: id,
            Name: `/${options.name}`,
            State: state,
            HostConfig,
            Image: `sha256:${Image}`,
            Config: { Labels, Image },
          };
        }),
      exec: (options: ExecOptions) =>
        call("createExec", () => ({ id: machine().containers.createExec(find(), options).id }), 31_000),
    };
  }

  listContainers({ filters }: { filters: { label: string[] } }) {
    const [name, value] = filters.label[0]!.split("=");
    return call(
      "list",
      () =>
        [...machine().containers.all.values()]
          .filter(({ options }) => options.Labels[name!] === value)
          .map(({ id, isRunning, options: { Labels, Image, name } }) => ({
            Id: id,
            State: isRunning ? "running" : "exited",
            Labels,
            Image,
            Names: [`/${name}`],
          })),
      31_000,
    );
  }

  getImage(name: string) {
    return { inspect: () => call("image", () => ({ Id: `sha256:${name}` })) };
  }

  getExec(id: string) {
    const find = () => machine().containers.findExec(id);
    return {
      start: () =>
        call(
          "startExec",
          async () => {
            const there = machine();
            const exec = find();
            if (there.isDawdling && exec.state === "made" && !exec.isComing) await dawdle(exec);
            there.containers.startExec(exec);
            return { resume: () => undefined };
          },
          61_000,
        ),
      inspect: () =>
        call("inspectExec", () => {
          const { state, exitCode, process, isComing } = find();
          return { Running: isComing || state === "running", ExitCode: exitCode, Pid: process?.pid ?? 0 };
        }),
    };
  }

  /** Told a while later, and sometimes not at all: an event is a hint. */
  getEvents({ abortSignal }: { abortSignal?: AbortSignal } = {}): Promise<PassThrough> {
    const there = machine();
    const side = world().current;
    return call("events", () => {
      if (side.isDead) throw new EngineError(500, "gone");
      // A client that has given up reads no more, and hears of no end.
      const stream = new PassThrough().on("error", () => undefined);
      const listener = (Action: string, id: string) => {
        const draws = world().draws("event", world().outside);
        if (draws.is(0.1)) return;
        world().after(
          draws.delay(),
          () => stream.write(`${JSON.stringify({ Action, id, Actor: { ID: id } })}\n`),
          side,
        );
      };
      there.containers.listeners.add(listener);
      const end = () => {
        there.containers.listeners.delete(listener);
        there.breaks.delete(end);
        abortSignal?.removeEventListener("abort", end);
        if (!side.isDead) world().after(1, () => stream.destroy(new Error(`the stream broke ${mark}`)), side);
      };
      there.breaks.add(end);
      abortSignal?.addEventListener("abort", end);
      side.onDeath.push(end);
      return stream;
    });
  }
}
