/** From a line written in the container to the client, over SSE and over the socket, alone and among five readers; against an attached exec. */
import { PassThrough } from "node:stream";
import type { Agent } from "@berth/shared/resources";
import { type Client, textOf } from "../e2e/harness/client.ts";
import { engine, startBerth } from "../e2e/harness/harness.ts";
import { type Figure, interleave, lateBy, percentile, printFigures } from "./lib/figures.ts";

const lines = 400;
const rounds = 4;
/** Prints the time in nanoseconds, every 20 ms. The container has the machine's clock. */
const script = `import time\nfor _ in range(${lines}):\n print(time.time_ns(), flush=True)\n time.sleep(0.02)`;
const prompt = `exec python3 -c '${script}'`;

const berth = await startBerth({ BERTH_IDLE_SECONDS: "600", BERTH_POLL_SECONDS: "5" });
try {
  const client = await berth.client("bench");
  const agent = await client.createAgent("bench", { runtime: "shell" });
  await client.runToEnd(agent.id, "true");
  const { containerId } = await client.workspace();
  const ways = [
    () => overAttachedExec(containerId!),
    () => overSse(client, agent, 1),
    () => overSse(client, agent, 5),
    () => overSocket(client, agent),
  ];
  // As everywhere, what is measured has run before: the first round counts for nothing.
  for (const way of ways) await way();
  const [bare, sse, five, socket] = (await interleave(rounds, ...ways)).map((late) => late.flat());
  printFigures([
    ...figuresOf("over SSE", sse!, bare!),
    ...figuresOf("over SSE, five readers", five!, bare!),
    ...figuresOf("over the socket", socket!, bare!),
  ]);
} finally {
  await berth.close();
}

function figuresOf(way: string, late: number[], bare: number[]): Figure[] {
  return [
    [50, 10],
    [99, 10],
  ].map(([percent, bound]) => ({
    name: `line to client ${way}, p${percent}`,
    ours: percentile(late, percent!),
    bare: percentile(bare, percent!),
    unit: "ms",
    target: { bound: bound! },
  }));
}

async function overSse(client: Client, agent: Agent, readers: number): Promise<number[]> {
  const run = await client.send(agent.id, prompt);
  const late = await Promise.all(
    Array.from({ length: readers }, async () => {
      const own: number[] = [];
      for await (const event of client.events(run.id))
        if (event.event === "output") own.push(lateBy(textOf(event.data)));
      return own;
    }),
  );
  return late.flat();
}

async function overSocket(client: Client, agent: Agent): Promise<number[]> {
  const late: number[] = [];
  const socket = await client.connect();
  const run = await client.send(agent.id, prompt);
  await new Promise<void>((resolve) => {
    socket.ws.on("message", (data) => {
      const frame = JSON.parse((data as Buffer).toString()) as {
        type: string;
        runId?: string;
        data?: { text: string };
        run?: { endedAt: string | null };
      };
      if (frame.type === "output" && frame.runId === run.id) late.push(lateBy(frame.data!.text));
      if (frame.type === "run" && frame.run!.endedAt) resolve();
    });
  });
  await socket.close();
  return late;
}

async function overAttachedExec(containerId: string): Promise<number[]> {
  const late: number[] = [];
  const exec = await engine
    .getContainer(containerId)
    .exec({ Cmd: ["python3", "-c", script], User: "20000:19001", AttachStdout: true });
  const stream = await exec.start({ hijack: true, stdin: false });
  const out = new PassThrough();
  out.on("data", (chunk: Buffer) => late.push(...String(chunk).trim().split("\n").map(lateBy)));
  engine.modem.demuxStream(stream, out, new PassThrough());
  await new Promise((resolve) => stream.once("end", resolve));
  return late;
}
