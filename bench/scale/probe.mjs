/** Preloaded into the gateway (`--import`): tells its parent how long its event loop was held. */
import { monitorEventLoopDelay } from "node:perf_hooks";

/** Milliseconds from one look to the next, which each figure of Node holds too. */
const resolution = 5;
const delay = monitorEventLoopDelay({ resolution });
delay.enable();
process.on("message", (/** @type {{id: number, name: string}} */ { id, name }) => {
  if (name !== "delay") return;
  const heldMs = (/** @type {number} */ nanoseconds) => Math.max(0, nanoseconds / 1e6 - resolution);
  const value = { p50: heldMs(delay.percentile(50)), p99: heldMs(delay.percentile(99)), max: heldMs(delay.max) };
  delay.reset();
  process.send?.({ id, name, value });
});
process.channel?.unref();
