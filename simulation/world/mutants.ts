/** Faults put back, each a text of the product or of the model: what must be noticed, by which invariant, within how many schedules. */
import type { Mutation } from "./hooks.ts";

export interface Mutant {
  name: string;
  invariant: string;
  /** Schedules until it is noticed, measured over eight or ten hits from seed 1 on, of gateway and hosts five: `--mutant NAME --failures 10`. The suite plays ten times as many. */
  mean: number;
  /** The operations that it is tried with; all where nothing is said. */
  kinds?: string[];
  /** Whether each of those comes as often as the others: what a rare one provokes is noticed sooner. */
  isEven?: boolean;
  mutations: Mutation[];
  /** Of one noticed at points: in which scenario. */
  scenario?: string;
  /** Whether that invariant alone notices it: without it this fault would go through. */
  isAlone?: boolean;
}

const run = "host-agent/src/run";
const one = (name: string, invariant: string, mean: number, ...mutations: Mutation[]): Mutant => ({
  name,
  invariant,
  mean,
  mutations,
});

const all: Mutant[] = [
  one("what cannot be withdrawn at once stays", "every admitted run ends", 53, {
    file: `${run}/runs.ts`,
    from: "if (isNew) void this.#withdraw(id);",
    to: "if (isNew && !this.#live.has(id)) store.withdraw(id);",
  }),
  one("the first kill that nobody saw is not counted", "what is told is what the evidence says", 288, {
    file: `${run}/oom.ts`,
    from: "    store.setMeta(",
    to: "    if (sequence < -1) store.setMeta(",
  }),
  one("a spent day ends what has begun", "what is told is what the evidence says", 121, {
    file: `${run}/runs.ts`,
    from: "if (isSpent && run.startedAt === null && !traces.exit().hasBegun)",
    to: "if (isSpent)",
  }),
  one("a machine without room is a user's full disk", "what is told is what the evidence says", 33, {
    file: `${run}/launch.ts`,
    from: "if (error instanceof VolumeFullError) {",
    to: "if (/ENOSPC|disk is full/.test(String(error))) {",
  }),
  one("a file that is never read again holds up its run", "every admitted run ends", 42, {
    file: `${run}/run-files.ts`,
    from: "if (isPatient()) throw new UnreadableError(",
    to: "if (isPatient() || true) throw new UnreadableError(",
  }),
  one(
    "what decorates an end prevents it",
    "every admitted run ends",
    16,
    {
      file: `${run}/run-log.ts`,
      from: "const start = Math.max(0, size - maxBytes);",
      to: "const start = size - maxBytes === 1 ? -2 : 0;",
    },
    { file: `${run}/settle.ts`, from: "if (isNeeded && failures < patience) throw error;", to: "throw error;" },
  ),
  one(
    "what is not in memory is lost",
    "what is told is what the evidence says",
    24,
    { file: `${run}/launch.ts`, from: "await workspaces.find(run.userId)", to: "workspaces.current(run.userId)" },
    { file: `${run}/runs.ts`, from: "= await workspaces.find(userId);", to: "= workspaces.current(userId);" },
  ),
  one("one empty list is taken for a proof", "an ended run has no process", 15, {
    file: "host-agent/src/machine/processes.ts",
    from: "if (pids.length === 0 && isWhole) return;",
    to: "if (pids.length === 0) return;",
  }),
  one(
    "a list that proves nothing is taken for processes",
    "what is told is what the evidence says",
    182,
    { file: `${run}/launch.ts`, from: "{ proveWithout }", to: "{ isWithout }" },
    {
      file: `${run}/launch.ts`,
      from: "mayGoOn && !(await proveWithout(container.cgroup, inRunOf(agent.uid)))",
      to: "mayGoOn && !isWithout(container.cgroup, inRunOf(agent.uid))",
    },
    {
      file: `${run}/launch.ts`,
      from: "!(await proveWithout(cgroup, inRunOf(agent.uid)))",
      to: "!isWithout(cgroup, inRunOf(agent.uid))",
    },
  ),
  one("a lost container hides an exit code", "what is told is what the evidence says", 41, {
    file: `${run}/launch.ts`,
    from: "const over = { exitCode: exit.code,",
    to: "const over = { exitCode: null,",
  }),
  one(
    "an order is begun at each answer",
    "no order is begun twice",
    59,
    { file: "host-agent/src/membership/orders.ts", from: "return !progress ||", to: "return true ||" },
    {
      file: "host-agent/src/inside/agents.ts",
      from: "return deps.deletions(agentId, () => deleteOnce(deps, userId, agentId));",
      to: "return deleteOnce(deps, userId, agentId);",
    },
  ),
  one(
    "a stop goes on while the host agent closes",
    "every loop yields",
    70,
    { file: `${run}/runs.ts`, from: "?.done));\n    this.#refuseClosing();", to: "?.done));" },
    {
      file: "host-agent/src/workspace/workspaces.ts",
      from: "      if (isStopped) return;\n      await sleep(20);",
      to: "      if (isStopped) return;",
    },
  ),
  one("a run is withdrawn under another call", "no call is answered by a defect", 18, {
    file: `${run}/runs.ts`,
    from: "this.#promising.get(id) ?? promise()",
    to: "promise()",
  }),
  one(
    "a begun run is started again",
    "a run starts once",
    5,
    { file: `${run}/decide.ts`, from: 'if (exec === "running" || hasBegun) return "watch";', to: "" },
    {
      file: `${run}/decide.ts`,
      from: 'if (exit.hasBegun || run.startedAt !== null) return container === "here" ? "watch" : "lost";',
      to: "",
    },
  ),
  one(
    "a lost database gives uids anew",
    "a uid has one owner",
    49,
    {
      file: "host-agent/src/parts.ts",
      from: "(uid) => store.reserveUids(uid + 1)",
      to: "() => undefined",
    },
    {
      file: "host-agent/src/workspace/reserve-uids.ts",
      from: "store.reserveUids((await volumes.highestKept()) + 1);",
      to: "",
    },
    {
      file: "host-agent/src/workspace/volume.ts",
      from: "  if (other)\n",
      to: "  if (other && false)\n",
    },
    {
      file: "host-agent/src/store/store.ts",
      from: "isFree ? ownedUid : this.#takeUid(), spec,",
      to: "this.#takeUid(), spec,",
    },
  ),
  one("a restored database keeps its epoch", "the gateway's copy is the host's truth", 8, {
    file: "host-agent/src/membership/reports.ts",
    from: "if (isRolledBack(store, this.#held.epoch === store.epoch, said)) {",
    to: "if (false) {",
  }),
  one(
    "a hung engine loses a container",
    "what is told is what the evidence says",
    26,
    {
      file: `${run}/launch.ts`,
      from: "const neverBegan = { ...lostWithoutBegin, isContainerLost: false };",
      to: "const neverBegan = lostWithoutBegin;",
    },
    { file: `${run}/launch.ts`, from: '\n    store.intend(runId, "start_timeout");', to: "" },
  ),
  one("processes outlive their run", "an ended run has no process", 2, {
    file: `${run}/settle.ts`,
    from: "if (container) await endProcesses(",
    to: "if (false) await endProcesses(",
  }),
  one("nobody hears of a loop that fails", "nothing is thrown that nobody catches", 4, {
    file: "host-agent/src/loops.ts",
    from: 'if (isWell) log.warn("loop.failed", { loop: name, error: messageOf(error) });',
    to: 'throw new TypeError("unheard");',
  }),
  one("a new database starts at the second attempt", "the host agent starts", 1, {
    file: "host-agent/src/workspace/reserve-uids.ts",
    from: 'store.setMeta("uids_reserved", "1");',
    to: 'store.setMeta("uids_reserved", "1"); throw new TypeError("once");',
  }),
  one(
    "a container counts as prepared once its forwarder listens",
    "nothing of an agent starts in a container that is not prepared",
    34,
    {
      file: "host-agent/src/workspace/workspaces.ts",
      from: "await this.#prepare(this.#placeOf(userId), container);\n    return container;",
      to: "container.isPrepared = true;\n    return container;",
    },
  ),
  one("a busy agent takes another run", "an agent has one run, a user one that waits", 2, {
    file: "host-agent/src/store/store.ts",
    from: "      if (busy) return { busy: busy.id };\n      const missing",
    to: "      const missing",
  }),
  one("a user has no limit", "a user has three runs", 28, {
    file: "host-agent/src/store/room.ts",
    from: 'if (active.length >= room.limit) return "run_limit";',
    to: "",
  }),
  one("an exit code is misread", "what is told is what the evidence says", 2, {
    file: `${run}/run-files.ts`,
    from: "code: code === undefined ? null : Number(code)",
    to: "code: code === undefined ? null : Number(code) ^ 1",
  }),
  one("what waits is forgotten for another", "an agent has one run, a user one that waits", 5, {
    file: `${run}/ahead.ts`,
    from: "      await this.#end(userId);\n    }\n  }",
    to: "      this.#waiting.delete(userId);\n    }\n  }",
  }),
  one("what has taken its message is taken for dead", "a run starts once", 5, {
    file: `${run}/ahead.ts`,
    from: "if (hasTaken(readBeginning(volume, runId))) return true;",
    to: "",
  }),
  one("what was claimed is never told", "what is told is what the evidence says", 5, {
    file: `${run}/ahead.ts`,
    from: "if (!wasTold(volume, run.id, messageId)) {",
    to: "if (false) {",
  }),
  one(
    "a word that is repeated is told again",
    "a word is told once",
    5,
    { file: `${run}/turn.ts`, from: "if (wasTold(volume, run.id, messageId)) return;", to: "" },
    { file: `${run}/run-input.ts`, from: "if (once !== undefined && hasLineWith(text, once)) return false;", to: "" },
  ),
  one(
    "nobody frees what an ended run kept",
    "what an ended run kept is freed before the next one begins",
    2,
    {
      file: `${run}/runs.ts`,
      from: "const freed = this.#freeMemory(userId, [lived.agent]);",
      to: "const freed = Promise.resolve();",
    },
    {
      file: `${run}/runs.ts`,
      from: "this.#freed.get(userId) ?? this.#freeMemory(userId, this.#deps.store.agentsOf(userId))",
      to: "this.#freed.get(userId) ?? Promise.resolve()",
    },
  ),
  one("an end is decided anew from an older copy", "the gateway's copy is the host's truth", 27, {
    file: `${run}/settle.ts`,
    from: "const noted = readEnd(volume, runId);",
    to: "const noted = null as NotedEnd | null;",
  }),
  one("a run is promised before it is on disk", "every admitted run ends", 55, {
    file: `${run}/runs.ts`,
    from: "await store.synced();\n    return promised;",
    to: "return promised;",
  }),
  one("model: a signal's last resort comes late", "a signal ends the host agent", 29, {
    file: "simulation/sides/host.ts",
    from: "const forcedExitMs = 8000;",
    to: "const forcedExitMs = 80_000;",
  }),
];

/** What provokes those that are rare among all operations. */
const kindsOf: Record<string, string[]> = {
  "what decorates an end prevents it": ["start"],
  "an order is begun at each answer": ["start", "delete agent"],
  "a stop goes on while the host agent closes": ["start", "terminate during a stop"],
  "a run is withdrawn under another call": ["start twice", "engine away", "remove container"],
  "a begun run is started again": ["start", "crash"],
  "a lost database gives uids anew": ["start", "lose host database"],
  "a restored database keeps its epoch": ["start", "restore host", "crash"],
  "a hung engine loses a container": ["start", "engine hangs"],
  "processes outlive their run": ["start"],
  "nobody hears of a loop that fails": ["start", "engine away"],
  "a container counts as prepared once its forwarder listens": ["start", "stop"],
  "a busy agent takes another run": ["start"],
  "a user has no limit": ["start"],
  "what waits is forgotten for another": ["start", "open and start"],
  "what has taken its message is taken for dead": ["start", "open and start"],
  "a word that is repeated is told again": ["start", "talk"],
  "what was claimed is never told": ["start", "open and start"],
  "nobody frees what an ended run kept": ["start"],
  "an end is decided anew from an older copy": ["start", "cancel", "restore host"],
  "a run is promised before it is on disk": ["start", "reboot"],
  "what cannot be withdrawn at once stays": ["start", "machine's disk full"],
  "the first kill that nobody saw is not counted": ["start", "crash"],
  "a spent day ends what has begun": ["start", "day is spent", "crash"],
  "a machine without room is a user's full disk": ["start", "machine's disk full"],
  "a file that is never read again holds up its run": ["start", "bad file"],
};

/** What one rare kind provokes. */
const even = new Set([
  "an order is begun at each answer",
  "a stop goes on while the host agent closes",
  "a lost database gives uids anew",
  "a hung engine loses a container",
  "a run is promised before it is on disk",
]);

/** Of each invariant one that no other notices. */
const alone = new Set([
  "what decorates an end prevents it",
  "a lost container hides an exit code",
  "an order is begun at each answer",
  "a stop goes on while the host agent closes",
  "a run is withdrawn under another call",
  "a begun run is started again",
  "a lost database gives uids anew",
  "a restored database keeps its epoch",
  "processes outlive their run",
  "nobody hears of a loop that fails",
  "a new database starts at the second attempt",
  "a container counts as prepared once its forwarder listens",
  "a busy agent takes another run",
  "a user has no limit",
  "a word that is repeated is told again",
  "nobody frees what an ended run kept",
  "model: a signal's last resort comes late",
]);

export const mutants: Mutant[] = all.map((mutant) => {
  const kinds = kindsOf[mutant.name];
  return { ...mutant, ...(kinds && { kinds }), isEven: even.has(mutant.name), isAlone: alone.has(mutant.name) };
});

/** Noticed where calls are counted. */
export const pointMutants: Mutant[] = [
  {
    ...one("an exec that the engine has forgotten is one that never was", "a run starts once", 0, {
      file: `${run}/decide.ts`,
      from: 'exec !== "none" && hasProcesses',
      to: 'exec === "ended" && hasProcesses',
    }),
    scenario: "start, of a wrapper that waits for a processor while the engine forgets its exec",
  },
];

export const growthMutants = [
  one("retention looks at all runs for each", "times everything", 0, {
    file: `${run}/retention.ts`,
    from: "    const isOld =",
    to: "    for (const other of await readdir(volume.runs)) await lstat(join(volume.runs, other));\n    const isOld =",
  }),
  one("what starts ahead is looked at all the time", "looks at all processes", 0, {
    file: `${run}/ahead.ts`,
    from: "const hasProcesses = lookSeldom(() => !isWithout(cgroup, inRunOf(uid)));",
    to: "const hasProcesses = () => !isWithout(cgroup, inRunOf(uid));",
  }),
  one("what was told is looked at all the time", "looks at all processes", 0, {
    file: `${run}/ahead.ts`,
    from: "const hasProcesses = lookSeldom(() => !isWithout(cgroup, inRunOf(agent.uid)));",
    to: "const hasProcesses = () => !isWithout(cgroup, inRunOf(agent.uid));",
  }),
];

export function findMutant(name: string, mutants: Mutant[]): Mutant {
  const found = mutants.find((mutant) => mutant.name === name);
  if (!found) throw new Error(`Say one of: ${mutants.map((mutant) => mutant.name).join(" | ")}`);
  return found;
}
