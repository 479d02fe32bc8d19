/** The substitute of `node:fs` for the host agent: the machine's files, and the kernel's. Each call is one that may fail, and counts. */
import { basename } from "node:path";
import { world } from "../world/world.ts";
import { FileError, type Inode } from "../machine/files.ts";
import { machine } from "../machine/machine.ts";

export { constants } from "node:fs";
import { constants } from "node:fs";

const isKernels = (path: string) =>
  path.startsWith("/sys/fs/cgroup") || (path.startsWith("/proc") && !path.startsWith("/proc/self/fd/"));

/** Opening costs a descriptor; what writes may meet a disk that fails, and what is on bad blocks stays there. */
function begin(call: string, path: string, opens = false): void {
  const here = world();
  here.sync(`fs.${call}`);
  if (here.weather.rate > 0 && here.isStruck(`fs.${call}`, here.draws(`fs.${call}`)))
    throw new FileError(here.draws("errno").of(["EIO", "EMFILE", "ENOMEM"]), call, path, true);
  if (machine().files.isBad(path)) throw new FileError("EIO", call, path, true);
  if (opens && machine().isOutOfDescriptors) throw new FileError("EMFILE", call, path, true);
}

class Stats {
  readonly dev: number;
  readonly ino: number;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  readonly size: number;
  readonly blocks: number;
  readonly mtimeMs: number;
  readonly mtime: Date;
  readonly #kind: Inode["kind"];

  constructor({ on, number, uid, gid, mode, size, changedMs, kind }: Inode) {
    const mtimeMs = Date.now() - (world().nowMs - changedMs);
    this.dev = on.device;
    this.ino = number;
    [this.uid, this.gid, this.mode, this.size] = [uid, gid, mode, size];
    this.blocks = Math.ceil(size / 512);
    [this.mtimeMs, this.mtime] = [mtimeMs, new Date(mtimeMs)];
    this.#kind = kind;
  }

  isDirectory(): boolean {
    return this.#kind === "directory";
  }

  isFile(): boolean {
    return this.#kind === "file";
  }
}
export type { Stats };

export function openSync(path: string, flags: number | string = "r", mode = 0o666): number {
  begin("openSync", path, true);
  return openFile(path, flags, mode);
}

/** As open(2): also for the promises. */
export function openFile(path: string, flags: number | string, mode = 0o666): number {
  const { files, kernel } = machine();
  if (path === "/dev/kmsg")
    return files.open(
      kernelLog(() => kernel.log()),
      path,
    );
  const number = typeof flags === "number" ? flags : flagsOf(flags);
  if (isKernels(path)) {
    kernel.read(path);
    return files.open({ control: path } as unknown as Inode, path);
  }
  let inode = files.find(path);
  if (inode && (number & constants.O_EXCL) !== 0) throw new FileError("EEXIST", "open", path);
  if (inode && (number & (constants.O_WRONLY | constants.O_RDWR)) !== 0) {
    files.checkWritable(inode, "open", path, false);
    if (inode.isAppendOnly && (number & constants.O_APPEND) === 0) throw new FileError("EPERM", "open", path);
    if ((number & constants.O_TRUNC) !== 0) Object.assign(inode, { size: 0, data: Buffer.alloc(0) });
  }
  if (!inode) {
    if ((number & constants.O_CREAT) === 0) throw new FileError("ENOENT", "open", path);
    inode = files.add(path, "file", mode, "open");
  }
  return files.open(inode, path);
}

function flagsOf(flags: string): number {
  const { O_RDWR, O_WRONLY, O_CREAT, O_TRUNC, O_EXCL, O_APPEND, O_RDONLY } = constants;
  const known: Record<string, number> = {
    r: O_RDONLY,
    "r+": O_RDWR,
    w: O_WRONLY | O_CREAT | O_TRUNC,
    wx: O_WRONLY | O_CREAT | O_TRUNC | O_EXCL,
    a: O_WRONLY | O_CREAT | O_APPEND,
  };
  if (known[flags] === undefined) throw new Error(`the flags ${flags} are not modelled`);
  return known[flags];
}

/** Its records, one a read; those that come later are read later. */
function kernelLog(records: () => string[]): Inode {
  return { records, kind: "file" } as unknown as Inode;
}

export function readSync(
  descriptor: number,
  buffer: Buffer,
  offset = 0,
  length = buffer.length,
  position?: number | null,
): number {
  begin("readSync", String(descriptor));
  return readFrom(descriptor, buffer, offset, length, position ?? null);
}

export function readFrom(
  descriptor: number,
  buffer: Buffer,
  offset: number,
  length: number,
  position: number | null,
): number {
  const open = machine().files.handle(descriptor);
  if ("records" in open.inode) return buffer.write(nextRecord(open));
  if (position !== null && position < -1)
    throw Object.assign(new RangeError(`The value of "position" is out of range. Received ${position}`), {
      code: "ERR_OUT_OF_RANGE",
    });
  const from = position === null || position === -1 ? open.at : position;
  const bytes = bytesOf(open.inode).subarray(from, from + length);
  buffer.set(bytes, offset);
  if (position === null || position === -1) open.at += bytes.length;
  return bytes.length;
}

function bytesOf(inode: Inode): Buffer {
  const { files, kernel } = machine();
  return "control" in inode ? Buffer.from(kernel.read(inode.control as string)) : files.read(inode);
}

function nextRecord(open: { inode: Inode; at: number }): string {
  const record = (open.inode as unknown as { records(): string[] }).records()[open.at];
  if (record !== undefined) open.at++;
  return record ?? "";
}

/** To a file of the kernel's alone. */
export function writeSync(descriptor: number, text: string): void {
  begin("writeSync", String(descriptor));
  const { inode } = machine().files.handle(descriptor);
  machine().kernel.write((inode as unknown as { control: string }).control, text);
}

export function closeSync(descriptor: number): void {
  begin("closeSync", String(descriptor));
  machine().files.descriptors.delete(descriptor);
}

export function readFileSync(path: string | number, encoding?: "utf8"): string | Buffer {
  begin("readFileSync", String(path), typeof path === "string");
  return readWhole(path, encoding);
}

export function readWhole(path: string | number, encoding?: "utf8"): string | Buffer {
  if (typeof path === "string" && isKernels(path)) return machine().kernel.read(path);
  const { files } = machine();
  const bytes = Buffer.from(files.read(typeof path === "string" ? files.get(path) : files.handle(path).inode));
  return encoding ? bytes.toString(encoding) : bytes;
}

export function writeFileSync(
  to: string | number,
  data: string | Uint8Array,
  { mode, flush = false }: { mode?: number; flush?: boolean } = {},
): void {
  begin("writeFileSync", String(to), typeof to === "string");
  if (typeof to === "string" && isKernels(to)) return machine().kernel.write(to, String(data));
  const { files } = machine();
  const descriptor = typeof to === "number" ? to : openFile(to, "w", mode);
  const { inode, path } = files.handle(descriptor);
  files.write(inode, Buffer.from(data), path);
  if (flush) files.sync(inode);
  if (typeof to === "string") files.descriptors.delete(descriptor);
}

export function statSync(path: string, { throwIfNoEntry = true } = {}): Stats | undefined {
  begin("statSync", path);
  const inside = /^\/proc\/\d+\/root\//.test(path);
  const inode = inside ? machine().kernel.inside(path) : machine().files.find(path);
  if (inode) return new Stats(inode);
  if (throwIfNoEntry) throw new FileError("ENOENT", "stat", path);
  return undefined;
}

export const lstatSync = statSync;

/** What is open is there. */
export function fstatSync(descriptor: number): Stats {
  world().sync("fs.fstatSync");
  return new Stats(machine().files.handle(descriptor).inode);
}

export function statfsSync(path: string): Record<"blocks" | "bfree" | "bavail" | "bsize" | "files" | "ffree", number> {
  begin("statfsSync", path);
  const { isFull } = machine().files.get(path, "statfs").on;
  const free = isFull ? 0 : 90_000;
  return { blocks: 100_000, bfree: free, bavail: free, bsize: 4096, files: 100_000, ffree: free };
}

export function mkdirSync(path: string, { recursive = false, mode = 0o777 } = {}): void {
  begin("mkdirSync", path);
  makeDirectory(path, recursive, mode);
}

export function makeDirectory(path: string, recursive: boolean, mode: number): void {
  const { files } = machine();
  if (recursive) return files.makeDirectories(path, mode);
  if (files.find(path)) throw new FileError("EEXIST", "mkdir", path);
  files.add(path, "directory", mode, "mkdir");
}

export function readdirSync(path: string): string[] {
  begin("readdirSync", path, true);
  return listDirectory(path);
}

export function listDirectory(path: string): string[] {
  if (isKernels(path)) return machine().kernel.list(path);
  return [...machine().files.get(path, "scandir").entries.keys()];
}

export function rmSync(path: string, { force = false, recursive = false } = {}): void {
  begin("rmSync", path);
  removeAt(path, force, recursive);
}

export function removeAt(path: string, force: boolean, recursive: boolean): void {
  const inode = machine().files.find(path);
  if (!inode && force) return;
  if (inode?.kind === "directory" && !recursive) throw new FileError("ERR_FS_EISDIR", "rm", path);
  machine().files.remove(path, "rm");
}

export function renameSync(from: string, to: string): void {
  begin("renameSync", from);
  machine().files.rename(from, to);
}

export function truncateSync(path: string, size = 0): void {
  begin("truncateSync", path);
  setSize(path, size);
}

export function setSize(path: string, size: number): void {
  const { files } = machine();
  const inode = files.get(path, "truncate");
  files.checkWritable(inode, "truncate", path, false);
  if (inode.isAppendOnly) throw new FileError("EPERM", "truncate", path);
  inode.size = size;
  inode.reserved = Math.min(inode.reserved, size);
  if (inode.data.length > size) inode.data = Buffer.from(inode.data.subarray(0, size));
  else if (size <= 2 ** 20) inode.data = Buffer.concat([inode.data], size);
}

export function chmodSync(path: string, mode: number): void {
  begin("chmodSync", path);
  setMode(path, mode);
}

export function setMode(path: string, mode: number): void {
  const inode = machine().files.get(path, "chmod");
  machine().files.checkWritable(inode, "chmod", path, false);
  inode.mode = mode;
}

export function fchownSync(descriptor: number, uid: number, gid: number): void {
  begin("fchownSync", String(descriptor));
  Object.assign(machine().files.handle(descriptor).inode, { uid, gid });
}

export function setOwner(path: string, uid: number, gid: number): void {
  const inode = machine().files.get(path, "chown");
  machine().files.checkWritable(inode, "chown", path, false);
  Object.assign(inode, { uid, gid });
}

export function fsyncSync(descriptor: number): void {
  begin("fsyncSync", String(descriptor));
  machine().files.sync(machine().files.handle(descriptor).inode);
}

/** Changes are told a while later, and sometimes not at all. */
export function watch(path: string, onChange: (event: string, name: string) => void): { close(): void } {
  begin("watch", path, true);
  const { watchers } = machine().files.get(path, "watch");
  const side = world().current;
  const watcher = (name: string) => {
    const draws = world().draws("watch", world().outside);
    if (!draws.is(0.1))
      world().after(draws.delay(), () => watchers.has(watcher) && onChange("change", basename(name)), side);
  };
  watchers.add(watcher);
  const close = () => void watchers.delete(watcher);
  side.onDeath.push(close);
  return Object.assign(new EventTarget(), {
    close,
    on: () => undefined,
    once: () => undefined,
    unref: () => undefined,
  });
}
