/** The machine's files: directories, files with their owners and flags, file systems and where they are mounted. Plain data, no faults. */
import { dirname, join } from "node:path";
import { mark, world } from "../world/world.ts";

export interface Inode {
  number: number;
  kind: "directory" | "file" | "socket";
  mode: number;
  uid: number;
  gid: number;
  changedMs: number;
  /** The file system it is on. */
  on: FileSystem;
  entries: Map<string, Inode>;
  /** A file's bytes as far as any were written; it may be longer. */
  data: Buffer;
  size: number;
  /** It has blocks for so many bytes, written or not. */
  reserved: number;
  /** What of it is on the disk for certain; null where nobody has asked for that. */
  synced: Buffer | null;
  /** Power went, and what was written last with it. */
  isCut: boolean;
  isAppendOnly: boolean;
  isImmutable: boolean;
  /** What is mounted on this directory. */
  mounted: FileSystem | null;
  /** The file system that an image holds. */
  holds: FileSystem | null;
  /** Called when something in this directory changes. */
  watchers: Set<(name: string) => void>;
  /** Called when something was written to this file. */
  onWrite?: () => void;
  /** Called when it is synced. */
  onSync?: () => void;
}
export interface FileSystem {
  device: number;
  root: Inode;
  /** No room is left, now; and whether that was so at any time. */
  isFull: boolean;
  wasFull: boolean;
  /** The kernel writes to it no more. */
  hasFailed: boolean;
  /** Nobody can mount it. */
  isDamaged: boolean;
}

export class FileError extends Error {
  readonly code: string;
  constructor(code: string, call: string, path: string, isCaused = false) {
    super(`${code}: ${call} '${path}'${isCaused ? ` ${mark}` : ""}`);
    this.code = code;
  }
}

/** By then the kernel has written back whatever was written to a file. */
const writtenMs = 30_000;
const nothing = Buffer.alloc(0);
const blocksOf = (bytes: number) => Math.ceil(bytes / 4096);

export class Files {
  readonly root: FileSystem;
  #numbers = 0;
  #devices = 0;
  readonly descriptors = new Map<number, { inode: Inode; path: string; at: number }>();
  #descriptor = 10;
  /** Files that lie on bad blocks: nobody on the machine can read or write them by these paths. */
  readonly bad = new Set<string>();

  constructor() {
    this.root = this.makeFileSystem();
  }

  makeFileSystem(): FileSystem {
    const made = {
      device: ++this.#devices,
      isFull: false,
      wasFull: false,
      hasFailed: false,
      isDamaged: false,
    } as FileSystem;
    made.root = this.#make("directory", made, 0o755);
    return made;
  }

  /** Null where nothing is there. */
  find(path: string): Inode | null {
    let at = this.root.root;
    let rest = path;
    const own = /^\/proc\/self\/fd\/(\d+)(.*)$/.exec(path);
    if (own) [at, rest] = [this.descriptors.get(Number(own[1]))!.inode, own[2]!];
    let from = 0;
    while (from < rest.length) {
      let end = rest.indexOf("/", from);
      if (end < 0) end = rest.length;
      const name = rest.slice(from, end);
      from = end + 1;
      if (name === "" || name === ".") continue;
      const next = at.entries.get(name);
      if (!next) return null;
      at = next.mounted ? next.mounted.root : next;
    }
    return at;
  }

  get(path: string, call = "open"): Inode {
    const found = this.find(path);
    if (!found) throw new FileError("ENOENT", call, path);
    return found;
  }

  /** The directory on which something is mounted, not what is mounted. */
  mountPoint(path: string): Inode {
    const found = this.get(dirname(path)).entries.get(path.slice(path.lastIndexOf("/") + 1));
    if (!found) throw new FileError("ENOENT", "mount", path);
    return found;
  }

  add(path: string, kind: Inode["kind"], mode: number, call: string): Inode {
    const above = this.get(dirname(path), call);
    this.checkWritable(above, call, path, true);
    const inode = this.#make(kind, above.on, mode);
    const name = path.slice(path.lastIndexOf("/") + 1);
    above.entries.set(name, inode);
    for (const watcher of above.watchers) watcher(name);
    return inode;
  }

  makeDirectories(path: string, mode = 0o755): void {
    if (this.find(path)) return;
    this.makeDirectories(dirname(path), mode);
    this.add(path, "directory", mode, "mkdir");
  }

  remove(path: string, call = "unlink"): void {
    const name = path.slice(path.lastIndexOf("/") + 1);
    const above = this.get(dirname(path), call);
    this.checkWritable(above, call, path, false);
    const inode = above.entries.get(name);
    if (!inode) throw new FileError("ENOENT", call, path);
    if (inode.isImmutable || inode.isAppendOnly) throw new FileError("EPERM", call, path);
    if (inode.mounted) throw new FileError("EBUSY", call, path);
    for (const below of inode.entries.keys()) this.remove(join(path, below), call);
    above.entries.delete(name);
  }

  rename(from: string, to: string): void {
    const inode = this.get(from, "rename");
    const [above, below] = [this.get(dirname(from), "rename"), this.get(dirname(to), "rename")];
    this.checkWritable(below, "rename", to, false);
    if (inode.isImmutable || inode.isAppendOnly) throw new FileError("EPERM", "rename", from);
    if (this.find(to)?.entries.size) throw new FileError("ENOTEMPTY", "rename", to);
    above.entries.delete(from.slice(from.lastIndexOf("/") + 1));
    below.entries.set(to.slice(to.lastIndexOf("/") + 1), inode);
  }

  /** Writes at the end, or at a position. A block that has begun is the file's own. */
  write(inode: Inode, bytes: Uint8Array, path: string, at = inode.size): void {
    const end = at + bytes.length;
    this.checkWritable(inode, "write", path, blocksOf(end) > blocksOf(Math.max(inode.size, inode.reserved)));
    if (inode.isAppendOnly && at !== inode.size) throw new FileError("EPERM", "write", path);
    if (end > inode.data.length) inode.data = Buffer.concat([inode.data], Math.max(end, 64, inode.data.length * 2));
    inode.data.set(bytes, at);
    inode.size = Math.max(inode.size, end);
    inode.changedMs = world().nowMs;
    inode.onWrite?.();
  }

  sync(inode: Inode): void {
    if (inode.kind === "file") inode.synced = Buffer.from(this.read(inode));
    inode.onSync?.();
  }

  /** Power goes: of a file that was written lately there is what was synced. Names are kept, and what lies in images. */
  crash({ root }: FileSystem): void {
    const lose = (inode: Inode) => {
      const isOnDisk = inode.kind !== "file" || inode.holds || world().nowMs - inode.changedMs > writtenMs;
      if (!isOnDisk && !inode.synced?.equals(this.read(inode))) {
        const data = Buffer.from(inode.synced ?? "");
        Object.assign(inode, { data, size: data.length, isCut: true });
      }
      for (const below of inode.entries.values()) lose(below);
    };
    lose(root);
  }

  read(inode: Inode): Buffer {
    return inode.data.subarray(0, inode.size);
  }

  open(inode: Inode, path: string): number {
    this.descriptors.set(++this.#descriptor, { inode, path, at: 0 });
    return this.#descriptor;
  }

  handle(descriptor: number): { inode: Inode; path: string; at: number } {
    const open = this.descriptors.get(descriptor);
    if (!open) throw new FileError("EBADF", "read", String(descriptor));
    return open;
  }

  /** Whether the file is one that cannot be read: by its path, or by a descriptor. */
  isBad(pathOrDescriptor: string): boolean {
    if (this.bad.size === 0) return false;
    return this.bad.has(this.descriptors.get(Number(pathOrDescriptor))?.path ?? pathOrDescriptor);
  }

  checkWritable({ on, isImmutable }: Inode, call: string, path: string, needsRoom: boolean): void {
    if (on.hasFailed) throw new FileError("EROFS", call, path, true);
    if (isImmutable) throw new FileError("EPERM", call, path);
    if (needsRoom && on.isFull) throw new FileError("ENOSPC", call, path, true);
  }

  #make(kind: Inode["kind"], on: FileSystem, mode: number): Inode {
    return {
      number: ++this.#numbers,
      kind,
      mode,
      uid: 0,
      gid: 0,
      changedMs: world().nowMs,
      on,
      entries: new Map(),
      data: nothing,
      size: 0,
      reserved: 0,
      synced: null,
      isCut: false,
      isAppendOnly: false,
      isImmutable: false,
      mounted: null,
      holds: null,
      watchers: new Set(),
    };
  }
}
