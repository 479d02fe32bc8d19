/** What is known of each run whatever anybody tells: kept for the judges. And what must hold whenever one starts. */
import { world } from "../world/world.ts";
import type { Inode } from "./files.ts";
import type { Kernel } from "./kernel.ts";
import type { EndCause, Exec, Kept, Process } from "./shapes.ts";

export interface Evidence {
  runId: string;
  agentId: string;
  /** Where it was started last: uids are a machine's. */
  kernel: Kernel;
  uid: number;
  /** The agent's directory as it was then. */
  home: ReturnType<typeof homeOf>;
  execs: Exec[];
  /** Where each of them says that it began. */
  traces: (Inode | undefined)[];
  /** Why the last process of it went, and when. */
  ended: { cause: EndCause; atMs: number } | null;
  oomKills: number;
  /** Its wrapper's last word, for whoever ends it from outside. */
  writeCode(code: number): void;
}

const evidence = new Map<string, Evidence>();
export const runOf = (runId: string): Evidence | null => evidence.get(runId) ?? null;
export const allRuns = (): Evidence[] => [...evidence.values()];
export const forgetRuns = (): void => [evidence, admissions].forEach((known) => known.clear());

/** When a host agent took each run first, and what runs that had ended by then kept in its user's container. */
const admissions = new Map<string, { atMs: number; kept: Kept[] }>();
export const admittedMs = (runId: string): number | null => admissions.get(runId)?.atMs ?? null;
export function noteAdmission(runId: string, kept: Kept[]): void {
  if (!admissions.has(runId)) admissions.set(runId, { atMs: world().nowMs, kept });
}

/** Notes that an exec of the run starts, and judges that. */
export function noteStart(kernel: Kernel, exec: Exec, runId: string, agentId: string, uid: number): Evidence {
  const known = evidence.get(runId) ?? {
    runId,
    agentId,
    kernel,
    uid,
    home: undefined,
    traces: [],
    execs: [],
    ended: null,
    oomKills: 0,
    writeCode: () => undefined,
  };
  evidence.set(runId, known);
  known.execs.push(exec);
  known.traces.push(traceOf(exec, runId));
  judgeStart(kernel, known, exec);
  judgeKept(runId, exec);
  judgeUid(known, exec, uid);
  known.home = homeOf(exec, agentId);
  known.ended = null;
  return known;
}

/** Whether that is the name of what was started ahead of its message. */
export const isWaiting = (runId: string | null) => runId?.startsWith("ahead_") ?? false;

/** Whatever starts: it must find its container bounded, and the forwarder's port taken. */
export function judgePrepared({ container: { isBounded, isListening } }: Exec, id: string): void {
  if (!isBounded || !isListening)
    world().violate("nothing of an agent starts in a container that is not prepared", `${id} was started`);
}

/** One waits for a user; what a message has claimed, and so has another directory, waits no more. */
export function judgeWaiting(kernel: Kernel, { container }: Exec, id: string): void {
  const there = container.mounts.get("/run/berth-runs")?.entries;
  const waits = (runId: string | null) => isWaiting(runId) && Boolean(there?.has(runId!));
  const other = kernel.ofContainer(container).find(({ runId }) => runId !== id && waits(runId));
  if (other) world().violate("an agent has one run, a user one that waits", `${id} was started beside ${other.runId}`);
}

const agentOf = ({ environment }: Process) =>
  environment.find((line) => line.startsWith("BERTH_AGENT_ID="))?.split("=")[1];

const traceOf = ({ container }: Exec, runId: string) =>
  container.mounts.get("/run/berth-runs")?.entries.get(runId)?.entries.get("exit");

function judgeStart(kernel: Kernel, { runId, agentId, execs, traces }: Evidence, { container }: Exec): void {
  // What went before its wrapper had said so began nothing.
  const isNone = (at: number) => execs[at]!.exitCode === 126 || traces[at]?.size === 1;
  const begun = execs.filter(({ state }, at) => state !== "ended" || !isNone(at));
  // Of a trace that went with the power nobody knows who has an older copy of the database too.
  if (begun.length > 1 && !traces.some((trace) => trace?.isCut))
    world().violate("a run starts once", `${runId} was started ${begun.length} times`);
  const others = [...kernel.processes.values()].filter((process) => process.runId !== null && process.runId !== runId);
  const other = others.find((process) => agentOf(process) === agentId);
  if (other)
    world().violate(
      "an agent has one run, a user one that waits",
      `${runId} was started beside ${String(other.runId)} of ${agentId}`,
    );
  const runs = others.filter((process) => process.container === container && !isWaiting(process.runId));
  const beside = new Set(runs.map(({ runId }) => runId));
  if (beside.size >= 3)
    world().violate("a user has three runs", `${runId} was started beside ${[...beside].join(", ")}`);
}

function judgeKept(runId: string, { container }: Exec): void {
  const left = admissions.get(runId)?.kept.find((kept) => container.kept.get(kept.uid) === kept);
  if (left)
    world().violate(
      "what an ended run kept is freed before the next one begins",
      `${runId} begins, and what ${left.runId} kept is there`,
    );
}

/** The agent's directory, whatever stands under its name later. */
const homeOf = ({ container }: Exec, agentId: string) =>
  container.mounts.get("/workspace")?.entries.get(`agent-${agentId}`);

function judgeUid({ agentId, kernel }: Evidence, exec: Exec, uid: number): void {
  const tell = (what: string) => world().violate("a uid has one owner", what);
  const runs = allRuns().filter((known) => known.kernel === kernel);
  const namesake = runs.find((known) => known.uid === uid && known.agentId !== agentId);
  if (namesake) tell(`${uid} is ${agentId}'s and was ${namesake.agentId}'s`);
  const home = homeOf(exec, agentId);
  if (home && home.uid !== uid) tell(`${agentId} runs as ${uid}, its directory is ${home.uid}'s`);
  // Of an agent that was deleted and made again meanwhile nothing is left: it may have another, and not that of somebody else.
  const earlier = runs.find((known) => known.agentId === agentId && known.home === home && known.uid !== uid);
  if (earlier) tell(`${agentId} was ${earlier.uid} and is ${uid}`);
}
