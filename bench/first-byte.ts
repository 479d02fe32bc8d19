/** From `POST …/runs` on a running workspace to the first byte of the run at the client, against a bare `docker exec` of the same command in the same container. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Client } from "../e2e/harness/client.ts";
import { engine, startBerth } from "../e2e/harness/harness.ts";
import { interleave, median, printFigures } from "./lib/figures.ts";

const rounds = 30;
const command = ["bash", "-c", "echo x"];
const user = "20000:19001";

const berth = await startBerth({ BERTH_IDLE_SECONDS: "600" });
try {
  const client = await berth.client("bench");
  const agent = await client.createAgent("bench", { runtime: "shell" });
  await client.runToEnd(agent.id, "echo x");
  const { containerId } = await client.workspace();
  const jobs = [() => ours(client, agent.id), () => attached(containerId!), () => byCommandLine(containerId!)];
  const [run, api, cli] = (await interleave(rounds, ...jobs)).map(median);
  const target = { bound: 20 };
  printFigures([
    {
      name: "first byte of a run, against docker exec",
      ours: run!,
      bare: cli!,
      unit: "ms",
      compare: "difference",
      target,
    },
    {
      name: "first byte of a run, against an attached exec call",
      ours: run!,
      bare: api!,
      unit: "ms",
      compare: "difference",
      target,
    },
  ]);
} finally {
  await berth.close();
}

/** Waits for the end too, outside of what is measured. */
async function ours(client: Client, agentId: string): Promise<number> {
  const startedAt = performance.now();
  const run = await client.send(agentId, "echo x");
  let took = 0;
  for await (const event of client.events(run.id)) if (event.event === "output") took ||= performance.now() - startedAt;
  return took;
}

async function attached(containerId: string): Promise<number> {
  const startedAt = performance.now();
  const exec = await engine.getContainer(containerId).exec({ Cmd: command, User: user, AttachStdout: true });
  const stream = await exec.start({ hijack: true, stdin: false });
  const ended = new Promise((resolve) => stream.once("end", resolve));
  await new Promise((resolve) => stream.once("data", resolve));
  const took = performance.now() - startedAt;
  stream.resume();
  await ended;
  return took;
}

async function byCommandLine(containerId: string): Promise<number> {
  const startedAt = performance.now();
  let took = 0;
  const running = promisify(execFile)("docker", ["exec", "--user", user, containerId, ...command]);
  running.child.stdout!.once("data", () => (took = performance.now() - startedAt));
  await running;
  return took;
}
