/** A log of 100,000 lines read from its begin, by one reader and by five, against the same file over a bare node:http; and the memory that takes. */
import { join } from "node:path";
import type { Client } from "../e2e/harness/client.ts";
import { startBerth, userIdOf } from "../e2e/harness/harness.ts";
import { startBareServer } from "./lib/bare.ts";
import { interleave, median, printFigures } from "./lib/figures.ts";

const rounds = 5;
const prompt = `seq -f "%06g $(printf 'x%.0s' $(seq 100))" 1 100000`;
const megabyte = 1_000_000;

const berth = await startBerth({ BERTH_IDLE_SECONDS: "600" });
try {
  const client = await berth.client("bench");
  const agent = await client.createAgent("bench", { runtime: "shell" });
  const { run } = await client.runToEnd(agent.id, prompt);
  const bare = await startBareServer(join(berth.hostDir, "mnt", await userIdOf(client), "runs", run.id, "out"));
  const events = `${berth.url}/v1/runs/${run.id}/events`;
  const peaks = watchMemory();
  /** Megabytes of log a second, all readers together. */
  const rate = async (url: string, readers: number) => {
    const startedAt = performance.now();
    await Promise.all(Array.from({ length: readers }, () => drain(client, url)));
    return (run.logBytes * readers * 1000) / megabyte / (performance.now() - startedAt);
  };
  const file = `${bare.url}/file`;
  const [one, five, plain, plainFive] = (
    await interleave(
      rounds,
      () => rate(events, 1),
      () => rate(events, 5),
      () => rate(file, 1),
      () => rate(file, 5),
    )
  ).map(median);
  const { gateway, host } = peaks.stop();
  bare.close();
  const common = { unit: "MB/s", compare: "ratio" } as const;
  printFigures([
    { name: "100,000 lines read by one", ours: one!, bare: plain!, ...common },
    { name: "100,000 lines read by five", ours: five!, bare: plainFive!, ...common },
    { name: "100,000 lines a second, by one", ours: (one! * megabyte * 100_000) / run.logBytes, unit: "/s" },
    { name: "memory of the gateway meanwhile", ours: gateway / 2 ** 20, unit: "MiB", target: { bound: 150 } },
    { name: "memory of the host agent meanwhile", ours: host / 2 ** 20, unit: "MiB", target: { bound: 150 } },
  ]);
} finally {
  await berth.close();
}

async function drain(client: Client, url: string): Promise<void> {
  const answer = await fetch(url, { headers: { authorization: `Bearer ${client.token}` } });
  const reader = answer.body!.getReader();
  while (!(await reader.read()).done);
}

function watchMemory() {
  const peak = { gateway: 0, host: 0 };
  const look = () => {
    peak.gateway = Math.max(peak.gateway, berth.gateway.memoryBytes());
    peak.host = Math.max(peak.host, berth.host.memoryBytes());
  };
  const timer = setInterval(look, 50);
  return {
    stop() {
      clearInterval(timer);
      return peak;
    },
  };
}
