/**
 * One mounted volume: `workspace/` (what agents see), `tmp/`, `runs/` (logs and files of each run), `trash/`. Every directory this
 * file writes into is root's and closed to agents, so no path followed here can lead where an agent wants.
 */
import { statfsSync, statSync } from "node:fs";
import { chmod, lchown, lstat, mkdir, readdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { hasEntries } from "../machine/kept-memory.ts";
import { ifCode, ifMissing, isCode } from "../machine/missing.ts";
import { runProgram } from "../machine/programs.ts";
import { firstUid, runGid } from "../store/uids.ts";

export interface Volume {
  /** Size of the image: what fits into it is a little less. */
  limitBytes: number;
  root: string;
  workspace: string;
  runs: string;
  /** Their /tmp: on the disk, for in memory one agent could fill it, and the others' memory with it. */
  tmp: string;
  trash: string;
  /** Uids that are given, of all users, as names of empty files beside the host's database. */
  uids: string;
}
/** A volume with less than this is full. */
const fullBytes = 2 ** 20;

/** Bytes of the volume, as the agents see them; null where it is not mounted. */
export function diskUse(root: string): { usedBytes: number; isFull: boolean } | null {
  if (!isMounted(root)) return null;
  const fs = statfsSync(root);
  return { usedBytes: (fs.blocks - fs.bfree) * fs.bsize, isFull: fs.bavail * fs.bsize < fullBytes };
}

export const agentDirectory = (volume: Pick<Volume, "workspace">, agentId: string) =>
  join(volume.workspace, `agent-${agentId}`);

/** The owner of an agent's directory that exists already, else null. */
export async function ownerOf(volume: Volume, agentId: string): Promise<number | null> {
  const found = await lstat(agentDirectory(volume, agentId)).catch(ifMissing(null));
  return found?.isDirectory() && found.uid >= firstUid ? found.uid : null;
}

/** The highest owner of an agent's directory in there; 0 without one. */
export async function highestOwner(root: string): Promise<number> {
  const given = await readdir(join(root, "uids")).catch(ifMissing([]));
  const owners = await ownersIn(join(root, "workspace"));
  // As many as there ever were: more than a call may have arguments.
  return [...given.map(Number), ...owners.values()].reduce((highest, uid) => Math.max(highest, uid), 0);
}

/**
 * Notes a uid that is given, as the name of an empty file: it outlives its agent's directory, and the host's database. Twice: the
 * volume may come to another host, or be one that nobody can mount when uids are given anew.
 */
async function keepUid({ root, uids }: Pick<Volume, "root" | "uids">, uid: number): Promise<void> {
  for (const directory of [join(root, "uids"), uids]) {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await writeFile(join(directory, String(uid)), "");
  }
}

/** Agents' directories by name, with their owners. */
export async function ownersIn(workspace: string): Promise<Map<string, number>> {
  const names = (await readdir(workspace)).filter((name) => name.startsWith("agent-"));
  return new Map(
    await Promise.all(names.map(async (name) => [name, (await lstat(join(workspace, name))).uid] as const)),
  );
}

/**
 * Makes an agent's directory, 0700 and the agent's own, unless it is there; an agent that locked itself out gets in again. Throws where
 * another agent's directory has that uid: neither may read what is the other's.
 */
export async function makeAgentDirectory(volume: Volume, agentId: string, uid: number): Promise<void> {
  const path = agentDirectory(volume, agentId);
  let owner = 0;
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    if (!isCode(error, "EEXIST")) throw error;
    const found = await lstat(path);
    if ((found.mode & 0o700) !== 0o700) await chmod(path, 0o700);
    if (found.uid === uid) return;
    owner = found.uid;
  }
  await refuseTaken(volume, agentId, uid);
  await keepUid(volume, uid);
  if (owner < firstUid) return lchown(path, uid, runGid);
  // All that it has under the uid before, the directory last, so that what is cut short is begun again.
  await runProgram("chown", "-R", "-h", "-P", `--from=${owner}`, String(uid), "--", path);
}

async function refuseTaken(volume: Volume, agentId: string, uid: number): Promise<void> {
  const other = [...(await ownersIn(volume.workspace))].find(([, owner]) => owner === uid)?.[0];
  if (other)
    throw new Error(
      `the directory ${other} belongs to uid ${uid}, which the host's database gives to agent-${agentId}: restore the database and the volume from one moment`,
    );
}

/** Takes an agent's directory out of reach at once, then removes it; nothing outside the volume is followed. */
export async function removeAgentDirectory(
  volume: Pick<Volume, "workspace" | "trash">,
  agentId: string,
): Promise<void> {
  const trashed = join(volume.trash, `${agentId}-${Date.now()}`);
  await rename(agentDirectory(volume, agentId), trashed).catch(ifMissing(undefined));
  await emptyTrash(volume);
}

/** A container begins with an empty /tmp; no other may run that has the one before. */
export async function renewTmp(volume: Volume): Promise<void> {
  if (!(await hasEntries(volume.tmp))) return;
  await rename(volume.tmp, join(volume.trash, `tmp-${Date.now()}`));
  await makeTmp(volume);
  await emptyTrash(volume);
}

export async function makeTmp({ tmp }: Volume): Promise<void> {
  await mkdir(tmp, { recursive: true });
  await chmod(tmp, 0o1777);
}

/** Where the end of a run is noted that could have no files of its own: the disk is full to its last inode. */
export const spareEnds = ({ root }: Pick<Volume, "root">) => join(root, "ends");

/** Made while there is room: with a byte in it, its first block is its own. One that is full already has none. */
export async function makeSpareEnds(volume: Pick<Volume, "root">): Promise<void> {
  const written = writeFile(spareEnds(volume), "\n", { flag: "wx", mode: 0o600 });
  await written.catch(ifCode(undefined, "EEXIST", "ENOSPC"));
}

/** Removes what lies in the trash, also what an earlier process left there. */
export async function emptyTrash(volume: Pick<Volume, "trash">): Promise<void> {
  const left = (await readdir(volume.trash)).map((name) => join(volume.trash, name));
  if (left.length > 0) await runProgram("rm", "-rf", "--one-file-system", "--", ...left);
}

/** Leaves a note for the user and the agents; `wx` follows no link of theirs. */
export async function tellLoss(volume: Volume): Promise<void> {
  const at = new Date().toISOString();
  const text = `The file system of this workspace was damaged and was repaired at ${at}: files may be missing or changed.\nAn admin of this host finds what was saved without a name in ${join(volume.root, "lost+found")}.\n`;
  await writeFile(join(volume.workspace, "shared", `file-system-repaired-${at}.txt`), text, {
    flag: "wx",
    mode: 0o644,
  });
}

/** Whether something is mounted there: its device differs from its parent's. */
export function isMounted(path: string): boolean {
  const own = statSync(path, { throwIfNoEntry: false });
  return own !== undefined && own.dev !== statSync(join(path, "..")).dev;
}
