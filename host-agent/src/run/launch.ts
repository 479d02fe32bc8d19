/**
 * Brings a run's process into being exactly once, whatever crashed before: the exec id is stored before the exec is
 * started, the wrapper leaves a trace in the run's files before it does anything, and only where neither the engine nor
 * the files know of a start is a new exec made.
 */
import { processesOf } from "../machine/processes.ts";
import type { Engine } from "../machine/engine.ts";
import { environmentOf, homeOf, toLines } from "../workspace/environment.ts";
import type { HostContext } from "../context/context.ts";
import { runtimes } from "./runtimes.ts";
import type { AgentRow, RunRow } from "../store/rows.ts";
import type { Store } from "../store/store.ts";
import { makeRunFiles, readExit } from "./run-files.ts";
import { makeAgentDirectory, type Volume } from "../workspace/volume.ts";
import { runGid } from "../store/uids.ts";
import { paths, type RunningContainer } from "../workspace/container.ts";
import type { Workspaces } from "../workspace/workspaces.ts";

export interface LaunchDeps {
  context: HostContext;
  engine: Engine;
  store: Store;
  workspaces: Workspaces;
}

/** Where a begun run is: in a container, or "lost" with the one it was in; or why it never began. */
export type Launched = RunningContainer | "lost" | "ended_before_start" | "not_startable";

/** Starts the run, or finds it started; throws where the engine cannot say (the caller tries again). */
export async function launch(deps: LaunchDeps, runId: string, agent: AgentRow, volume: Volume): Promise<Launched> {
  const { store, workspaces, engine } = deps;
  for (let attempt = 0; attempt < 5; attempt++) {
    const run = store.getRun(runId)!;
    const earlier = containerOf(workspaces, run);
    if (readExit(volume, runId).hasBegun || run.startedAt !== null) return earlier ?? "lost";
    if (run.intent) return "ended_before_start";
    // Its files would tell of a begin, but a volume that failed may have lost what was written last.
    if (run.execId !== null && !earlier) return "lost";
    const container = await workspaces.ensureReady(run.userId);
    if (run.execId && run.containerId === container.id) {
      const known = await engine.inspectExec(run.execId);
      if (known?.running) return container;
      if (known?.exitCode === null && (await engine.startExec(run.execId)) !== "gone") return container;
      // It has ended: an exec that the engine could not start does that too, and leaves no trace.
      if (processesOf(container.cgroup, agent.uid, runGid).length > 0) return container;
      if (readExit(volume, runId).hasBegun) continue;
    }
    const { prompt, payload } = store.inputOf(runId)!;
    const files = {
      prompt,
      payload: payload === null ? null : Buffer.from(payload, "base64url"),
      env: dotenv(agent.env),
      instructions: agent.instructions,
    };
    // Beside each other: none needs another. The exec is stored, and so started, only once all are there.
    const beside = [
      engine.createExec(container.id, execOf(deps.context, run, agent, payload !== null)),
      makeRunFiles(volume, runId, agent.uid, files),
      makeAgentDirectory(volume, agent.id, agent.uid),
      workspaces.admitAgent(agent),
    ] as const;
    await Promise.allSettled(beside);
    const [execId] = await Promise.all(beside);
    if (execId === null) continue;
    store.updateRun(runId, { execId, containerId: container.id });
    if ((await engine.startExec(execId)) !== "gone") return container;
  }
  throw new Error("the container vanished at each attempt to start the run");
}

/** Whether the engine has tried to start the run's process, and could not: want of processes or memory in the container. */
export async function isNotStartable({ store, engine, workspaces }: LaunchDeps, runId: string): Promise<boolean> {
  const { execId, userId, containerId } = store.getRun(runId)!;
  if (execId === null || workspaces.current(userId)?.id !== containerId) return false;
  return ((await engine.inspectExec(execId).catch(() => null))?.exitCode ?? null) !== null;
}

/** The container that the run's exec was made in, as long as it is the user's. */
function containerOf(workspaces: Workspaces, run: RunRow): RunningContainer | null {
  const container = workspaces.current(run.userId);
  return container?.id === run.containerId ? container : null;
}

function execOf({ settings }: HostContext, run: RunRow, agent: AgentRow, hasPayload: boolean) {
  const files = `${paths.runs}/${run.id}`;
  const env: Record<string, string> = {
    ...environmentOf(settings, agent),
    ANTHROPIC_API_KEY: run.token,
    BERTH_RUN_ID: run.id,
    // The wrapper resumes the session if its file is there, and says so if it should be and is not.
    BERTH_SESSION_ID: agent.sessionId,
    BERTH_SESSION: agent.sessionUsed ? "known" : "new",
    ...(hasPayload && { BERTH_PAYLOAD_FILE: `${files}/payload` }),
  };
  return {
    command: ["/opt/berth/bin/berth-run", files, agent.runtime, ...runtimes[agent.runtime].args(agent)],
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
