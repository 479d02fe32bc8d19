/** Looks at the machines all the while: what engines tell, which containers have processes, whom the kernel kills. */
import { closeSync, constants, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import type { FleetHost } from "../engines/fleet.ts";
import { groupsOf } from "../harness/processes.ts";
import { pause } from "./random.ts";
import type { Recorder } from "./recorder.ts";

const lookMs = 250;
/** Kills for want of memory, and file systems that failed. */
const telling = /;oom-kill:|EXT4-fs error|Aborting journal|Remounting filesystem read-only/;

/** Looks until it is stopped; the last look is done by then. */
export function startWatch(hosts: FleetHost[], recorder: Recorder): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const { signal } = stopping;
  const kernel = openKernelLog();
  kernel.read();
  const look = async () => {
    const alive = new Map<string, Map<string, string>>(hosts.map(({ name }) => [name, new Map()]));
    for (let isLast = false; !isLast; await pause(lookMs)) {
      isLast = signal.aborted;
      for (const host of hosts) compare(host, alive.get(host.name)!, recorder);
      for (const text of kernel.read()) if (telling.test(text)) recorder.write({ kind: "kernel", text });
    }
    kernel.close();
  };
  const jobs = [look(), ...hosts.map((host) => followEngine(host, recorder, signal))];
  return {
    async stop() {
      stopping.abort();
      await Promise.all(jobs);
    },
  };
}

/** Tells of containers that came to life or died since the last look, by what is in their control groups. */
function compare({ name, namespace }: FleetHost, known: Map<string, string>, recorder: Recorder): void {
  const found = containersIn(namespace);
  for (const [container, init] of found) {
    if (known.get(container) === init) continue;
    known.set(container, init);
    recorder.write({ kind: "container", host: name, container, isAlive: true, init });
  }
  for (const [container, init] of known) {
    if (found.has(container)) continue;
    known.delete(container);
    recorder.write({ kind: "container", host: name, container, isAlive: false, init });
  }
}

/** Containers with processes, each with when its first one started. */
function containersIn(namespace: string): Map<string, string> {
  const found = new Map<string, string>();
  const root = groupsOf(namespace).find((group) => group.includes("/pids/")) ?? groupsOf(namespace)[0];
  for (const container of root ? readdirSync(root).filter((entry) => /^[0-9a-f]{64}$/.test(entry)) : []) {
    try {
      const pids = readFileSync(join(root!, container, "cgroup.procs"), "utf8")
        .split("\n")
        .filter(Boolean);
      const starts = pids.map(startOf).filter((start) => start !== null);
      if (starts.length > 0) found.set(container, String(Math.min(...starts)));
    } catch {
      // It went meanwhile.
    }
  }
  return found;
}

function startOf(pid: string): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return ["Z", "X"].includes(fields[0]!) ? null : Number(fields[19]);
  } catch {
    return null;
  }
}

/** What the engine tells of containers, through its deaths. */
async function followEngine({ name, docker }: FleetHost, recorder: Recorder, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      const stream = (await docker.getEvents({
        filters: { type: ["container"], event: ["create", "start", "die", "destroy", "oom", "kill"] },
      })) as NodeJS.ReadableStream & { destroy(): void };
      const end = () => stream.destroy();
      signal.addEventListener("abort", end);
      let rest = "";
      for await (const chunk of stream) {
        const lines = (rest + String(chunk)).split("\n");
        rest = lines.pop()!;
        for (const line of lines.filter(Boolean)) {
          const { Action, Actor } = JSON.parse(line) as Told;
          const user = Actor.Attributes["berth.user"] ?? "";
          recorder.write({ kind: "engine", host: name, action: Action, container: Actor.ID, user });
        }
      }
      signal.removeEventListener("abort", end);
    } catch {
      // It is away.
    }
    if (!signal.aborted) await pause(lookMs);
  }
}
interface Told {
  Action: string;
  Actor: { ID: string; Attributes: Record<string, string> };
}

/** The kernel's log; each look answers the records since the one before. */
function openKernelLog() {
  const file = openSync("/dev/kmsg", constants.O_RDONLY | constants.O_NONBLOCK);
  const buffer = Buffer.alloc(16_384);
  return {
    read(): string[] {
      const records: string[] = [];
      for (;;) {
        try {
          records.push(buffer.toString("utf8", 0, readSync(file, buffer)).split("\n")[0]!);
        } catch (error) {
          // Overwritten before it was read: the next one is there.
          if ((error as NodeJS.ErrnoException).code !== "EPIPE") return records;
        }
      }
    },
    close: () => closeSync(file),
  };
}
