/**
 * The way into an agent's directory for whatever is no run: makes sure that the workspace, the agent's line in
 * /etc/passwd and its directory are there, and ends again what was started there. Knows neither terminals nor files.
 */
import type { Duplex } from "node:stream";
import { AppError } from "@berth/shared/errors";
import { unseenAgent } from "@berth/shared/host-api";
import { messageOf } from "@berth/shared/log";
import { directoryBelow } from "@berth/shared/values";
import { sleep } from "@berth/shared/wait";
import { endProcesses, hasVariable, sessionOf, type Which } from "../machine/processes.ts";
import type { Engine, ExecSpec } from "../machine/engine.ts";
import type { HostContext } from "../context/context.ts";
import type { createLocks } from "../context/wait.ts";
import type { Runs } from "../run/runs.ts";
import type { AgentRow } from "../store/rows.ts";
import type { Store } from "../store/store.ts";
import { closeUnended } from "../workspace/unended.ts";
import { makeAgentDirectory } from "../workspace/volume.ts";
import type { RunningContainer } from "../workspace/container.ts";
import type { Workspaces } from "../workspace/workspaces.ts";

export interface EntryDeps {
  context: HostContext;
  engine: Engine;
  store: Store;
  runs: Pick<Runs, "learn">;
  workspaces: Workspaces;
  /** Of an agent one at a time: who enters while it is deleted makes nothing of it again. */
  deletions: ReturnType<typeof createLocks>;
  /** Of an agent one at a time: the end of one ends everything in their group. */
  programs: ReturnType<typeof createLocks>;
}

/** An agent whose directory can be worked in now. */
export interface Entry {
  agent: AgentRow;
  container: RunningContainer;
}

/** Where the gateway says that the agent works, of which the host may not have heard: its next run brings that. */
export const readDirectory = (query: string | null | undefined) => directoryBelow.safeParse(query).data ?? null;

/**
 * What one exec started, however it forked: known by a line of its environment, which all inherit, and by its session; where there
 * is no such line, all that has its group.
 */
export interface Started extends Entry {
  execId: string;
  gid: number;
  /** `NAME=value`, of this exec alone. */
  marker: string | null;
}

/** What entering needs of them. */
interface EnterDeps extends Pick<EntryDeps, "store" | "runs" | "deletions"> {
  workspaces: Pick<Workspaces, "ensureReady" | "admitAgent">;
}

/** Starts the workspace if need be. Throws `not_found`, `no_host`, `host_unavailable`. The gateway answers for whose the agent is. */
export async function enter(deps: EnterDeps, userId: string, agentId: string): Promise<Entry> {
  const { store, runs, workspaces } = deps;
  if (!store.getAgent(agentId)) {
    // The first run brings what the agent is.
    await runs.learn(userId, unseenAgent(agentId));
  }
  const own = () => {
    const agent = store.getAgent(agentId);
    if (!agent || agent.deleted || agent.userId !== userId) throw new AppError("not_found", "There is no such agent.");
    return agent;
  };
  own();
  const container = await workspaces.ensureReady(userId);
  return deps.deletions(agentId, async () => {
    const agent = own();
    await workspaces.admitAgent(agent);
    await makeAgentDirectory(container.volume, agentId, agent.uid);
    return { agent, container };
  });
}

/** For how long a start that failed is tried again. */
const patienceMs = 3000;
const pauseMs = 100;
/** How long the engine may take to start one, until it counts as begun: whatever comes of it, its stream tells. */
const beginMs = 60_000;

/**
 * Starts it attached. Retry: the engine starts nothing in a container that stands still for a moment (`machine/freezer.ts`), nor
 * where no process is left, and would tell the client so in words of its own. Throws `host_unavailable`.
 */
export async function startAttached(
  { engine, context }: Pick<EntryDeps, "engine" | "context">,
  { agent, container }: Entry,
  spec: ExecSpec & Required<Pick<ExecSpec, "attach">>,
): Promise<{ execId: string; stream: Duplex }> {
  const startedAt = performance.now();
  for (;;) {
    const execId = await engine.createExec(container.id, spec);
    const stream = execId === null ? null : await engine.attachExec(execId, spec.attach);
    if (!execId || !stream)
      throw new AppError("host_unavailable", "The workspace has ended meanwhile: try again.", { retryAfter: 1 });
    if (await hasBegun(engine, execId)) return { execId, stream };
    stream.destroy();
    context.log.warn("exec.start_retry", { agentId: agent.id });
    if (performance.now() - startedAt > patienceMs)
      throw new AppError(
        "host_unavailable",
        "The workspace has no room for one more process: end some in it, or try again.",
        { retryAfter: 2 },
      );
    await sleep(pauseMs);
  }
}

/** False where the engine could not start it: it has ended, and never had a process. */
async function hasBegun(engine: Engine, execId: string): Promise<boolean> {
  const startedAt = performance.now();
  for (;;) {
    const state = await engine.inspectExec(execId);
    if (!state || state.pid > 0 || performance.now() - startedAt > beginMs) return true;
    if (state.exitCode !== null) return false;
    await sleep(5);
  }
}

/** Ends all of it, and answers once the engine knows the exec as ended: also one whose process is only coming. */
export async function endStarted(
  { engine, context, workspaces }: EntryDeps,
  started: Started,
  graceMs: number,
): Promise<void> {
  const { execId, container, agent, gid, marker } = started;
  const deadline = performance.now() + graceMs + 10_000;
  try {
    for (;;) {
      const state = await engine.inspectExec(execId);
      const isMarked = (pid: number) =>
        marker === null || (!!state?.pid && sessionOf(pid) === state.pid) || hasVariable(pid, marker);
      const belongs: Which = (owner, pid) => owner.uid === agent.uid && owner.gid === gid && isMarked(pid);
      await endProcesses(container.cgroup, belongs, graceMs, "SIGHUP");
      if (!state || (!state.running && state.exitCode !== null) || performance.now() > deadline) return;
      await sleep(20);
    }
  } catch (error) {
    context.log.warn("exec.end_failed", { agentId: agent.id, error: messageOf(error) });
    closeUnended({ context, workspaces }, agent.userId, error);
  }
}
