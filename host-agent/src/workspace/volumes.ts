/**
 * The users' volumes: each a sparse ext4 image, made, grown, mounted and unmounted by this process (root). Knows nothing
 * of containers.
 */
import { AppError } from "@berth/shared/errors";
import { randomUUID } from "node:crypto";
import { closeSync, constants, mkdirSync, openSync, readdirSync, readSync, rmSync, statSync } from "node:fs";
import { chmod, mkdir, open, readdir, rename, rm, rmdir, truncate } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { ifMissing, isCode, isThere } from "../machine/missing.ts";
import { runProgram } from "../machine/programs.ts";
import { firstUid } from "../store/uids.ts";
import { addQuotas, dropQuotas, keepsQuotas, limitAgents, withoutQuotas, withQuotas } from "./quotas.ts";
import {
  emptyTrash,
  highestOwner,
  isMounted,
  makeSpareEnds,
  makeTmp,
  ownersIn,
  tellLoss,
  type Volume,
} from "./volume.ts";
import { checkImage, failedMounts, hasRoom, isLetGo, repairVolume } from "./volume-failure.ts";

const blankPauseMs = 2000;
/**
 * A new image is all zeros: its inode tables need no writing in the background. At the first error that the kernel finds in
 * it a file system is read-only: so it is known as failed, and mended.
 */
const mountOptions = "loop,nosuid,nodev,noatime,discard,noinit_itable,errors=remount-ro";

/** The users' volumes below a data directory, each mounted when it is asked for. */
export class Volumes {
  /** Size of the user's volume; a smaller one grows to it the next time it is mounted, a larger one stays. */
  readonly bytesOf: (userId: string) => number;
  /** Of those that are made ahead. */
  readonly #blankBytes: number;
  readonly #dataDir: string;
  /** Users whose files may be lost by a repair, to be told at the next mount. */
  readonly #lossy = new Set<string>();
  readonly #onOwner: (highestUid: number) => void;
  readonly #opened = new Map<string, Promise<Volume>>();
  readonly #unmounting = new Map<string, Promise<unknown>>();
  readonly #askedAt = new Map<string, number>();
  readonly #startedAt = performance.now();
  /** An image for the next new user, made ahead, so that a first connection does not wait for a file system. */
  #blank: Promise<string> | null = null;
  /** Whether this kernel keeps quotas; null until it was asked. */
  #hasQuotas: Promise<boolean | null> | null = null;

  /** `onOwner` is told the highest owner of an agent's directory on each volume that is mounted. */
  constructor(
    dataDir: string,
    limitBytes: number,
    onOwner: (highestUid: number) => void = () => {},
    bytesOf: (userId: string) => number = () => limitBytes,
  ) {
    this.#dataDir = dataDir;
    this.#onOwner = onOwner;
    this.bytesOf = bytesOf;
    this.#blankBytes = limitBytes;
  }

  /** Removes what an earlier process was making, and begins to make ahead. */
  start(): void {
    const images = join(this.#dataDir, "volumes");
    mkdirSync(images, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(images)) if (name.endsWith(".new")) rmSync(join(images, name));
    this.#prepareBlank();
  }

  /** The user's volume, made and mounted if need be. Ask again rather than keep the answer while nothing of the user goes on. */
  async ensure(userId: string): Promise<Volume> {
    this.#askedAt.set(userId, performance.now());
    const opened = this.#opened.get(userId);
    if (opened) {
      const { root } = await opened;
      // A person may have unmounted it.
      if (!isMounted(root) && this.#opened.get(userId) === opened) this.#opened.delete(userId);
    }
    let volume = this.#opened.get(userId);
    if (!volume) {
      const mine = (this.#unmounting.get(userId) ?? Promise.resolve()).then(() => this.#mount(userId));
      volume = mine;
      this.#opened.set(userId, mine);
      mine.catch(() => this.#opened.get(userId) === mine && this.#opened.delete(userId));
    }
    return volume;
  }

  /** Whether the user has a volume, mounted or not; throws where that cannot be told. */
  exists(userId: string): boolean {
    return isThere(this.#imageOf(userId));
  }

  /** Users whose volume is mounted now. */
  async mounted(): Promise<string[]> {
    const points = await readdir(join(this.#dataDir, "mnt")).catch(ifMissing([]));
    return points.filter((userId) => isMounted(this.#mountPoint(userId)));
  }

  /**
   * Unmounts a volume that was not asked for in the last `ms`, so that absent users cost no loop device and no kernel
   * thread; one with open files stays.
   */
  async unmountUnused(userId: string, ms: number): Promise<void> {
    if (performance.now() - (this.#askedAt.get(userId) ?? this.#startedAt) >= ms) await this.#unmount(userId);
  }

  /** Unmounts a volume that is smaller than it may be by now, so that it grows: no container may have it, and one with open files stays. */
  async unmountSmall(userId: string): Promise<void> {
    const known = await this.#opened.get(userId)?.catch(() => null);
    if (known && known.limitBytes < this.bytesOf(userId)) await this.#unmount(userId);
  }

  async #unmount(userId: string): Promise<void> {
    this.#opened.delete(userId);
    this.#askedAt.delete(userId);
    const ended = runProgram("umount", this.#mountPoint(userId)).catch(() => undefined);
    this.#unmounting.set(userId, ended);
    await ended;
    this.#unmounting.delete(userId);
  }

  /** Users whose volume has failed, if there is room to mend it. */
  mendable(): string[] {
    const failed = failedMounts();
    const points = join(this.#dataDir, "mnt");
    const users = [...failed].filter((root) => dirname(root) === points).map((root) => basename(root));
    return users.length > 0 && hasRoom(this.#dataDir) ? users : [];
  }

  /** Mends a volume that has failed; no container may have it. Throws where that is not possible now. */
  async mend(userId: string): Promise<void> {
    await this.#apart(userId, async () => {
      if (await repairVolume(this.#mountPoint(userId), this.#imageOf(userId))) this.#lossy.add(userId);
    });
  }

  /** Removes the user's volume for good; no container may have it. Throws while something in it is open. */
  async remove(userId: string): Promise<void> {
    const [root, image] = [this.#mountPoint(userId), this.#imageOf(userId)];
    await this.#apart(userId, async () => {
      if (isMounted(root)) await runProgram("umount", root);
      if (isThere(root)) await runProgram("chattr", "-i", root);
      await rmdir(root).catch(ifMissing(undefined));
      // The image last: while it is there, there is something to remove.
      const beside = (await readdir(dirname(image))).filter((name) => name.startsWith(`${basename(image)}.`));
      for (const name of beside) await rm(join(dirname(image), name));
      await rm(image, { force: true });
      this.#lossy.delete(userId);
    });
  }

  /** Looks at every volume, so that all owners are told; answers the users whose volume cannot be read. */
  async readOwners(): Promise<string[]> {
    const unread: string[] = [];
    for (const image of await readdir(join(this.#dataDir, "volumes")).catch(ifMissing([]))) {
      if (!image.endsWith(".img")) continue;
      const userId = image.slice(0, -".img".length);
      try {
        await this.ensure(userId).catch(async () => {
          // One that has failed cannot be made ready, and is mounted all the same: it can be read.
          this.#onOwner(await highestOwner(this.#mountPoint(userId)));
        });
      } catch {
        unread.push(userId);
      }
    }
    return unread;
  }

  /** The highest uid that was given as far as is noted beside the database; 0 where none is. */
  async highestKept(): Promise<number> {
    const kept = await readdir(this.#uids).catch(ifMissing([]));
    return kept.reduce((highest, uid) => Math.max(highest, Number(uid)), 0);
  }

  /** Does a job on a volume that is not mounted then, before it is mounted again. */
  async #apart(userId: string, job: () => Promise<void>): Promise<void> {
    this.#opened.delete(userId);
    const done = job();
    this.#unmounting.set(
      userId,
      done.catch(() => undefined),
    );
    try {
      await done;
    } finally {
      this.#unmounting.delete(userId);
    }
  }

  get #uids(): string {
    return join(this.#dataDir, "uids");
  }

  #mountPoint(userId: string): string {
    return join(this.#dataDir, "mnt", userId);
  }

  #imageOf(userId: string): string {
    return join(this.#dataDir, "volumes", `${userId}.img`);
  }

  /** Asks where images are made, until that is known. */
  async #keepsQuotas(): Promise<boolean> {
    const keeps = await (this.#hasQuotas ??= keepsQuotas(join(this.#dataDir, "volumes")));
    if (keeps === null) this.#hasQuotas = null;
    return keeps === true;
  }

  #prepareBlank(): void {
    this.#blank ??= this.#makeBlank();
    this.#blank.catch(() => (this.#blank = null));
  }

  /** The user's image: there already, whole, and made as large as asked whatever step of that was left undone; or a blank one. */
  async #ensureImage(userId: string): Promise<void> {
    const image = this.#imageOf(userId);
    const bytes = this.bytesOf(userId);
    if (isThere(image)) {
      if (await prepareImage(image, bytes, await this.#keepsQuotas())) this.#lossy.add(userId);
      return;
    }
    if (bytes !== this.#blankBytes) return rename(await this.#makeBlank(bytes), image);
    const blank = this.#blank ?? this.#makeBlank();
    this.#blank = null;
    await rename(await blank, image);
    // The next one is made when this start no longer needs the processor.
    setTimeout(() => this.#prepareBlank(), blankPauseMs).unref();
  }

  /** A sparse image with a file system, under a name of its own until it is whole and taken. */
  async #makeBlank(bytes = this.#blankBytes): Promise<string> {
    const fresh = join(this.#dataDir, "volumes", `${randomUUID()}.new`);
    await mkdir(join(fresh, ".."), { recursive: true, mode: 0o700 });
    try {
      await (await open(fresh, "wx", 0o600)).close();
      await truncate(fresh, bytes);
      // 1 % stays root's: on a full disk a run's files can still be made, so that the next run can clean up.
      await runProgram(
        "mkfs.ext4",
        "-q",
        "-F",
        "-m",
        "1",
        ...((await this.#keepsQuotas()) ? withQuotas : withoutQuotas),
        fresh,
      );
      return fresh;
    } catch (error) {
      await rm(fresh, { force: true });
      throw error;
    }
  }

  async #mount(userId: string): Promise<Volume> {
    const root = this.#mountPoint(userId);
    const image = this.#imageOf(userId);
    if (!isMounted(root)) {
      await mkdir(root, { recursive: true, mode: 0o700 });
      // An unmounted mount point that cannot be written to: a mistake fails instead of filling the machine's own disk.
      const beside = [runProgram("chattr", "+i", root), this.#ensureImage(userId)];
      // Both to their end, also where one fails: a late chattr would meet the volume that the next attempt has mounted.
      await Promise.allSettled(beside);
      await Promise.all(beside);
      // Quotas are counted without the option, and bound nobody.
      const options = () => (readSuperblock(image).hasQuotas ? `${mountOptions},usrquota` : mountOptions);
      const mount = () => runProgram("mount", "-o", options(), image, root);
      await mount().catch(async (error: unknown) => {
        if (!readSuperblock(image).hasQuotas || !(await isLetGo(image))) throw error;
        // What is damaged of them cannot be taken out; and the mount may have failed of something else.
        if (await checkImage(image, ["-f"])) this.#lossy.add(userId);
        await mount().catch(() => dropQuotas(image).then(mount));
      });
    }
    const volume = {
      limitBytes: statSync(image).size,
      root,
      workspace: join(root, "workspace"),
      runs: join(root, "runs"),
      tmp: join(root, "tmp"),
      trash: join(root, "trash"),
      uids: this.#uids,
    };
    try {
      await this.#prepare(userId, volume).catch(async (error: unknown) => {
        if (!isCode(error, "EPERM") || !isMounted(root)) throw error;
        // The chattr of a process that was killed came late: it met the volume instead of its mount point.
        await runProgram("chattr", "-i", root);
        await this.#prepare(userId, volume);
      });
    } catch (error) {
      if (isMounted(root)) throw error;
      const detail = "The user's disk was taken off while it was made ready; try again.";
      throw new AppError("host_unavailable", detail, { retryAfter: 1 }, { cause: error });
    }
    return volume;
  }

  /** What lies on every volume. */
  async #prepare(userId: string, volume: Volume): Promise<void> {
    const { root } = volume;
    await chmod(root, 0o711);
    for (const [path, mode] of [
      [volume.workspace, 0o711],
      [volume.runs, 0o711],
      [volume.trash, 0o700],
    ] as const) {
      await mkdir(path, { recursive: true });
      await chmod(path, mode);
    }
    await makeTmp(volume);
    await makeSpareEnds(volume);
    await mkdir(join(volume.workspace, "shared"), { recursive: true });
    await chmod(join(volume.workspace, "shared"), 0o1777);
    this.#onOwner(await highestOwner(root));
    const owners = [...(await ownersIn(volume.workspace)).values()];
    await limitAgents(
      root,
      owners.filter((uid) => uid >= firstUid),
    );
    await emptyTrash(volume);
    if (this.#lossy.delete(userId)) await tellLoss(volume);
  }
}

/**
 * Checks a file system that says it has errors, grows one that is too small, and gives one of before the quotas that the kernel
 * keeps, unless a container still has it. Answers whether files may be lost by that.
 */
async function prepareImage(image: string, bytes: number, keepsQuotas: boolean): Promise<boolean> {
  const { isDamaged, size, hasQuotas } = readSuperblock(image);
  const isSmall = size < bytes - blockBytes;
  const isWithout = keepsQuotas && !hasQuotas;
  if ((!isDamaged && !isSmall && !isWithout) || !(await isLetGo(image))) return false;
  if (isWithout && !isDamaged) await addQuotas(image);
  if (isSmall && statSync(image).size < bytes) await truncate(image, bytes);
  const isLossy = await checkImage(image, ["-f"]);
  if (isSmall) await runProgram("resize2fs", image);
  return isLossy;
}

/** What an ext4 file system says of itself, in its superblock at byte 1024. */
function readSuperblock(image: string): { size: number; isDamaged: boolean; hasQuotas: boolean } {
  const superblock = Buffer.alloc(1024);
  const file = openSync(image, constants.O_RDONLY);
  try {
    readSync(file, superblock, 0, superblock.length, 1024);
  } finally {
    closeSync(file);
  }
  const blocks = superblock.readUInt32LE(0x4) + superblock.readUInt32LE(0x150) * 2 ** 32;
  return {
    size: blocks * (1024 << superblock.readUInt32LE(0x18)),
    isDamaged: (superblock.readUInt16LE(0x3a) & 2) !== 0,
    hasQuotas: (superblock.readUInt32LE(0x64) & 0x100) !== 0,
  };
}
/** The largest block of ext4 here: what is less than one is never used. */
const blockBytes = 65_536;
