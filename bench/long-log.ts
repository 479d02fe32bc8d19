/** A log of a gigabyte read from its begin by one reader, as its events, against the same file over a bare node:http; and what memory grows by. */
import { join } from "node:path";
import { startBerth, userIdOf } from "../e2e/harness/harness.ts";
import { startBareServer } from "./lib/bare.ts";
import { interleave, median, printFigures } from "./lib/figures.ts";

const lines = Number(process.env["BENCH_LINES"] ?? 9_400_000);
const rounds = lines > 5_000_000 ? 3 : 5;
const prompt = `seq -f "%07g $(printf 'x%.0s' $(seq 98))" 1 ${lines}`;
const megabyte = 1_000_000;

const berth = await startBerth({
  BERTH_IDLE_SECONDS: "600",
  BERTH_LOG_BYTES: String(2 ** 31),
  BERTH_DISK_BYTES: String(2 ** 32),
});
try {
  const client = await berth.client("bench");
  const agent = await client.createAgent("bench", { runtime: "shell" });
  const { run } = await client.runToEnd(agent.id, prompt);
  const bare = await startBareServer(join(berth.hostDir, "mnt", await userIdOf(client), "runs", run.id, "out"));
  const grown = { gateway: 0, host: 0 };
  /** Megabytes of log a second. */
  const rate = async (url: string) => {
    const before = { gateway: berth.gateway.memoryBytes(), host: berth.host.memoryBytes() };
    const startedAt = performance.now();
    const answer = await fetch(url, { headers: { authorization: `Bearer ${client.token}` } });
    const reader = answer.body!.getReader();
    for (let read = 0, looked = 0; ;) {
      const { done, value } = await reader.read();
      if (done) break;
      read += value.length;
      // The first tenth fills what V8 keeps anyway.
      if (read - looked < run.logBytes / 10) continue;
      const now = { gateway: berth.gateway.memoryBytes(), host: berth.host.memoryBytes() };
      if (looked === 0) Object.assign(before, now);
      grown.gateway = Math.max(grown.gateway, now.gateway - before.gateway);
      grown.host = Math.max(grown.host, now.host - before.host);
      looked = read;
    }
    return (run.logBytes * 1000) / megabyte / (performance.now() - startedAt);
  };
  const [ours, plain] = (
    await interleave(
      rounds,
      () => rate(`${berth.url}/v1/runs/${run.id}/events`),
      () => rate(`${bare.url}/file`),
    )
  ).map(median);
  bare.close();
  const memory = { unit: "MiB", target: { bound: 32 } };
  printFigures([
    {
      name: `${Math.round(run.logBytes / megabyte)} MB of log read by one`,
      ours: ours!,
      bare: plain!,
      unit: "MB/s",
      compare: "ratio",
      target: { bound: 0.6, from: "below" },
    },
    { name: "memory that the gateway grew by after the first tenth", ours: grown.gateway / 2 ** 20, ...memory },
    { name: "memory that the host agent grew by after the first tenth", ours: grown.host / 2 ** 20, ...memory },
  ]);
} finally {
  await berth.close();
}
