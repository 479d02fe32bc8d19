/** The substitute of the host agent's `machine/programs.ts`: the few programs it runs, as far as they change files and mounts. */
import { join } from "node:path";
import { mark, world } from "../world/world.ts";
import { FileError, type FileSystem, type Inode } from "../machine/files.ts";
import { machine } from "../machine/machine.ts";

export class ProgramError extends Error {
  readonly exitCode: number;
  constructor(program: string, exitCode: number, said: string) {
    super(`${program} ended with ${exitCode}: ${said}`);
    this.exitCode = exitCode;
  }
}

/** How long `rm` may take, and how many of it one volume may see beside each other: its orders are begun once. */
const rmMs = 8000;
const mostRemovals = 3;

export function runProgram(program: string, ...args: string[]): Promise<string> {
  const known = programs[program];
  if (!known) throw new Error(`the program ${program} is not modelled`);
  const draws = world().draws("program", world().outside);
  const tookMs = program === "rm" && draws.is(0.4) ? draws.between(0, rmMs) : 0;
  const { programs: running } = machine();
  const what = [program, ...args].join(" ");
  const side = world().current;
  if (!side.isDead && program === "rm") {
    running.push(what);
    const beside = running.filter((other) => other === what).length;
    if (beside > mostRemovals) world().violate("no order is begun twice", `${beside} times at once: ${what}`);
  }
  const done = () => void (running.includes(what) && running.splice(running.indexOf(what), 1));
  if (program === "rm") side.onDeath.push(done);
  const work = () => {
    if (machine().isOutOfDescriptors) throw new ProgramError(program, 1, `Too many open files ${mark}`);
    try {
      return known(args);
    } catch (error) {
      if (error instanceof FileError) throw new ProgramError(program, 1, wordsOf(error));
      throw error;
    } finally {
      done();
    }
  };
  return world().io(`program.${program}`, work, { by: world().outside, tookMs });
}

function wordsOf({ code, message }: FileError): string {
  const said = code === "ENOSPC" ? "No space left on device" : message;
  return message.includes(mark) ? `${said} ${mark}` : said;
}

const programs: Record<string, (args: string[]) => string> = {
  chattr: changeFlags,
  /** What looks for memory that was kept has freed it. */
  nsenter([, init, namespace, , , assigned]) {
    // Addresses, of which nothing is modelled.
    if (namespace === "-n") return "";
    machine()
      .kernel.processes.get(Number(init))
      ?.container.kept.delete(Number(assigned!.replace("uid=", "")));
    return "";
  },
  fallocate(args) {
    const path = args.at(-1)!;
    const inode = machine().files.get(path);
    machine().files.checkWritable(inode, "fallocate", path, true);
    inode.reserved = Number(args[args.indexOf("-l") + 1]);
    return "";
  },
  /** The script that takes out of a log what was said ahead, and keeps room for what comes. */
  sh: ([, , , directory]) => emptyFile(join(directory!, "out"), 8192),
  /** Its kernel keeps no quotas. */
  timeout() {
    throw new ProgramError("timeout", 32, "wrong fs type");
  },
  setquota: () => "",
  getquota: () => "0 0",
  "mkfs.ext4"(args) {
    const image = machine().files.get(args.at(-1)!);
    image.holds = machine().files.makeFileSystem();
    writeSize(image);
    return "";
  },
  mount(args) {
    const { files, kernel } = machine();
    if (args[0] === "-N") return boundTerminals(Number(args[1]));
    const [image, point] = args.slice(-2) as [string, string];
    const on = files.get(image).holds;
    if (!on || on.isDamaged) throw new ProgramError("mount", 32, `wrong fs type, bad superblock ${mark}`);
    const inode = files.mountPoint(point);
    if (inode.mounted) throw new ProgramError("mount", 32, `${point} is mounted`);
    inode.mounted = on;
    kernel.mounts.set(point, { image, on });
    return "";
  },
  umount([point]) {
    const { files, kernel } = machine();
    const found = kernel.mounts.get(point!);
    if (!found) throw new ProgramError("umount", 32, `${point}: not mounted`);
    if (isBusy(found.on)) throw new ProgramError("umount", 32, `${point}: target is busy`);
    files.mountPoint(point!).mounted = null;
    kernel.mounts.delete(point!);
    found.on.hasFailed = false;
    return "";
  },
  losetup([, image]) {
    return [...machine().kernel.mounts.values()].some((mount) => mount.image === image) ? `/dev/loop1: ${image}` : "";
  },
  e2fsck(args) {
    if (machine().files.get(args.at(-1)!).holds?.isDamaged)
      throw new ProgramError("e2fsck", 8, `bad superblock ${mark}`);
    return "";
  },
  resize2fs([image]) {
    writeSize(machine().files.get(image!));
    return "";
  },
  rm(args) {
    for (const path of args.slice(args.indexOf("--") + 1))
      if (machine().files.find(path)) machine().files.remove(path, "rm");
    return "";
  },
};

function emptyFile(path: string, reserved: number): string {
  const { files } = machine();
  const inode = files.get(path, "truncate");
  files.checkWritable(inode, "truncate", path, true);
  Object.assign(inode, { size: 0, reserved, data: Buffer.alloc(0) });
  return "";
}

function changeFlags(args: string[]): string {
  const flags = args.filter((arg) => /^[+-][ai]$/.test(arg));
  const paths = args.filter((arg) => arg.startsWith("/"));
  for (const path of paths) {
    const inode = machine().files.find(path);
    if (!inode) continue;
    if (inode.on.hasFailed) throw new FileError("EROFS", "chattr", path, true);
    for (const flag of flags) inode[flag.endsWith("a") ? "isAppendOnly" : "isImmutable"] = flag.startsWith("+");
  }
  // One that is missing is told of at the end: the others are changed.
  for (const path of paths) machine().files.get(path, "chattr");
  return "";
}

function boundTerminals(init: number): string {
  const process = machine().kernel.processes.get(init);
  if (!process) throw new ProgramError("mount", 1, `invalid argument ${mark}`);
  process.container.isBounded = true;
  return "";
}

/** Something in it is open: a container that runs has its directories mounted. */
function isBusy(on: FileSystem): boolean {
  const { containers, files } = machine();
  const isOpen = [...files.descriptors.values()].some(({ inode }) => inode.on === on);
  const inUse = (inode: Inode) => inode.on === on;
  return (
    isOpen ||
    [...containers.all.values()].some(({ isRunning, mounts }) => isRunning && [...mounts.values()].some(inUse))
  );
}

/** The superblock as far as anybody reads it: blocks of 4096 bytes. */
function writeSize(image: Inode): void {
  const superblock = Buffer.alloc(2048);
  superblock.writeUInt32LE(Math.floor(image.size / 4096), 1024 + 0x4);
  superblock.writeUInt32LE(2, 1024 + 0x18);
  image.data = superblock;
}
