/** The forwarder of a workspace, its main process: when it can be trusted with the agents' way out. */
import { setTimeout as delay } from "node:timers/promises";
import { isListening } from "../machine/cgroup.ts";
import { forwarderUid } from "./unix-sockets.ts";

/** On a machine that is full. */
const patienceMs = 30_000;

/** Nobody else can take the forwarder's port once it listens: wait for that before anything of an agent runs. */
export async function waitForForwarder(initPid: number, port: number): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (!isListening(initPid, port, forwarderUid)) {
    if (performance.now() > deadline) throw new Error("the forwarder in the container did not start");
    await delay(2);
  }
}
