/** The substitute of `node:fs/promises` for the host agent: each call takes a while, and may fail. */
import { world } from "../world/world.ts";
import { FileError } from "../machine/files.ts";
import * as fs from "./fs.ts";
import { machine } from "../machine/machine.ts";

/** `opens`: it costs a descriptor. */
function call<T>(name: string, path: string, work: () => T, opens = false): Promise<T> {
  return world().io(`fs.${name}`, () => {
    if (machine().files.isBad(path)) throw new FileError("EIO", name, path, true);
    if (opens && machine().isOutOfDescriptors) throw new FileError("EMFILE", name, path, true);
    return work();
  });
}

export type FileHandle = Awaited<ReturnType<typeof open>>;

export function open(path: string, flags: string | number = "r", mode?: number) {
  return call("open", path, () => toHandle(fs.openFile(path, flags, mode), path), true);
}

function toHandle(fd: number, path: string) {
  const { files } = machine();
  const inode = () => files.handle(fd).inode;
  return {
    fd,
    read: <B extends Buffer>(buffer: B, offset = 0, length = buffer.length, position: number | null = null) =>
      call("read", path, () => ({ buffer, bytesRead: fs.readFrom(fd, buffer, offset, length, position) })),
    stat: () => call("stat", path, () => ({ size: inode().size, mtimeMs: 0 })),
    truncate: (size: number) => call("truncate", path, () => fs.setSize(path, size)),
    sync: () => call("sync", path, () => files.sync(inode())),
    datasync: () => call("sync", path, () => files.sync(inode())),
    writeFile: (data: string | Uint8Array) => call("write", path, () => files.write(inode(), Buffer.from(data), path)),
    close: async () => void files.descriptors.delete(fd),
  };
}

export const readFile = (path: string, encoding?: "utf8") =>
  call("readFile", path, () => fs.readWhole(path, encoding), true);

function write(path: string, data: string | Uint8Array, flags: string, mode?: number): void {
  const { files } = machine();
  const fd = fs.openFile(path, flags, mode);
  try {
    files.write(files.handle(fd).inode, Buffer.from(data), path);
  } finally {
    files.descriptors.delete(fd);
  }
}
export const writeFile = (
  path: string,
  data: string | Uint8Array,
  { mode, flag = "w" }: { mode?: number; flag?: string } = {},
) => call("writeFile", path, () => write(path, data, flag, mode), true);
export const appendFile = (path: string, data: string | Uint8Array) =>
  call("appendFile", path, () => write(path, data, "a"), true);

export const mkdir = (path: string, { recursive = false, mode = 0o777 } = {}) =>
  call("mkdir", path, () => fs.makeDirectory(path, recursive, mode));
export const readdir = (path: string) => call("readdir", path, () => fs.listDirectory(path), true);
export const opendir = (path: string, _options: { bufferSize: number }) =>
  call(
    "opendir",
    path,
    () => {
      const names = fs.listDirectory(path);
      const read = () => call("readdir", path, () => names.shift() ?? null);
      return { read, close: async () => undefined };
    },
    true,
  );
export const rm = (path: string, { force = false, recursive = false } = {}) =>
  call("rm", path, () => fs.removeAt(path, force, recursive));
export const unlink = (path: string) => call("unlink", path, () => fs.removeAt(path, false, false));
export const rmdir = (path: string) =>
  call("rmdir", path, () => {
    if (machine().files.get(path, "rmdir").entries.size > 0) throw new FileError("ENOTEMPTY", "rmdir", path);
    machine().files.remove(path, "rmdir");
  });
export const rename = (from: string, to: string) => call("rename", from, () => machine().files.rename(from, to));
export const chmod = (path: string, mode: number) => call("chmod", path, () => fs.setMode(path, mode));
export const chown = (path: string, uid: number, gid: number) => call("chown", path, () => fs.setOwner(path, uid, gid));
export const lchown = chown;
export const lstat = (path: string) => call("lstat", path, () => fs.statSync(path)!);
export const stat = lstat;
export const truncate = (path: string, size = 0) => call("truncate", path, () => fs.setSize(path, size));
