/**
 * Logs from a kilobyte to a gigabyte read from their begin by one reader, as their events, against the same file over a bare
 * node:http; and what memory grows by while the longest is read. `BENCH_LINES` is the longest's.
 */
import { join } from "node:path";
import { startBerth, userIdOf } from "../e2e/harness/harness.ts";
import { startBareServer } from "./lib/bare.ts";
import { type Figure, interleave, median, printFigures } from "./lib/figures.ts";

const longest = Number(process.env["BENCH_LINES"] ?? 9_400_000);
const counts = [10, 100, 1000, 10_000, 100_000, 1_000_000].filter((lines) => lines < longest);
const promptOf = (lines: number) => `seq -f "%07g $(printf 'x%.0s' $(seq 98))" 1 ${lines}`;
const megabyte = 1_000_000;

const berth = await startBerth({
  BERTH_IDLE_SECONDS: "600",
  BERTH_LOG_BYTES: String(2 ** 31),
  BERTH_DISK_BYTES: String(2 ** 32),
});
try {
  const client = await berth.client("bench");
  const agent = await client.createAgent("bench", { runtime: "shell" });
  const userId = await userIdOf(client);
  const grown = { gateway: 0, host: 0 };
  const figures: Figure[] = [];
  for (const lines of [...counts, longest]) {
    const { run } = await client.runToEnd(agent.id, promptOf(lines));
    const bare = await startBareServer(join(berth.hostDir, "mnt", userId, "runs", run.id, "out"));
    const read = (url: string) => rate(url, client.token, run.logBytes, lines === longest ? grown : null);
    const [ours, plain] = (
      await interleave(
        lines > 5_000_000 ? 3 : 7,
        () => read(`${berth.url}/v1/runs/${run.id}/events`),
        () => read(`${bare.url}/file`),
      )
    ).map(median);
    bare.close();
    const target = { bound: 0.6, from: "below" } as const;
    const name = `log of ${run.logBytes} bytes read by one`;
    const common = { unit: "MB/s", compare: "ratio" as const, ...(lines === longest && { target }) };
    figures.push({ name, ours: ours!, bare: plain!, ...common });
  }
  const memory = { unit: "MiB", target: { bound: 32 } };
  printFigures([
    ...figures,
    { name: "memory that the gateway grew by after the first tenth", ours: grown.gateway / 2 ** 20, ...memory },
    { name: "memory that the host agent grew by after the first tenth", ours: grown.host / 2 ** 20, ...memory },
  ]);
} finally {
  await berth.close();
}

/** Megabytes of log a second. */
async function rate(url: string, token: string, logBytes: number, grown: { gateway: number; host: number } | null) {
  const look = () => ({ gateway: berth.gateway.memoryBytes(), host: berth.host.memoryBytes() });
  let before = look();
  const startedAt = performance.now();
  const answer = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
  const reader = answer.body!.getReader();
  for (let read = 0, looked = 0; ;) {
    const { done, value } = await reader.read();
    if (done) break;
    read += value.length;
    // The first tenth fills what V8 keeps anyway.
    if (!grown || read - looked < logBytes / 10) continue;
    const now = look();
    if (looked === 0) before = now;
    grown.gateway = Math.max(grown.gateway, now.gateway - before.gateway);
    grown.host = Math.max(grown.host, now.host - before.host);
    looked = read;
  }
  return (logBytes * 1000) / megabyte / (performance.now() - startedAt);
}
