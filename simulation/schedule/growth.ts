/**
 * What the host agent does again and again, counted in its calls of files, kernel and store while one thing around it is four times
 * as much, and then all of them. What one call of the store reads is counted where the store is.
 */
import { startMs } from "../world/globals.ts";
import { world } from "../world/world.ts";
import type { Script } from "../machine/script.ts";
import type { Kind, Operation } from "./operations.ts";
import { playSchedule } from "./schedule.ts";
import type { Scene } from "./scene.ts";

/** In a user's container and volume, and in the database. */
const base = {
  /** Runs that have ended, with their files. */
  history: 10,
  /** Those of others, of whom no files are here. */
  strangers: 10,
  /** Directories of runs that nobody knows, and that are too young to go. */
  unknown: 10,
  /** Processes of another agent in the same container. */
  processes: 10,
  /** Of what the run has said. */
  kibibytes: 10,
};
type Sizes = typeof base;
type Size = keyof Sizes;
const sizes = Object.keys(base) as Size[];
const times = 4;

type Step = [Kind, number, string, Partial<Script>?];
interface Pass {
  title: string;
  /** In proportion to these at most. */
  grows: Size[];
  /** Whose run goes on all the time. */
  busy: string;
  operations: Step[];
  /** How often all processes are looked at, at most. */
  looks: number;
  /** What is counted. */
  fromMs: number;
  untilMs: number;
}
const endless = { beginMs: 5, stepMs: 50, chunks: [], end: null, leaves: 0, isKilled: false, ignoresTerm: false };
/** The agent whose CLI can be started ahead. */
const waits = "agt_a2";
const madeMs = 3500;
const passes: Pass[] = [
  { title: "watching a run", grows: ["processes"], busy: waits, operations: [], looks: 5, fromMs: 5000, untilMs: 9000 },
  {
    title: "what is started ahead, and thinks about its message",
    grows: ["processes"],
    busy: "agt_a3",
    operations: [
      ["open", 5000, waits],
      ["start", 7500, waits, { ...endless, thinksMs: 2000 }],
    ],
    looks: 12,
    fromMs: 5001,
    untilMs: 9500,
  },
  {
    title: "a start, with retention's walk",
    // It tells the gateway of every run there is.
    grows: ["history", "strangers", "unknown", "processes"],
    busy: waits,
    operations: [["crash", 5000, "agt_a1"]],
    looks: 30,
    fromMs: 5001,
    untilMs: 9000,
  },
];
export interface Counted {
  title: string;
  calls: number;
  /** What makes more of them than it may. */
  beyond: string[];
}

export async function countAll(): Promise<Counted[]> {
  const counted: Counted[] = [];
  for (const pass of passes) {
    const { title, grows, looks } = pass;
    const calls = await count(pass, base);
    const beyond: string[] = [];
    const judge = (what: string, most: number, grown: number) =>
      grown > most && beyond.push(`${times} times ${what}: ${grown} calls instead of ${calls}`);
    for (const size of sizes) {
      const grown = await count(pass, { ...base, [size]: base[size] * times });
      judge(size, grows.includes(size) ? calls * times : calls, grown);
      const looked = (grown - calls) / (base.processes * (times - 1));
      if (size === "processes" && looked > looks) beyond.push(`${looked} looks at all processes instead of ${looks}`);
    }
    const all = Object.fromEntries(sizes.map((size) => [size, base[size] * times])) as Sizes;
    judge("everything", calls * times, await count(pass, all));
    counted.push({ title, calls, beyond });
  }
  return counted;
}

async function count({ busy, operations, fromMs, untilMs }: Pass, sizes: Sizes): Promise<number> {
  let calls = 0;
  const plan = () => {
    const { current, nowMs } = world();
    if (current.name.startsWith("host") && nowMs >= fromMs && nowMs < untilMs) calls++;
    return null;
  };
  const steps: Step[] = [
    ["start", 300, "agt_a1", { ...endless, end: 0 }],
    ["start", 3000, busy, endless],
    ...operations,
  ];
  const { violations } = await playSchedule({
    seed: 77,
    // Nothing waits: what takes many calls one after the other would not come to them all in its time.
    weather: { rate: 0, names: /^$/, pace: 0.005 },
    operations: steps.map(([kind, atMs, agent, script], index): Operation => {
      return { index, kind, atMs, user: "usr_a", agent, seed: 10, ...(script && { script }) };
    }),
    plan,
    prepare(scene) {
      const { world, machine } = scene;
      world.after(madeMs, () => make(scene, sizes), world.outside);
      // Those that judge would ask who wanted them.
      const forget = () =>
        machine.database.prepare("delete from runs where id like 'run_old%' or id like 'run_far%'").run();
      world.after(untilMs, forget, world.outside);
    },
  });
  if (violations[0]) throw new Error(violations[0].detail);
  return calls;
}

function make({ machine }: Scene, { history, strangers, unknown, processes, kibibytes }: Sizes): void {
  const { database, files, kernel, containers } = machine;
  const runs = "/data/mnt/usr_a/runs";
  const row = database.prepare("select * from runs where id = 'run_0'").get() as object;
  const others = Object.keys(row).filter((name) => name !== "id" && name !== "user_id");
  const copy = `insert into runs (id, user_id, ${others.join()}) select ?, ?, ${others.join()} from runs where id = 'run_0'`;
  const add = (id: string, user: string) => database.prepare(copy).run(id, user);
  for (let at = 0; at < history; at++) {
    add(`run_old${at}`, "usr_a");
    files.makeDirectories(`${runs}/run_old${at}`);
  }
  for (let at = 0; at < strangers; at++) add(`run_far${at}`, "usr_far");
  for (let at = 0; at < unknown; at++) files.makeDirectories(`${runs}/run_unknown${at}`);
  database.prepare("insert or replace into meta values ('retained', ?)").run(String(startMs - 31 * 86_400_000));
  const container = [...containers.all.values()][0]!;
  const [uid, gid] = [29_000, 29_000];
  for (let at = 0; at < processes; at++)
    kernel.spawn({
      uid,
      gid,
      environment: [],
      container,
      runId: null,
      movesOn: false,
      onSignal: () => "goes",
      onEnd: () => undefined,
    });
  const out = files.get(`${runs}/run_1/out`);
  files.write(out, Buffer.alloc(1024 * kibibytes), "out");
}
