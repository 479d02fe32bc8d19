/**
 * One at a time over processes: a name in the kernel's abstract socket namespace, which goes with the process that holds it, so
 * that no lock is ever stale. Plain JavaScript, because set-up needs it before anything is installed.
 */
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * Runs `work` while this process alone on the machine holds `name`; `onWait` is called once when another holds it.
 * @template T
 * @param {string} name
 * @param {() => Promise<T>} work
 * @param {() => void} [onWait]
 * @returns {Promise<T>}
 */
export async function withLock(name, work, onWait = () => {}) {
  let held = await take(name);
  if (!held) onWait();
  while (!held) {
    await sleep(50 + Math.random() * 100);
    held = await take(name);
  }
  try {
    return await work();
  } finally {
    held.close();
  }
}

/**
 * The server that holds the name, or null when another process holds it.
 * @param {string} name
 * @returns {Promise<import("node:net").Server | null>}
 */
function take(name) {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", (/** @type {NodeJS.ErrnoException} */ error) => {
      if (error.code === "EADDRINUSE") resolve(null);
      else reject(error);
    });
    server.listen(`\0berth:${name}`, () => resolve(server));
  });
}
