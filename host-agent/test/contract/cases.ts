/**
 * What the host agent relies on of engine, kernel and files: one list, asked of real ones (e2e) and of the simulation's
 * model of them. Whoever runs it gives a place; each case answers plain data.
 */
import { findCgroup, readOomKills } from "../../src/machine/cgroup.ts";
import { whileFrozen } from "../../src/machine/freezer.ts";
import { openKillLog } from "../../src/machine/kmsg.ts";
import { identify, isAlive, processesOf } from "../../src/machine/processes.ts";
import { ofFiles } from "./file-cases.ts";
import { type Case, codeOf, type Place } from "./place.ts";

const label = "berth.contract";
const nobody = "0".repeat(64);
async function startOne({ engine, spec }: Place): Promise<string> {
  const id = (await engine.createContainer(spec()))!;
  await engine.startContainer(id);
  return id;
}

/** Has it, and removes it whatever comes. */
async function withContainer<T>(place: Place, use: (id: string) => Promise<T>): Promise<T> {
  const id = await startOne(place);
  try {
    return await use(id);
  } finally {
    await place.engine.removeContainer(id);
  }
}

const ended = (place: Place, execId: string) =>
  place.until(async () => (await place.engine.inspectExec(execId))?.running === false);

const ofEngine: Case[] = [
  {
    name: "a name is one container's",
    answer: [64, null],
    async ask({ engine, spec }) {
      const one = spec();
      const id = await engine.createContainer(one);
      const other = await engine.createContainer(one);
      await engine.removeContainer(id!);
      return [id!.length, other];
    },
  },
  {
    name: "a container that was made does not run, and one that runs is started again without harm",
    answer: [false, 0, true, true],
    async ask({ engine, spec }) {
      const id = (await engine.createContainer(spec()))!;
      const made = (await engine.inspectContainer(id))!;
      await engine.startContainer(id);
      await engine.startContainer(id);
      const started = (await engine.inspectContainer(id))!;
      await engine.removeContainer(id);
      return [made.running, made.pid, started.running, started.pid > 0];
    },
  },
  {
    name: "what is not there is null, and removed without harm",
    answer: [null, null, null, "gone", "done"],
    async ask({ engine, exec }) {
      return [
        await engine.inspectContainer(nobody),
        await engine.createExec(nobody, exec(0)),
        await engine.inspectExec(nobody),
        await engine.startExec(nobody),
        await codeOf(() => engine.removeContainer(nobody)),
      ];
    },
  },
  {
    name: "a container is found by its name, its labels and limits with it",
    answer: [true, "yes", 2 ** 28, 64],
    async ask({ engine, spec }) {
      const one = spec();
      const id = (await engine.createContainer(one))!;
      const found = (await engine.inspectContainer(one.name))!;
      await engine.removeContainer(id);
      return [found.id === id, found.labels[label], found.limits.memoryBytes, found.limits.pids];
    },
  },
  {
    name: "those of a label are listed, whether they run or not",
    answer: [[[false, true]], [[true, true]], []],
    async ask({ engine, spec }) {
      const one = spec();
      const listed = async () =>
        (await engine.listContainers(`berth.case=${one.labels["berth.case"]}`)).map((each) => [
          each.running,
          each.labels["berth.case"] === one.labels["berth.case"],
        ]);
      const id = (await engine.createContainer(one))!;
      const made = await listed();
      await engine.startContainer(id);
      const started = await listed();
      await engine.removeContainer(id);
      return [made, started, await listed()];
    },
  },
  {
    name: "no exec is made in a container that does not run",
    answer: null,
    async ask({ engine, spec, exec }) {
      const id = (await engine.createContainer(spec()))!;
      const execId = await engine.createExec(id, exec(0));
      await engine.removeContainer(id);
      return execId;
    },
  },
  {
    name: "an exec that was made and not started has no code, no process, and does not run",
    answer: { running: false, exitCode: null, pid: 0 },
    ask: (place) =>
      withContainer(place, async (id) => place.engine.inspectExec((await place.engine.createExec(id, place.exec(0)))!)),
  },
  {
    name: "an exec starts once, and keeps its code",
    answer: ["started", "already", 7],
    ask: (place) =>
      withContainer(place, async (id) => {
        const execId = (await place.engine.createExec(id, place.exec(7)))!;
        const first = await place.engine.startExec(execId);
        await ended(place, execId);
        const second = await place.engine.startExec(execId);
        return [first, second, (await place.engine.inspectExec(execId))!.exitCode];
      }),
  },
  {
    name: "an exec goes with its container",
    answer: [null, "gone"],
    async ask(place) {
      const { engine, exec } = place;
      const id = await startOne(place);
      const execId = (await engine.createExec(id, exec(null)))!;
      await engine.startExec(execId);
      await engine.removeContainer(id);
      return [await engine.inspectExec(execId), await engine.startExec(execId)];
    },
  },
];

/** What is left of a container with a program in it once its engine has been killed and is back. */
const restarted = (place: Place, letsGoOn: boolean) =>
  withContainer(place, async (id) => {
    const { engine, exec } = place;
    const execId = (await engine.createExec(id, exec(null)))!;
    await engine.startExec(execId);
    await place.until(async () => (await engine.inspectExec(execId))!.pid > 0);
    const { pid } = (await engine.inspectExec(execId))!;
    const [init, program] = [identify((await engine.inspectContainer(id))!.pid)!, identify(pid)!];
    await place.restartEngine(letsGoOn);
    await place.until(async () => letsGoOn || !(isAlive(init) || (await engine.inspectContainer(id))!.running));
    const { running } = (await engine.inspectContainer(id))!;
    const known = [await engine.inspectExec(execId), await engine.startExec(execId)];
    return { running, lives: [isAlive(init), isAlive(program)], known };
  });

const ofRestarts: Case[] = [
  {
    name: "an engine that comes back has forgotten its execs, and lets container and programs go on where it is told to",
    answer: { running: true, lives: [true, true], known: [null, "gone"] },
    ask: (place) => restarted(place, true),
  },
  {
    name: "one that is not told to ends them",
    answer: { running: false, lives: [false, false], known: [null, "gone"] },
    ask: (place) => restarted(place, false),
  },
];

const ofKernel: Case[] = [
  {
    name: "an exec's processes are in its container's cgroup, by their uid, until they are killed",
    answer: [true, true, [], 137],
    ask: (place) =>
      withContainer(place, async (id) => {
        const { engine, exec, uid, until } = place;
        const execId = (await engine.createExec(id, exec(null)))!;
        await engine.startExec(execId);
        const cgroup = findCgroup((await engine.inspectContainer(id))!.pid)!;
        const own = () => processesOf(cgroup, (owner) => owner.uid === uid);
        await until(() => own().length > 0);
        const { pid } = (await engine.inspectExec(execId))!;
        const isOwn = own().includes(pid);
        const known = identify(pid)!;
        const wasAlive = isAlive(known);
        await until(() => {
          for (const other of own()) process.kill(other, "SIGKILL");
          return own().length === 0;
        });
        await ended(place, execId);
        return [isOwn, wasAlive, own(), (await engine.inspectExec(execId))!.exitCode];
      }),
  },
  {
    name: "a removed container has no process and no cgroup",
    answer: [null, null],
    async ask(place) {
      const id = await startOne(place);
      const { pid } = (await place.engine.inspectContainer(id))!;
      await place.engine.removeContainer(id);
      await place.until(() => identify(pid) === null);
      return [identify(pid), findCgroup(pid)];
    },
  },
  {
    name: "a container whose init is killed stays, without a process, and takes no exec",
    answer: [false, 0, null, []],
    ask: (place) =>
      withContainer(place, async (id) => {
        const { engine, exec, uid, until } = place;
        const execId = (await engine.createExec(id, exec(null)))!;
        await engine.startExec(execId);
        const { pid } = (await engine.inspectContainer(id))!;
        const cgroup = findCgroup(pid)!;
        process.kill(pid, "SIGKILL");
        await until(async () => (await engine.inspectContainer(id))?.running === false);
        const { running, pid: left } = (await engine.inspectContainer(id))!;
        const own = processesOf(cgroup, (owner) => owner.uid === uid);
        return [running, left, await engine.createExec(id, exec(0)), own];
      }),
  },
  {
    name: "a kill for want of memory is counted, and the kernel's log names container and uid",
    answer: [true, true, 137],
    ask: (place) =>
      withContainer(place, async (id) => {
        const { engine, exec, uid, until } = place;
        const log = openKillLog();
        try {
          const cgroup = findCgroup((await engine.inspectContainer(id))!.pid)!;
          const execId = (await engine.createExec(id, exec("greedy")))!;
          await engine.startExec(execId);
          await ended(place, execId);
          const isTold = () => Boolean(log.read()?.some((kill) => kill.cgroup.includes(id) && kill.uid === uid));
          await until(isTold);
          return [(readOomKills(cgroup) ?? 0) > 0, true, (await engine.inspectExec(execId))!.exitCode];
        } finally {
          log.close();
        }
      }),
  },
  {
    name: "a container stands still while it is looked at, and goes on",
    answer: [true, 7],
    ask: (place) =>
      withContainer(place, async (id) => {
        const { engine, exec, uid } = place;
        await engine.startExec((await engine.createExec(id, exec(null)))!);
        const cgroup = findCgroup((await engine.inspectContainer(id))!.pid)!;
        const own = () => processesOf(cgroup, (owner) => owner.uid === uid).length > 0;
        await place.until(own);
        // On a machine that is full it may not come to a standstill in time, and says so.
        let wasThere: boolean | null = null;
        await place.until(async () => (wasThere = await whileFrozen(cgroup, own)) !== null);
        const execId = (await engine.createExec(id, exec(7)))!;
        await engine.startExec(execId);
        await ended(place, execId);
        return [wasThere, (await engine.inspectExec(execId))!.exitCode];
      }),
  },
  {
    name: "the end of a container is told to who watches its label",
    answer: ["destroy", "die"],
    async ask(place) {
      const { engine, spec, until } = place;
      const one = spec();
      const [told, closing] = [new Set<string>(), new AbortController()];
      const note = (action: string) => told.add(action);
      const watching = engine.watchEvents(`berth.case=${one.labels["berth.case"]}`, closing.signal, note);
      watching.catch(() => undefined);
      // An event is a hint, and the first may come before anybody listens: once more until it is told.
      await until(async () => {
        const id = (await engine.createContainer(one))!;
        await engine.startContainer(id);
        await engine.removeContainer(id);
        return told.has("die") && told.has("destroy");
      });
      closing.abort();
      return [...told].filter((action) => action === "die" || action === "destroy").toSorted();
    },
  },
  {
    name: "no kill for want of memory is counted before there is one",
    answer: 0,
    ask: (place) =>
      withContainer(place, async (id) => readOomKills(findCgroup((await place.engine.inspectContainer(id))!.pid)!)),
  },
];

export const cases: Case[] = [...ofEngine, ...ofRestarts, ...ofKernel, ...ofFiles];
