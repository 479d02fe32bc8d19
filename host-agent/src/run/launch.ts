/**
 * Brings a run's process into being exactly once, whatever crashed before: the exec id is stored before the exec is
 * started, the wrapper leaves a trace in the run's files before it does anything, and only where neither the engine nor
 * the files know of a start is a new exec made.
 */
import { notInvoked } from "@berth/shared/exit-codes";
import { uuidOf } from "@berth/shared/ids";
import { messageOf } from "@berth/shared/log";
import { sleep } from "@berth/shared/wait";
import { MachineError } from "../machine/machine-error.ts";
import { proveWithout } from "../machine/processes.ts";
import type { Engine } from "../machine/engine.ts";
import { environmentOf, homeOf, toLines } from "../workspace/environment.ts";
import type { HostContext } from "../context/context.ts";
import { beginningOf } from "./continuation.ts";
import { type ExecFact, lostWithoutBegin, nextOfExec, nextOfStart, type Over } from "./decide.ts";
import type { Begun } from "../runtimes/runtime.ts";
import { runtimes } from "../runtimes/runtimes.ts";
import type { AgentRow, RunRow } from "../store/rows.ts";
import type { Store } from "../store/store.ts";
import { hasPayload, makeRunFiles, onVolume, type Traces, UnreadableError, VolumeFullError } from "./run-files.ts";
import { messagesOf } from "./run-input.ts";
import { makeAgentDirectory } from "../workspace/volume.ts";
import { inRunOf, runGid } from "../store/uids.ts";
import { paths, type RunningContainer } from "../workspace/container.ts";
import type { Workspaces } from "../workspace/workspaces.ts";

export interface LaunchDeps {
  context: HostContext;
  engine: Engine;
  store: Store;
  workspaces: Workspaces;
  /** What was started ahead, as `ahead.ts` has it. */
  ahead: {
    claim(run: RunRow, agent: AgentRow, container: RunningContainer): Promise<boolean>;
    tell(run: RunRow, agent: AgentRow, container: RunningContainer): Promise<"told" | "gone">;
  };
}

/** A run that goes on in a container, or how it is over; then the container is the one to look for what is left of it. */
export interface Launched {
  container: RunningContainer | null;
  over: Over | null;
}

/** A run to be started, or found. */
interface Given {
  run: RunRow;
  agent: AgentRow;
  traces: Traces;
}

/** How long a start is tried while the engine fails. */
const launchPatienceMs = 60_000;

/**
 * Tries to start while the engine fails; a run of which nothing has begun in a minute is over, by what the engine made of
 * its exec. On a volume that is full to its last block nothing is tried again; on any other disk all is, for that says nothing of the run. What has ended before this database was put back
 * from an older copy is over; and what was found with its exit code stays so, should the disk have lost that since.
 */
export async function launchPatiently(
  deps: LaunchDeps,
  given: Given,
  found: Over | null,
  closing: AbortSignal,
): Promise<Launched> {
  const { run, traces } = given;
  const ended = traces.end();
  const known = ended && { exitCode: ended.exitCode, isContainerLost: false, hasLingered: false };
  const over = known ?? (found?.exitCode === null ? null : found);
  if (over) return { container: await deps.workspaces.find(run.userId), over };
  // An engine that took a turn with it may take its time to come back.
  const { BERTH_RUN_TIMEOUT_SECONDS: seconds } = deps.context.settings;
  const deadline = performance.now() + (run.continues === null ? launchPatienceMs : seconds * 1000);
  for (;;) {
    try {
      return await launch(deps, given);
    } catch (error) {
      // For files there is the patience of who drives the run.
      if (closing.aborted || error instanceof UnreadableError) throw error;
      deps.context.log.warn("run.start_retry", { runId: run.id, error: messageOf(error) });
      if (error instanceof VolumeFullError) {
        // What had waited for its message, and was claimed, is there still.
        const container = deps.workspaces.current(run.userId);
        return { container, over: { ...lostWithoutBegin, isContainerLost: false, isDiskFull: true } };
      }
      if (performance.now() > deadline) return giveUpStart(deps, given, error);
      await sleep(500, closing);
    }
  }
}

/**
 * Only what has provably not begun is given up; anything else is asked again. What had waited and cannot be told its message, though its
 * container is here, is ended as it is.
 */
async function giveUpStart(deps: LaunchDeps, { run: { id: runId }, traces }: Given, error: unknown): Promise<Launched> {
  const { store, workspaces } = deps;
  const { execId, startedAt, userId, containerId } = store.getRun(runId)!;
  const exit = traces.exit();
  const isUntold = exit.isAhead && startedAt === null;
  if (isUntold && workspaces.current(userId)?.id === containerId) store.intend(runId, "start_timeout");
  if (exit.hasBegun) throw error;
  const neverBegan = { ...lostWithoutBegin, isContainerLost: false };
  if (execId === null) {
    // An engine that hangs says nothing of the container: it may well live.
    store.intend(runId, "start_timeout");
    return { container: null, over: neverBegan };
  }
  if (!(await isNotStartable(deps, runId))) throw error;
  return { container: null, over: { ...neverBegan, exitCode: notInvoked } };
}

/** Starts the run, or finds it started; throws where nobody can say (the caller tries again). */
async function launch(deps: LaunchDeps, { run: { id: runId }, agent, traces }: Given): Promise<Launched> {
  const { store, workspaces, engine } = deps;
  for (let attempt = 0; attempt < 5; attempt++) {
    const run = store.getRun(runId)!;
    const earlier = await findContainer(deps, run, agent, traces);
    if (earlier && traces.exit().isAhead && (await deps.ahead.tell(run, agent, earlier)) === "gone") continue;
    // Read after the container was looked for: what it wrote before it went counts.
    const exit = traces.exit();
    const where = earlier ?? (run.containerId === null && !exit.hasBegun ? "none" : "gone");
    const next = nextOfStart(run, exit, typeof where === "string" ? where : "here");
    if (next === "watch") return { container: earlier, over: null };
    if (next !== "begin") {
      const over = { exitCode: exit.code, isContainerLost: next === "lost", hasLingered: false };
      return { container: earlier, over };
    }
    const container = await workspaces.ensureReady(run.userId);
    const exec = run.containerId === container.id ? await lookAtExec(engine, run.execId) : "none";
    const mayGoOn = exec === "ended" || exec === "unknown";
    const hasProcesses = mayGoOn && !(await proveWithout(container.cgroup, inRunOf(agent.uid)));
    const step = nextOfExec(exec, hasProcesses, exec !== "none" && traces.exit().hasBegun);
    if (step === "watch") return { container, over: null };
    if (step === "make" && (await deps.ahead.claim(run, agent, container))) continue;
    const execId = step === "start" ? run.execId! : await makeExec(deps, run, agent, container);
    if (execId === null) continue;
    await store.synced();
    const started = await engine.startExec(execId);
    if (started === "started") return { container, over: null };
    // It may have been started, by an earlier process or call; or the engine starts nothing now, in a paused container for one.
    if (started === "already" && (await lookAtExec(engine, execId)) === "created")
      throw new MachineError("the engine does not start the run's process now");
  }
  throw new Error("the container vanished at each attempt to start the run");
}

/** Whether the engine has tried to start the run's process, and could not: want of processes or memory in the container. */
async function isNotStartable({ store, engine, workspaces }: LaunchDeps, runId: string): Promise<boolean> {
  const { execId, userId, containerId } = store.getRun(runId)!;
  if (execId === null || workspaces.current(userId)?.id !== containerId) return false;
  return (await lookAtExec(engine, execId)) === "ended";
}

/**
 * The container that the run's exec was made in, if it is the user's and runs; null if the engine says that it does not.
 * A database that is older than the run's begin does not know the exec: the run's files say where it is.
 */
async function findContainer({ store, workspaces }: LaunchDeps, run: RunRow, agent: AgentRow, traces: Traces) {
  const { hasBegun, isUnread = false } = traces.exit();
  if (run.containerId === null && !hasBegun) return null;
  const container = await workspaces.find(run.userId);
  if (container === null || run.containerId === container.id) return container;
  if (run.containerId !== null) return null;
  const { cgroup } = container;
  // Where they do not, its processes show it. Of one that nobody can say of whether it began nothing says that it was elsewhere.
  const isHere = async () => isUnread || !(await proveWithout(cgroup, inRunOf(agent.uid)));
  const noted = traces.container();
  if (noted === null ? !(await isHere()) : noted !== container.id) return null;
  // Nor does it know their token, without which the model would refuse them, and what the kernel kills there is its own.
  const token = traces.token();
  const isOther = token !== null && token !== store.tokenOf(run.id);
  store.updateRun(run.id, { containerId: container.id, ...(isOther && { token }) });
  return container;
}

/** Throws where the engine does not say whether the process is there. */
async function lookAtExec(engine: Engine, execId: string | null): Promise<ExecFact> {
  if (execId === null) return "none";
  const state = await engine.inspectExec(execId);
  if (!state) return "unknown";
  // Some engines say so of one that they are only starting, and may yet fail to.
  if (state.running && state.pid === 0) throw new MachineError("the engine is starting the run's process still");
  return state.running ? "running" : state.exitCode === null ? "created" : "ended";
}

/** Makes files and exec of a run, and stores the exec's id; null if the container has gone. */
async function makeExec(
  { context, engine, store, workspaces }: LaunchDeps,
  run: RunRow,
  agent: AgentRow,
  container: RunningContainer,
): Promise<string | null> {
  const { prompt, payload } = store.inputOf(run.id)!;
  const { first } = beginningOf(store, run);
  const holdsPayload = payload === null ? first.id !== run.id && hasPayload(container.volume, first.id) : true;
  const files = {
    ...filesOf(agent),
    token: store.tokenOf(run.id),
    container: container.id,
    prompt,
    attachments: run.attachments.map((path) => `${homeOf(agent)}/${path}\n`).join("") || null,
    payload: payload === null ? null : Buffer.from(payload, "base64url"),
    ...(run.continues !== null && { in: messagesOf(container.volume, run.continues) }),
  };
  // Beside each other: none needs another. The exec is stored, and so started, only once all are there.
  const begun = {
    ...run,
    messageId: await uuidOf(first.id),
    payloadFile: holdsPayload ? `${paths.runs}/${first.id}/payload` : null,
  };
  const beside = [
    engine.createExec(container.id, execOf(context, begun, agent, store.tokenOf(run.id))),
    onVolume(() => makeRunFiles(container.volume, run.id, agent.uid, files)),
    makeAgentDirectory(container.volume, agent.id, agent.uid),
    workspaces.admitAgent(agent),
  ] as const;
  await Promise.allSettled(beside);
  const [execId] = await Promise.all(beside);
  if (execId !== null) store.updateRun(run.id, { execId, containerId: container.id });
  return execId;
}

/** What a run is given whatever it is asked. */
export const filesOf = (agent: AgentRow) => ({
  env: dotenv(agent.env),
  instructions: (agent.instructions && runtimes[agent.runtime].rule?.(agent.instructions)) || null,
  in: runtimes[agent.runtime].input && "",
});

/** What of a run its exec is made from. */
type Executed = Pick<RunRow, "id" | "attachments"> & Begun & { payloadFile: string | null };

export function execOf({ settings }: HostContext, run: Executed, agent: AgentRow, token: string) {
  const files = `${paths.runs}/${run.id}`;
  const runtime = runtimes[agent.runtime];
  const env: Record<string, string> = {
    ...environmentOf(settings, agent),
    [runtime.tokenName]: token,
    BERTH_RUN_ID: run.id,
    ...(runtime.speaksJson && { BERTH_LINES: "json" }),
    ...(agent.repository && { BERTH_REPOSITORY: agent.repository, BERTH_CLONE_INTO: agent.repositoryDirectory ?? "" }),
    ...runtime.envOfRun(agent, run),
    ...(run.attachments.length > 0 && { BERTH_ATTACHMENTS_FILE: `${files}/attachments` }),
    ...(run.payloadFile && { BERTH_PAYLOAD_FILE: run.payloadFile }),
  };
  return {
    command: ["/opt/berth/bin/berth-run", files, ...runtime.command(agent, `${files}/prompt`, run.trigger)],
    env: toLines(env),
    uid: agent.uid,
    gid: runGid,
    workingDir: homeOf(agent),
  };
}

/** The environment as a `.env` file that a shell and the usual libraries read alike. */
export function dotenv(env: Record<string, string>): string {
  const quote = (value: string) =>
    value.includes("'") ? `"${value.replaceAll(/[\\"$`]/g, (special) => `\\${special}`)}"` : `'${value}'`;
  return Object.entries(env)
    .map(([key, value]) => `${key}=${quote(value)}\n`)
    .join("");
}
