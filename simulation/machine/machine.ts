/** One machine: files, kernel, engine, database, and the host agent's data directory on it. What survives its processes. */
import { privateJwk, signals } from "../world/globals.ts";
import { hash } from "../world/random.ts";
import { world } from "../world/world.ts";
import { Containers } from "./containers.ts";
import type { SharedDatabase } from "./database.ts";
import { Files } from "./files.ts";
import { Kernel } from "./kernel.ts";

export const dataDir = "/data";
export const hostId = "hst_simulated";
export const gatewayUrl = "http://gateway";
export const hostUrl = "http://host";

export class Machine {
  readonly files = new Files();
  readonly kernel = new Kernel(this.files);
  readonly containers = new Containers(this.kernel);
  readonly database: SharedDatabase;
  engine: "there" | "away" | "hangs" = "there";
  /** What breaks when the engine goes: its event streams. */
  readonly breaks = new Set<() => void>();
  /** No descriptor is left. */
  isOutOfDescriptors = false;
  /** Programs in progress, by what they were called with. */
  readonly programs: string[] = [];

  constructor(database: SharedDatabase) {
    this.database = database;
    for (const path of [dataDir, "/proc", "/sys/fs/cgroup", "/dev"]) this.files.makeDirectories(path);
    const identity = this.files.add(`${dataDir}/host.json`, "file", 0o600, "open");
    const text = JSON.stringify({ hostId, issuer: "berth:gateway", gatewayUrl, privateKey: privateJwk });
    this.files.write(identity, Buffer.from(text), "host.json");
  }

  setEngine(engine: Machine["engine"]): void {
    this.engine = engine;
    if (engine === "away") for (const end of this.breaks) end();
  }

  /** Power goes and comes: no process, no mount; containers are stopped. */
  reboot(): void {
    for (const container of this.containers.all.values()) {
      this.containers.stop(container);
      if (container.init) this.kernel.end(container.init, "container");
    }
    this.kernel.processes.clear();
    for (const path of this.kernel.mounts.keys()) this.files.mountPoint(path).mounted = null;
    this.kernel.mounts.clear();
    this.kernel.boot = hash(String(world().nowMs));
    this.kernel.kills.length = 0;
    this.setEngine("there");
  }
}

let present: Machine | null = null;
/** The machine of the schedule in progress. */
export const machine = (): Machine => present!;
export function setMachine(next: Machine): void {
  present = next;
  signals.send = (pid, signal) => next.kernel.signal(pid, signal);
}
