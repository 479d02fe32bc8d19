/** Cancelling a run of 50 processes: until the answer, and until the final event; against a bare kill of the same tree, until its exec has ended. */
import { readFileSync, readdirSync } from "node:fs";
import type { Client } from "../e2e/harness/client.ts";
import { engine, startBerth } from "../e2e/harness/harness.ts";
import { interleave, median, printFigures } from "./lib/figures.ts";

const rounds = 30;
const script = "for at in $(seq 49); do sleep 86400 & done; echo ready; wait";
const uid = 20_000;
const gid = 19_001;

const berth = await startBerth({ BERTH_IDLE_SECONDS: "600" });
try {
  const client = await berth.client("bench");
  const agent = await client.createAgent("bench", { runtime: "shell" });
  await client.runToEnd(agent.id, "true");
  const { containerId } = await client.workspace();
  const toEvent: number[] = [];
  const jobs = [() => cancel(client, agent.id, toEvent), () => kill(containerId!)];
  const [answer, bare] = (await interleave(rounds, ...jobs)).map(median);
  const common = { bare: bare!, unit: "ms", compare: "difference", target: { bound: 50 } } as const;
  printFigures([
    { name: "cancel of 50 processes → answer", ours: answer!, ...common },
    { name: "cancel of 50 processes → final event", ours: median(toEvent), ...common },
  ]);
} finally {
  await berth.close();
}

async function cancel(client: Client, agentId: string, toEvent: number[]): Promise<number> {
  const run = await client.send(agentId, script);
  let startedAt = 0;
  let answered: Promise<number> | null = null;
  for await (const { event } of client.events(run.id)) {
    if (event !== "output") continue;
    startedAt = performance.now();
    answered = client.ok("POST", `/v1/runs/${run.id}/cancel`).then(() => performance.now() - startedAt);
  }
  toEvent.push(performance.now() - startedAt);
  return answered!;
}

/** TERM to each of its processes, as a cancel begins. */
async function kill(containerId: string): Promise<number> {
  const container = engine.getContainer(containerId);
  const exec = await container.exec({ Cmd: ["bash", "-c", script], User: `${uid}:${gid}`, AttachStdout: true });
  const stream = await exec.start({ hijack: true, stdin: false });
  const ended = new Promise((resolve) => stream.once("end", resolve));
  await new Promise((resolve) => stream.once("data", resolve));
  stream.resume();
  const { Pid: shell } = await exec.inspect();
  const startedAt = performance.now();
  for (const pid of [...childrenOf(shell), shell]) process.kill(pid, "SIGTERM");
  await ended;
  return performance.now() - startedAt;
}

function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").split(" ").filter(Boolean).map(Number),
  );
}
