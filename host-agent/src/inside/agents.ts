/** What the gateway does to agents on their host: set the environment, begin a conversation, delete for good. */
import { AppError, nullIfRefused, parseOr400 } from "@berth/shared/errors";
import type { AgentSpec } from "@berth/shared/host-api";
import { wholeEnv } from "@berth/shared/resources";
import { allMemory, freeMemory } from "../machine/kept-memory.ts";
import { endProcesses } from "../machine/processes.ts";
import type { HostContext } from "../context/context.ts";
import type { createLocks } from "../context/wait.ts";
import { emptyRunFiles } from "../run/run-files.ts";
import { refuseBusy, type Runs } from "../run/runs.ts";
import type { Sockets } from "../workspace/unix-sockets.ts";
import type { AgentRow } from "../store/rows.ts";
import type { Store } from "../store/store.ts";
import { type Volumes } from "../workspace/volumes.ts";
import { closeUnended } from "../workspace/unended.ts";
import { removeAgentDirectory } from "../workspace/volume.ts";
import type { Workspaces } from "../workspace/workspaces.ts";

export interface AgentDeps {
  context: HostContext;
  store: Store;
  runs: Runs;
  workspaces: Workspaces;
  volumes: Volumes;
  sockets: Sockets;
  /** Of an agent one at a time: users and orders may ask for the same. */
  deletions: ReturnType<typeof createLocks>;
}

/** What a deletion needs of them. */
interface DeletionDeps extends Pick<AgentDeps, "context" | "store" | "deletions"> {
  runs: Pick<Runs, "cancel"> & { ahead: Pick<Runs["ahead"], "drop"> };
  workspaces: Pick<Workspaces, "find" | "evict">;
  volumes: Pick<Volumes, "exists" | "ensure">;
  sockets: Pick<Sockets, "closeAgent">;
}

/**
 * Replaces the environment, or changes what is named of it; it holds from the agent's next run on. Null removes. Throws
 * `invalid_request` where the whole would be too large.
 */
export async function setEnv(
  { context, store, runs }: AgentDeps,
  userId: string,
  spec: AgentSpec,
  env: Record<string, string | null>,
  isWhole: boolean,
): Promise<AgentRow> {
  const known = await runs.learn(userId, spec);
  const variables = Object.entries({ ...(isWhole ? {} : known.env), ...env }).filter(([, value]) => value !== null);
  const agent = store.setEnv(spec.id, parseOr400(wholeEnv, Object.fromEntries(variables), "environment"));
  context.bus.emit("host");
  return agent;
}

/**
 * Begins a new conversation where the agent works now, which the gateway says (`spec`; one of an earlier version does not); files and the
 * conversations of other directories stay. An agent that this host does not know has none. Throws `agent_busy`.
 */
export async function resetAgent(
  { context, store, runs }: Pick<AgentDeps, "context" | "store"> & { runs: Pick<Runs, "learn"> },
  userId: string,
  agentId: string,
  spec: AgentSpec | null,
): Promise<void> {
  if (!store.getAgent(agentId)) return;
  if (spec) await runs.learn(userId, spec);
  const agent = store.getAgent(agentId)!;
  if (agent.userId !== userId || agent.deleted) throw new AppError("not_found", "There is no such agent.");
  const busy = store.activeRunOf(agent);
  if (busy) throw refuseBusy(busy.id);
  store.setSession(agentId, crypto.randomUUID(), false);
  context.log.info("agent.reset", { agentId, userId });
}

/** Cancels its run, ends all that its uid runs, takes its directory and its runs' files away, keeps a tombstone. Repeating it is fine, meanwhile too. */
export function deleteAgent(deps: DeletionDeps, userId: string, agentId: string): Promise<void> {
  return deps.deletions(agentId, () => deleteOnce(deps, userId, agentId));
}

async function deleteOnce(
  { context, store, runs, workspaces, volumes, sockets }: DeletionDeps,
  userId: string,
  agentId: string,
): Promise<void> {
  const agent = store.getAgent(agentId);
  if (agent && agent.userId !== userId) throw new AppError("not_found", "There is no such agent.");
  if (agent?.deleted === "gone") return;
  store.deleteAgent(userId, agentId);
  if (!agent) return store.buryAgent(agentId);
  const running = store.activeRunOf(agent);
  if (running) await runs.cancel(userId, running.id).catch(nullIfRefused);
  // One that was just being started is there by then.
  await runs.ahead.drop(userId);
  const container = await workspaces.find(userId);
  if (container)
    await endProcesses(container.cgroup, ({ uid }) => uid === agent.uid, 0).catch((error: unknown) => {
      closeUnended({ context, workspaces }, userId, error);
      throw error;
    });
  if (container) await freeMemory(container, agent.uid, allMemory);
  await sockets.closeAgent(userId, agentId);
  if (volumes.exists(userId)) {
    const volume = await volumes.ensure(userId);
    await removeAgentDirectory(volume, agentId);
    for (const runId of store.runsOf(agentId)) await emptyRunFiles(volume, runId);
  }
  store.buryAgent(agentId);
  context.log.info("agent.deleted", { agentId, userId });
  context.bus.emit("host");
}
