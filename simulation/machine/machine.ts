/** One machine: files, kernel, engine, database, and the host agent's data directory on it. What survives its processes. */
import { privateJwk, signals } from "../world/globals.ts";
import { hash } from "../world/random.ts";
import { makeSide, type Side, world } from "../world/world.ts";
import { Containers } from "./containers.ts";
import type { SharedDatabase } from "./database.ts";
import { Files } from "./files.ts";
import { Kernel } from "./kernel.ts";

export const dataDir = "/data";
export const hostId = "hst_simulated";
export const gatewayUrl = "http://gateway";
export const hostUrl = "http://host";
/** Who a machine's host agent is, and where it is called. */
export interface Place {
  hostId: string;
  url: string;
  port: number;
  /** What its processes are called. */
  name: string;
  /** Beside those that all have. */
  settings?: Record<string, string>;
}
export const onlyPlace: Place = { hostId, url: hostUrl, port: 8081, name: "host" };

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
  /** Its engine says that a process runs before it has begun to start it. */
  isDawdling = false;
  /** Programs in progress, by what they were called with. */
  readonly programs: string[] = [];
  readonly place: Place;
  readonly settings: Record<string, string>;
  /** What goes on here whoever dies; null where it is the only machine. */
  readonly side: Side | null;

  constructor(database: SharedDatabase, place: Place = onlyPlace, settings: Place["settings"] = {}) {
    this.database = database;
    this.place = place;
    this.settings = { ...place.settings, ...settings };
    this.side = place === onlyPlace ? null : makeSide(`machine of ${place.name}`);
    if (this.side) this.side.outside = this.side;
    for (const path of [dataDir, "/proc", "/sys/fs/cgroup", "/dev"]) this.files.makeDirectories(path);
    const identity = this.files.add(`${dataDir}/host.json`, "file", 0o600, "open");
    const text = JSON.stringify({ hostId: place.hostId, issuer: "berth:gateway", gatewayUrl, privateKey: privateJwk });
    this.files.write(identity, Buffer.from(text), "host.json");
    const key = this.files.add(`${dataDir}/host.key`, "file", 0o600, "open");
    this.files.write(key, Buffer.from(Buffer.alloc(32, 7).toString("base64url")), "host.key");
    for (const durable of [identity, key]) this.files.sync(durable);
  }

  /** No room on its own disk: for the host agent's database and files, and for volumes that grow. */
  setFull(isFull: boolean): void {
    this.files.root.isFull = this.database.isFull = isFull;
  }

  setEngine(engine: Machine["engine"]): void {
    this.engine = engine;
    if (engine === "away") for (const end of this.breaks) end();
  }

  /** It ends, and forgets its execs; its containers go on where it is told to let them. Back it is by `setEngine`. */
  endEngine(letsGoOn: boolean): void {
    if (!letsGoOn) for (const container of this.containers.all.values()) this.containers.stop(container);
    this.containers.execs.clear();
    this.setEngine("away");
  }

  /** Power goes and comes: no process, no mount; containers are stopped. One time in two what was written last is lost. */
  reboot(): void {
    if (world().draws("power", world().outside).is(0.5)) {
      for (const { on } of [{ on: this.files.root }, ...this.kernel.mounts.values()]) this.files.crash(on);
      this.database.crash();
    }
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

let present: Machine[] = [];
/** The machine of the schedule in progress on which this step happens; the first where none is said. */
export const machine = (): Machine => present.find(({ side }) => side === world().outside) ?? present[0]!;
export function setMachines(...machines: Machine[]): void {
  present = machines;
  signals.send = (pid, signal) => machine().kernel.signal(pid, signal);
}
