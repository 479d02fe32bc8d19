/** Preloaded into the gateway (`--import`): tells its parent how long its event loop was held. */
import { monitorEventLoopDelay } from "node:perf_hooks";

const delay = monitorEventLoopDelay({ resolution: 5 });
delay.enable();
process.on("message", (/** @type {{id: number, name: string}} */ { id, name }) => {
  if (name !== "delay") return;
  const value = { p50: delay.percentile(50) / 1e6, p99: delay.percentile(99) / 1e6, max: delay.max / 1e6 };
  delay.reset();
  process.send?.({ id, name, value });
});
process.channel?.unref();
