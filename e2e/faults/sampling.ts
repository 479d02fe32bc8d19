/** Looks now and then at what could grow without an end: what processes hold, and what machines have. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Fleet, FleetHost } from "../engines/fleet.ts";
import { pause } from "./random.ts";
import type { Recorder } from "./recorder.ts";

const everyMs = 5000;
/** An engine that stands still has no answer: the next look asks again. */
const answerMs = 2000;

export function startSampling({ gateway, hosts }: Fleet, recorder: Recorder): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const { signal } = stopping;
  const processes = [
    { of: "gateway", pid: () => gateway.pid },
    ...hosts.flatMap((host) => [
      { of: host.name, pid: () => host.agent.pid },
      { of: `engine of ${host.name}`, pid: () => host.enginePid() },
      { of: `containerd of ${host.name}`, pid: () => host.containerdPid() },
    ]),
  ];
  const look = async () => {
    while (!signal.aborted) {
      for (const { of, pid } of processes) {
        const values = heldBy(pid);
        if (values) recorder.write({ kind: "sample", of, life: String(pid()), values });
      }
      for (const host of hosts) {
        const values = await Promise.race([objectsOf(host).catch(() => null), pause(answerMs).then(() => null)]);
        if (values) recorder.write({ kind: "sample", of: `objects of ${host.name}`, life: host.name, values });
      }
      for (let waited = 0; waited < everyMs && !signal.aborted; waited += 250) await pause(250);
    }
  };
  const looking = look();
  return {
    async stop() {
      stopping.abort();
      await looking;
    },
  };
}

/** Null while there is no such process. */
function heldBy(pidOf: () => number): Record<string, number> | null {
  try {
    const dir = `/proc/${pidOf()}`;
    const status = readFileSync(join(dir, "status"), "utf8");
    const number = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)![1]);
    const memory = Math.round(number("VmRSS") / 102.4) / 10;
    const descriptors = readdirSync(join(dir, "fd")).length;
    return { memory, descriptors, tasks: number("Threads"), processes: descendantsOf(String(pidOf())) };
  } catch {
    return null;
  }
}

/** What it started, and what that did, zombies included. */
function descendantsOf(pid: string): number {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").split(" ").filter(Boolean),
  );
  return children.reduce((sum, child) => sum + descendantsOf(child), children.length);
}

async function objectsOf({ docker, dataDir }: FleetHost): Promise<Record<string, number>> {
  const containers = await docker.listContainers({ all: true });
  const looks = await Promise.all(
    containers.map(({ Id }) =>
      docker
        .getContainer(Id)
        .inspect()
        .catch(() => null),
    ),
  );
  const mounts = readFileSync("/proc/mounts", "utf8").split("\n");
  return {
    containers: containers.length,
    execs: looks.reduce((sum, look) => sum + (look?.ExecIDs?.length ?? 0), 0),
    mounts: mounts.filter((line) => line.includes(` ${dataDir}/`)).length,
  };
}
