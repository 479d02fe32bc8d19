/** From a program's last line, just before its exit, to the client's final event: over SSE and over the socket, against the end of an attached exec. */
import { PassThrough } from "node:stream";
import { type Client, type Socket, textOf } from "../e2e/harness/client.ts";
import { engine, startBerth } from "../e2e/harness/harness.ts";
import { until } from "../gateway/test/wait.ts";
import { interleave, lateBy, median, printFigures } from "./lib/figures.ts";

const rounds = 30;
/** Its last act is to tell the time, in microseconds; the container has the machine's clock. */
const script = 'sleep 0.4; echo "${EPOCHREALTIME/./}000"';

const berth = await startBerth({ BERTH_IDLE_SECONDS: "600" });
try {
  const client = await berth.client("bench");
  const agent = await client.createAgent("bench", { runtime: "shell" });
  await client.runToEnd(agent.id, "true");
  const { containerId } = await client.workspace();
  const socket = await client.connect();
  const jobs = [
    () => overSse(client, agent.id),
    () => overSocket(client, socket, agent.id),
    () => attached(containerId!),
  ];
  const [sse, pushed, bare] = (await interleave(rounds, ...jobs)).map(median);
  const common = { bare: bare!, unit: "ms", target: { bound: 15 } };
  printFigures([
    { name: "end of a run → final event over SSE", ours: sse!, ...common },
    { name: "end of a run → final event over the socket", ours: pushed!, ...common },
  ]);
  await socket.close();
} finally {
  await berth.close();
}

async function overSse(client: Client, agentId: string): Promise<number> {
  const run = await client.send(agentId, script);
  let told = "";
  let late = 0;
  for await (const { event, data } of client.events(run.id)) {
    if (event === "output") told = textOf(data);
    else if (told) late = lateBy(told);
  }
  return late;
}

async function overSocket(client: Client, { ws }: Socket, agentId: string): Promise<number> {
  const [told, late] = [new Map<string, string>(), new Map<string, number>()];
  // Frames of the run before may still come, and the run's own before its id is known.
  const look = (data: Buffer) => {
    const { runId, data: line, run } = JSON.parse(data.toString()) as Frame;
    if (line) told.set(runId!, line.text);
    if (run?.endedAt && told.has(run.id)) late.set(run.id, lateBy(told.get(run.id)!));
  };
  ws.on("message", look);
  const { id } = await client.send(agentId, script);
  const ms = await until(() => late.get(id), "the run's end is told");
  ws.off("message", look);
  return ms;
}
interface Frame {
  runId?: string;
  data?: { text: string };
  run?: { id: string; endedAt: string | null };
}

async function attached(containerId: string): Promise<number> {
  const exec = await engine
    .getContainer(containerId)
    .exec({ Cmd: ["bash", "-c", script], User: "20000:19001", AttachStdout: true });
  const stream = await exec.start({ hijack: true, stdin: false });
  const out = new PassThrough();
  let told = "";
  out.on("data", (chunk: Buffer) => (told += String(chunk)));
  engine.modem.demuxStream(stream, out, new PassThrough());
  await new Promise((resolve) => stream.once("end", resolve));
  return lateBy(told);
}
