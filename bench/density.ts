/** What an idle workspace costs: its own memory, the host agent's memory for it, and the host agent's CPU time for sampling all of them. */
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { findCgroup, readUsage } from "../host-agent/src/machine/cgroup.ts";
import { engine, startBerth } from "../e2e/harness/harness.ts";
import { makeUsers } from "../e2e/harness/users.ts";
import { type Figure, median, printFigures } from "./lib/figures.ts";

const steps = [50, 100];
const watchMs = 10_000;
const atOnce = 4;

const berth = await startBerth({ BERTH_IDLE_SECONDS: "3600", BERTH_POLL_SECONDS: "5" });
try {
  const waiting = await makeUsers(berth, "bench", steps.at(-1)!);
  await delay(1000);
  const base = { cpuMs: await cpuWhileIdle(), memory: berth.host.memoryBytes() };
  const figures: Figure[] = [];
  for (const [at, step] of steps.entries()) {
    const batch = waiting.splice(0, step - (steps[at - 1] ?? 0));
    await Promise.all(
      Array.from({ length: atOnce }, async () => {
        for (let client = batch.pop(); client; client = batch.pop()) await client.ok("POST", "/v1/workspace/start");
      }),
    );
    const cpuMs = await cpuWhileIdle();
    const own = await Promise.all((await berth.containers()).map(({ Id }) => memoryOf(Id)));
    figures.push(
      { name: `memory of a workspace, of ${step}`, ours: median(own) / 2 ** 20, unit: "MiB" },
      {
        name: `host agent's memory for each of ${step}`,
        ours: (berth.host.memoryBytes() - base.memory) / step / 1024,
        unit: "KiB",
      },
      {
        name: `host agent's memory with ${step}`,
        ours: berth.host.memoryBytes() / 2 ** 20,
        unit: "MiB",
        target: { bound: 150 },
      },
      { name: `host agent's CPU time with ${step}, of 10 s`, ours: cpuMs, bare: base.cpuMs, unit: "ms" },
    );
  }
  printFigures(figures);
} finally {
  await berth.close();
}

async function cpuWhileIdle(): Promise<number> {
  const before = cpuMsOf(berth.host.pid);
  await delay(watchMs);
  return cpuMsOf(berth.host.pid) - before;
}

/** User and system time of a process in milliseconds; the kernel counts in 10 ms. */
function cpuMsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

async function memoryOf(containerId: string): Promise<number> {
  const { State } = await engine.getContainer(containerId).inspect();
  return readUsage(findCgroup(State.Pid)!)!.memoryBytes;
}
