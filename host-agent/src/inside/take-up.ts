/** What lies in a container and on a volume that are taken up: processes that nobody asks for any more end, and agents are told to the gateway. */
import { readdir } from "node:fs/promises";
import { unseenAgent } from "@berth/shared/host-api";
import { messageOf } from "@berth/shared/log";
import { id } from "@berth/shared/values";
import type { HostContext } from "../context/context.ts";
import { endProcesses } from "../machine/processes.ts";
import type { Exit } from "../run/decide.ts";
import { isAheadName, readExit, removeRunFiles } from "../run/run-files.ts";
import type { Store } from "../store/store.ts";
import { firstUid, programGid, runGid, sessionGid, transferGid } from "../store/uids.ts";
import type { RunningContainer } from "../workspace/container.ts";
import { ownersIn, removeAgentDirectory, type Volume } from "../workspace/volume.ts";

interface TakeUpDeps {
  context: Pick<HostContext, "log" | "bus">;
  store: Store;
}

/** In a container that is new, or known already, nothing is left; whatever is told goes out beside the rest. */
export async function takeUp(
  deps: TakeUpDeps,
  userId: string,
  container: RunningContainer,
  isNew: boolean,
): Promise<void> {
  if (!isNew) {
    await forgetWaiting(deps, userId, container.volume);
    await endLeftovers(deps.store, userId, container);
  }
  void tellFound(deps, userId, container.volume);
}

/**
 * Has the gateway hear of the user's agents here, also of those whose directories alone are left: some may have been deleted while their
 * user lived elsewhere, or are not in this database. Whichever it names in its answer goes; an agent that it does not know stays.
 * What a copy of the volume brought back of one with a tombstone goes at once.
 */
export async function tellFound(
  { context, store }: TakeUpDeps,
  userId: string,
  volume: Pick<Volume, "workspace" | "trash">,
): Promise<void> {
  try {
    for (const [name, owner] of await ownersIn(volume.workspace)) {
      const agentId = id.safeParse(name.replace("agent-", "")).data;
      const known = agentId && store.getAgent(agentId);
      if (known && known.deleted === "gone") await removeAgentDirectory(volume, known.id);
      if (agentId && !known) store.learnAgent(userId, unseenAgent(agentId), owner >= firstUid ? owner : null);
    }
    store.tellAgents(userId);
    context.bus.emit("host");
  } catch (error) {
    context.log.warn("agents.untold", { userId, error: messageOf(error) });
  }
}

/**
 * Without its files a CLI that an earlier process had started ahead goes by itself, should the engine only be starting it. What cannot be
 * removed goes with retention.
 */
async function forgetWaiting({ context }: TakeUpDeps, userId: string, volume: Volume): Promise<void> {
  try {
    const names = (await readdir(volume.runs)).filter(isAheadName);
    await Promise.all(names.map((name) => removeRunFiles(volume, name)));
  } catch (error) {
    context.log.warn("ahead.left", { userId, error: messageOf(error) });
  }
}

/**
 * Ends what an earlier process of this host agent left in a container and nobody asks for any more: terminals, transfers,
 * programs, and runs that the database does not know (it is a new one).
 */
async function endLeftovers(store: Store, userId: string, container: RunningContainer): Promise<void> {
  const { cgroup, volume } = container;
  await endProcesses(cgroup, ({ gid }) => gid === sessionGid || gid === transferGid || gid === programGid, 0);
  // A run that was only admitted has no process, nor has one whose code is there or that began elsewhere: those of its agent are of
  // one that an older database has forgotten, or wait for a message that never comes.
  const begun = store.activeRuns(userId).filter(({ id, containerId }) => {
    const { code, hasBegun } = readUnlessBroken(volume, id);
    return code === null && (containerId === container.id || (containerId === null && hasBegun));
  });
  const known = new Set(begun.map((run) => store.getAgent(run.agentId)?.uid));
  await endProcesses(cgroup, ({ uid, gid }) => gid === runGid && !known.has(uid), 0);
}

/** A run whose `exit` cannot be read may go on, and keeps nobody else from being taken up: who drives it says what becomes of it. */
function readUnlessBroken(volume: Volume, runId: string): Pick<Exit, "code" | "hasBegun"> {
  try {
    return readExit(volume, runId);
  } catch {
    return { code: null, hasBegun: true };
  }
}
