/** The one shape of a workspace's container: its name, its limits, what it sees of this machine, and how to tell that it is ready. */
import { createHash } from "node:crypto";
import { appendFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Settings } from "@berth/shared/settings";
import { messageOf } from "@berth/shared/log";
import { sleep } from "@berth/shared/wait";
import { sourceRules, sourceScript } from "../egress/source-address.ts";
import { boundSockets, type Cgroup, findCgroup, isListening, isSameDirectory } from "../machine/cgroup.ts";
import { runProgram } from "../machine/programs.ts";
import { identify, type ProcessId, processesOf, setOomScore } from "../machine/processes.ts";
import { MachineError } from "../machine/machine-error.ts";
import { ifMissing } from "../machine/missing.ts";
import { type ContainerLimits, type ContainerSpec, type ContainerState, fixedShape } from "../machine/engine.ts";
import type { HostContext } from "../context/context.ts";
import type { AgentRow } from "../store/rows.ts";
import { firstUid, forwarderUid, runGid } from "../store/uids.ts";
import type { Volume } from "./volume.ts";

/** A container that runs, and how to look into it. */
export interface RunningContainer {
  id: string;
  init: ProcessId;
  cgroup: Cgroup;
  volume: Volume;
  /** Its own, which an earlier setting may have given it. */
  limits: ContainerLimits;
  /** The kernel is being told, or was, what holds for it before anything of an agent runs; null where that has failed. */
  prepared: Promise<void> | null;
  isPrepared: boolean;
  /** It is, and its forwarder has listened: that is its program, and listens for as long as there is the container. */
  isReady: boolean;
}

export const forwarderPort = 3128;
/** Where a workspace finds the host agent's sockets, the runs' files and the user's volume. */
export const paths = { sockets: "/run/berth", runs: "/run/berth-runs", workspace: "/workspace" };

export const nameOf = (hostId: string, userId: string) => `berth-${hostId}-${userId}`;
export const passwdOf = (dataDir: string, userId: string) => join(dataDir, "passwd", userId);

/** On each container: what it was made as, so that one of another shape is told from it. */
export const shapeLabel = "berth.shape";

/** `socketDir` is the user's directory of sockets. */
export function specOf(
  { settingsOf, hostId, dataDir }: HostContext,
  userId: string,
  volume: Volume,
  socketDir: string,
): ContainerSpec {
  const settings = settingsOf(userId);
  const shape = {
    image: settings.BERTH_IMAGE,
    runtime: settings.BERTH_RUNTIME,
    memoryBytes: settings.BERTH_MEMORY_BYTES,
    cpus: settings.BERTH_CPUS,
    pids: settings.BERTH_PIDS,
    mounts: [
      { source: volume.workspace, target: paths.workspace, readOnly: false },
      { source: volume.runs, target: paths.runs, readOnly: false },
      { source: volume.tmp, target: "/tmp", readOnly: false },
      { source: socketDir, target: paths.sockets, readOnly: true },
      { source: passwdOf(dataDir, userId), target: "/etc/passwd", readOnly: true },
    ],
  };
  const labels = { "berth.host": hostId, "berth.user": userId, [shapeLabel]: hashOf({ ...shape, ...fixedShape() }) };
  return { name: nameOf(hostId, userId), labels, ...shape };
}

const hashOf = (value: unknown) => createHash("sha256").update(JSON.stringify(value)).digest("hex");

/** Whether the container has this very volume mounted, and not what lies under its mount point. */
export const seesVolume = ({ pid }: ContainerState, volume: Volume) =>
  isSameDirectory(pid, paths.workspace, volume.workspace) && isSameDirectory(pid, paths.runs, volume.runs);

/** Where it cannot be seen to have it. */
export const tellUnseen = ({ BERTH_RUNTIME: runtime }: Settings) =>
  runtime === undefined
    ? "the container does not see the user's volume"
    : `the files of its container are not to be seen from the machine: a runtime that hides them and its processes, as gVisor does, cannot be used (BERTH_RUNTIME is ${runtime})`;

/** Five of Berth's for each of ten agents, and what multiplexers of terminals open. */
const terminals = 128;
/** Of its memory, in the buffers of sockets where those are counted beside it. */
const socketShare = 1 / 16;
/** An open file takes no less of its memory. */
const fileBytes = 256;

/** A container that runs, to be looked into; null where it has just ended. */
export function lookInto({ id, pid, limits }: ContainerState, volume: Volume): RunningContainer | null {
  const [init, cgroup] = [identify(pid), findCgroup(pid)];
  if (!init || !cgroup) return null;
  return { id, init, cgroup, volume, limits, prepared: null, isPrepared: false, isReady: false };
}

/** Before anything of an agent runs: bounds it, and has its agents told apart. Once, and anew where it has failed. */
export function prepare(
  context: HostContext,
  container: RunningContainer,
  lanes: ReadonlyMap<number, number>,
): Promise<void> {
  const begin = async () => {
    const told = tellApart(context, container, lanes);
    try {
      // To their end, also where one fails: a late one would meet the next attempt's.
      await boundShare(container).finally(() => told);
      container.isPrepared = true;
    } catch (error) {
      container.prepared = null;
      throw error;
    }
  };
  return (container.prepared ??= begin());
}

/** Bounds what the kernel counts for the whole machine, which the engine has no limit for. */
async function boundShare({ init, cgroup, limits }: RunningContainer): Promise<void> {
  boundSockets(cgroup, Math.floor(limits.memoryBytes * socketShare));
  const options = `remount,nosuid,noexec,gid=5,mode=620,ptmxmode=666,max=${terminals}`;
  await runProgram("mount", "-N", String(init.pid), "-n", "-o", options, "devpts", "/dev/pts");
}

/** Lets the forwarder tell whose a connection is. Where this machine cannot, all of a user's agents share one lane. */
export async function tellApart(
  { log }: HostContext,
  { init, id }: Pick<RunningContainer, "init" | "id">,
  lanes: ReadonlyMap<number, number>,
): Promise<void> {
  const rules = sourceRules(forwarderPort, firstUid, lanes);
  const done = runProgram("nsenter", "-t", String(init.pid), "-n", "sh", "-c", sourceScript, "sh", ...rules);
  await done.catch((error: unknown) => log.warn("egress.shared", { containerId: id, error: messageOf(error) }));
}

/** What the kernel must have of these for all workspaces together, beside what a machine has by itself. */
export function neededCounts({
  BERTH_MAX_WORKSPACES: workspaces,
  BERTH_PIDS: pids,
  BERTH_MEMORY_BYTES: memoryBytes,
}: Settings): Record<string, number> {
  const processes = Math.min(32_768 + workspaces * pids, 2 ** 22);
  return {
    "kernel/pty/max": Math.min(4096 + workspaces * terminals, 2 ** 20),
    "kernel/pid_max": processes,
    "kernel/threads-max": processes,
    "fs/file-max": 1_000_000 + Math.ceil((workspaces * memoryBytes) / fileBytes),
  };
}

/** On a machine that is full. */
const patienceMs = 30_000;

/**
 * Nobody else can take the forwarder's port once it listens: wait for that before anything of an agent runs. Asked of the kernel
 * until it is so and never again.
 */
export async function waitForForwarder(container: RunningContainer): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (!isReady(container)) {
    if (performance.now() > deadline) throw new MachineError("the forwarder in the container did not start");
    await sleep(2);
  }
}

/** Whether something of an agent may start: it is prepared, and its forwarder listens, and is protected too. */
export function isReady(container: RunningContainer): boolean {
  if (!container.isReady && container.isPrepared && isListening(container.init.pid, forwarderPort, forwarderUid)) {
    protectForwarder(container.cgroup);
    container.isReady = true;
  }
  return container.isReady;
}

/** When memory runs out whatever an agent runs goes first, and of that what is largest: the forwarder and the init come last. */
function protectForwarder(cgroup: Cgroup): void {
  for (const pid of processesOf(cgroup, ({ uid }) => uid === forwarderUid)) setOomScore(pid, 0);
}

const imagePasswd =
  "root:x:0:0:root:/root:/usr/sbin/nologin\n" +
  "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n" +
  `berth-forward:x:${forwarderUid}:${forwarderUid}:the forwarder:/nonexistent:/usr/sbin/nologin\n`;

/** Adds the agents' lines in place: the container has the file mounted, so it must stay the same file. */
export async function writePasswd(file: string, agents: AgentRow[]): Promise<void> {
  await mkdir(join(file, ".."), { recursive: true });
  let text = await readFile(file, "utf8").catch(ifMissing(""));
  if (text === "") await writeFile(file, (text = imagePasswd), { mode: 0o644 });
  const missing = agents.filter((agent) => !text.includes(`:x:${agent.uid}:`));
  const lines = missing.map(({ uid, id }) => `agent${uid}:x:${uid}:${runGid}:agent:/workspace/agent-${id}:/bin/bash\n`);
  if (lines.length > 0) await appendFile(file, lines.join(""));
}
