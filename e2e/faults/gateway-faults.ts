/** What breaks the gateway, and what its hosts tell it. */
import { copyFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { pause } from "./random.ts";
import { copyOf, endAndStart, endDaemon, type Fault, fillDisk, tellDeed } from "./scene.ts";

export const gatewayFaults: Fault[] = [
  {
    name: "gateway killed",
    weight: 4,
    of: "gateway",
    isDeadly: true,
    act: (scene) => endAndStart(scene, scene.fleet.gateway, "gateway", [0, 1000, 11_000]),
  },
  {
    name: "gateway stands still",
    weight: 1,
    of: "gateway",
    async act({ random, fleet }) {
      const ms = random.pick([2000, 12_000, 33_000]);
      process.kill(fleet.gateway.pid, "SIGSTOP");
      await pause(ms);
      process.kill(fleet.gateway.pid, "SIGCONT");
      return `for ${ms} ms`;
    },
  },
  {
    name: "gateway restored",
    weight: 2,
    of: "gateway",
    isDeadly: true,
    async act(scene) {
      const { fleet } = scene;
      await endDaemon(scene, fleet.gateway, "gateway", "SIGKILL");
      const copiedAt = statSync(copyOf(fleet)).mtimeMs;
      tellDeed(scene, "gateway restored", "gateway", copiedAt);
      const file = join(fleet.gatewayDir, "gateway.sqlite");
      for (const suffix of ["-wal", "-shm"]) rmSync(file + suffix, { force: true });
      copyFileSync(copyOf(fleet), file);
      await fleet.gateway.start();
      tellDeed(scene, "gateway restored", "gateway", copiedAt);
      return `from a copy that is ${Math.round((Date.now() - copiedAt) / 1000)} s old`;
    },
  },
  {
    name: "reports repeated",
    weight: 3,
    of: "gateway",
    async act({ relay, random }) {
      relay.mode = random.pick(["twice", "late"]);
      const told = relay.mode;
      await pause(random.whole(3000, 8000));
      relay.mode = "plain";
      return told;
    },
  },
  {
    name: "gateway's disk full",
    weight: 1,
    of: "gateway",
    act: (scene) => fillDisk(scene, scene.fleet.gatewayDir, "gateway", scene.random.whole(2000, 9000)),
  },
];
