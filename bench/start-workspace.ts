/** Workspace absent → running through the API, against the bare engine calls (create and start) of the same configuration. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { connectEngine, type ContainerSpec } from "../host-agent/src/machine/engine.ts";
import { Volumes } from "../host-agent/src/workspace/volumes.ts";
import { paths } from "../host-agent/src/workspace/container.ts";
import type { Client } from "../e2e/harness/client.ts";
import { engine, startBerth } from "../e2e/harness/harness.ts";
import { interleave, median, printFigures, timed } from "./lib/figures.ts";

const rounds = 20;
const berth = await startBerth({ BERTH_IDLE_SECONDS: "600" });
try {
  const known = await berth.client("bench");
  await known.ok("POST", "/v1/workspace/start");
  await known.ok("POST", "/v1/workspace/stop");
  const fresh = await Promise.all(Array.from({ length: rounds }, (_, at) => berth.client(`bench-${at}`)));
  const bare = await prepareBare();
  const jobs = [() => start(known), () => start(fresh.pop()!), bare];
  const [again, first, calls] = (await interleave(rounds, ...jobs)).map(median);
  const common = { bare: calls!, unit: "ms", compare: "ratio", target: { bound: 1.06 } } as const;
  printFigures([
    { name: "start of a workspace whose volume is there", ours: again!, ...common },
    { name: "start of a new user's workspace, volume made", ours: first!, ...common },
  ]);
} finally {
  await berth.close();
}

async function start(client: Client): Promise<number> {
  const took = await timed(() => client.ok("POST", "/v1/workspace/start"));
  await client.ok("POST", "/v1/workspace/stop");
  return took;
}

/** Create and start with the same image, limits and mounts, by the same client of the engine. */
async function prepareBare(): Promise<() => Promise<number>> {
  const calls = await connectEngine(undefined);
  const volume = await new Volumes(berth.hostDir, 2 ** 30).ensure("bare");
  const sockets = join(berth.hostDir, "bare-run");
  mkdirSync(sockets);
  const spec: ContainerSpec = {
    name: `berth-bare-${berth.hostId}`,
    image: "berth-workspace",
    labels: { "berth.bare": berth.hostId },
    memoryBytes: 2 ** 30,
    cpus: 1,
    pids: 512,
    mounts: [
      { source: volume.workspace, target: paths.workspace, readOnly: false },
      { source: volume.runs, target: paths.runs, readOnly: false },
      { source: volume.tmp, target: "/tmp", readOnly: false },
      { source: sockets, target: paths.sockets, readOnly: true },
      { source: "/etc/passwd", target: "/etc/passwd", readOnly: true },
    ],
  };
  return async () => {
    let id = "";
    const took = await timed(async () => {
      id = (await calls.createContainer(spec))!;
      await calls.startContainer(id);
    });
    await engine.getContainer(id).remove({ force: true });
    return took;
  };
}
