/** The machine's processes, and what /proc, the cgroups and the kernel's log tell of them. */
import { FileError, type Files, type FileSystem, type Inode } from "./files.ts";
import { world } from "../world/world.ts";
import type { Container, EndCause, Process } from "./shapes.ts";

const gib = 2 ** 30;
/** Those of containers. */
const cgroups = "/sys/fs/cgroup/docker/";

export class Kernel {
  readonly files: Files;
  readonly processes = new Map<number, Process>();
  readonly kills: { sequence: number; containerId: string; uid: number; pid: number }[] = [];
  /** Mounts: what, where. */
  readonly mounts = new Map<string, { image: string; on: FileSystem }>();
  boot = 1;
  #pids = 100_000;
  /** How often others on the machine fork between two looks. */
  #forkRate: number | null = null;
  #ticks = 1000;

  constructor(files: Files) {
    this.files = files;
  }

  spawn(process: Omit<Process, "pid" | "start" | "session" | "isEnding">): Process {
    const pid = ++this.#pids;
    const spawned = { ...process, pid, start: ++this.#ticks, session: pid, isEnding: false };
    this.processes.set(pid, spawned);
    return spawned;
  }

  end(process: Process, cause: EndCause): void {
    if (!this.processes.delete(process.pid)) return;
    process.onEnd(cause);
  }

  signal(pid: number, signal: NodeJS.Signals | 0): void {
    const process = this.processes.get(pid);
    if (!process) throw Object.assign(new Error("kill ESRCH"), { code: "ESRCH" });
    if (signal === 0) return;
    if (signal === "SIGKILL" || process.onSignal(signal) === "goes") this.end(process, "signal");
  }

  ofContainer(container: Container): Process[] {
    return [...this.processes.values()].filter((process) => process.container === container);
  }

  ofRun(runId: string): Process[] {
    return [...this.processes.values()].filter((process) => process.runId === runId);
  }

  /** The text of a file of the kernel's. */
  read(path: string): string {
    if (path === "/proc/meminfo") return `MemTotal: ${(8 * gib) / 1024} kB\nMemAvailable: ${(6 * gib) / 1024} kB\n`;
    if (path === "/proc/sys/kernel/random/boot_id") return `boot-${this.boot}\n`;
    if (path === "/proc/loadavg") return `0.00 0.00 0.00 1/100 ${this.#pids}\n`;
    if (path === "/proc/self/mountinfo") return this.#mountInfo();
    const isOfProcess = path.startsWith("/proc/");
    const at = isOfProcess ? "/proc/".length : cgroups.length;
    const slash = path.indexOf("/", at);
    const [whose, what] = [path.slice(at, slash), path.slice(slash + 1)];
    const text = isOfProcess ? this.#tellProcess(Number(whose), what) : this.#tellCgroup(whose, what);
    if (text === null) throw new FileError("ENOENT", "open", path);
    return text;
  }

  /** Writes to a file of the kernel's. */
  write(path: string, text: string): void {
    if (path.endsWith("/oom_score_adj")) return;
    const [, id] = /^\/sys\/fs\/cgroup\/docker\/(\w+)\/cgroup\.freeze$/.exec(path) ?? [];
    const container = [...this.processes.values()].find((process) => process.container.id === id)?.container;
    if (!container) throw Object.assign(new Error(`ENODEV: no such device, write '${path}'`), { code: "ENODEV" });
    container.isFrozen = text === "1";
  }

  list(path: string): string[] {
    if (path === "/sys/fs/cgroup") return ["cgroup.controllers"];
    if (path === "/proc") return [...this.processes.keys()].map(String);
    throw new FileError("ENOENT", "scandir", path);
  }

  /** What a path inside of a container is on the machine. */
  inside(path: string): Inode | null {
    const [, pid, target = ""] = /^\/proc\/(\d+)\/root(\/.*)$/.exec(path) ?? [];
    const container = this.processes.get(Number(pid))?.container;
    for (const [at, inode] of container?.mounts ?? []) {
      if (target === at) return inode;
      if (target.startsWith(`${at}/`)) return inode.entries.get(target.slice(at.length + 1)) ?? null;
    }
    return null;
  }

  /** The records of the kernel's log. */
  log(): string[] {
    return this.kills.map(
      ({ sequence, containerId, uid, pid }) =>
        `6,${sequence},1,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=${containerId},mems_allowed=0,` +
        `oom_memcg=/docker/${containerId},task_memcg=/docker/${containerId},task=node,pid=${pid},uid=${uid}\n`,
    );
  }

  #mountInfo(): string {
    const lines = [...this.mounts].map(
      ([at, { image, on }]) =>
        `${on.device} 1 7:1 / ${at} rw,nosuid - ext4 ${image} ${on.hasFailed ? "ro,emergency_ro" : "rw"}`,
    );
    return [`1 0 8:1 / / rw - ext4 /dev/sda rw`, ...lines].join("\n");
  }

  #tellProcess(pid: number, what: string): string | null {
    const process = this.processes.get(pid);
    if (!process) return null;
    const { uid, gid, session, start, isEnding, environment, container } = process;
    switch (what) {
      case "status":
        return `Name:\tsh\nState:\tS (sleeping)\nUid:\t${uid}\t${uid}\nGid:\t${gid}\t${gid}\nThreads:\t1\n`;
      case "stat": {
        const zeros = "0 ".repeat(12);
        return `${pid} (sh) S 1 ${session} ${session} 0 -1 ${isEnding ? 4 : 0} ${zeros}${start} 0 0`;
      }
      case "cgroup":
        return `0::/docker/${container.id}\n`;
      case "environ":
        return `${environment.join("\0")}\0`;
      case "cmdline":
        return "sh\0";
      case "net/sockstat":
        return `sockets: used 1\nTCP: inuse ${container.isListening ? 1 : 0} orphan 0 tw 0 alloc 1 mem 0\n`;
      case "net/tcp":
        return container.isListening
          ? "sl local rem st tx rx tr tm uid\n 0: 0100007F:0C38 00000000:0000 0A 00000000:00000000 00:00000000 00000000 19999 0 1\n"
          : "sl local rem st\n";
      default:
        return null;
    }
  }

  #tellCgroup(id: string, what: string): string | null {
    const processes: Process[] = [];
    for (const process of this.processes.values()) if (process.container.id === id) processes.push(process);
    const [first] = processes;
    if (!first) return null;
    switch (what) {
      case "cgroup.procs":
        this.#moveOn(processes);
        return processes.map(({ pid }) => `${pid}\n`).join("");
      case "cgroup.freeze":
        return "0\n";
      case "cgroup.events":
        return `populated 1\nfrozen ${first.container.isFrozen ? 1 : 0}\n`;
      case "memory.current":
        return first.container.isTight ? `${gib}\n` : "10000000\n";
      case "memory.stat":
        return "anon 1\ninactive_file 1000\n";
      case "memory.events": {
        const kills = this.kills.filter(({ containerId }) => containerId === id).length;
        return `low 0\noom ${kills}\noom_kill ${kills}\n`;
      }
      case "cpu.stat":
        return "usage_usec 1000\n";
      case "pids.current":
        return `${processes.length}\n`;
      default:
        return null;
    }
  }

  /** What happens just after a list was read: whoever moves on is where the list does not say, and others fork too. */
  #moveOn(listed: Process[]): void {
    for (const process of listed) {
      if (!process.movesOn || process.container.isFrozen) continue;
      this.spawn(process);
      this.end(process, "itself");
    }
    const { outside } = world();
    this.#forkRate ??= world().draws("busy machine", outside).of([0.2, 0.2, 0.2, 0.9]);
    if (world().draws("forks", outside).is(this.#forkRate)) this.#pids++;
  }
}
