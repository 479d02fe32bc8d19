/**
 * Quotas: a part of a volume that no agent can take from the others, of its bytes as of its inodes. ext4's own, by uid, where the
 * kernel keeps them (QFMT_V2, mostly a module). Where it does not, no file system that has them can be mounted: they are taken
 * out again, and nobody has a limit. A disk goes before its quotas.
 */
import { randomUUID } from "node:crypto";
import { statfsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { runProgram } from "../machine/programs.ts";

/** What one agent leaves to the others: a tenth, of a large disk so many bytes. */
const [share, mostBytes] = [0.1, 2 ** 30];
/** With less than this a volume is full, and so is an agent's part of it. */
export const fullBytes = 2 ** 20;

/** Most of a new file system is left to be written when it is mounted: it is made in 10 ms, and stays sparse. */
const quick = "nodiscard,lazy_itable_init=1,lazy_journal_init=1";
/** What `mkfs.ext4` is told. Of two `-E` it takes the last alone. */
export const withQuotas = ["-O", "quota", "-E", `${quick},quotatype=usrquota`];
export const withoutQuotas = ["-E", quick];

/** Makes a small file system that has them, and mounts it. */
const probe = `point=$(mktemp -d) && image=$1 && shift && truncate -s 1M "$image" && mkfs.ext4 -q "$@" "$image" || exit
mount -o loop "$image" "$point" && umount "$point"
code=$?
rmdir "$point"
exit $code`;

/**
 * Whether the kernel keeps them: it tells at a mount alone, for which it loads what it needs. Null where one without them cannot be
 * mounted either (no room, no loop device), which tells nothing.
 */
export async function keepsQuotas(directory: string): Promise<boolean | null> {
  const canMount = async (options: string[]) => {
    const image = join(directory, `${randomUUID()}.new`);
    const mounted = runProgram("timeout", "30", "sh", "-c", probe, "sh", image, ...options);
    return mounted
      .then(
        () => true,
        () => false,
      )
      .finally(() => rm(image, { force: true }).catch(() => undefined));
  };
  if (await canMount(withQuotas)) return true;
  return (await canMount(withoutQuotas)) ? false : null;
}

/**
 * Adds them to a file system that is not mounted, with what each user has in it; where that fails, as without room, it stays without.
 * It must be checked afterwards: it says that it has errors from before the first change, so that what is cut short is found.
 */
export async function addQuotas(image: string): Promise<void> {
  await runProgram("tune2fs", "-E", "force_fsck", image)
    .then(() => runProgram("tune2fs", "-Q", "usrquota", image))
    .catch(() => undefined);
}

/** Takes them out: this kernel mounts it without them alone. Nothing but what was counted is lost, and that can be counted anew. */
export async function dropQuotas(image: string): Promise<void> {
  await runProgram("tune2fs", "-O", "^quota", image);
}

/** Sets the limits of these agents; without quotas nothing, and nothing where it fails: a full disk may have no block for a limit. The next mount tries again. */
export async function limitAgents(root: string, uids: number[]): Promise<void> {
  const { bytes, inodes } = limitsOn(root);
  const limits = [Math.floor(bytes / 1024), inodes, ...uids].map(String);
  await runProgram("setquota", root, ...limits).catch(() => undefined);
}

/** Whether an agent has all that it may have, or nearly; without quotas none has. */
export async function isAtLimit(root: string, uid: number): Promise<boolean> {
  const { bytes, inodes, used } = limitsOn(root);
  const isNear = (of: { bytes: number; inodes: number }) => of.bytes > bytes - fullBytes || of.inodes >= inodes;
  // Nobody has more than all have together.
  if (!isNear(used)) return false;
  const [ownBytes = 0, ownInodes = 0] = (await runProgram("getquota", root, String(uid))).split(" ").map(Number);
  return isNear({ bytes: ownBytes, inodes: ownInodes });
}

function limitsOn(root: string) {
  const { blocks, bfree, bsize, files, ffree } = statfsSync(root);
  return {
    bytes: blocks * bsize - Math.min(blocks * bsize * share, mostBytes),
    inodes: Math.floor(files * (1 - share)),
    used: { bytes: (blocks - bfree) * bsize, inodes: files - ffree },
  };
}
