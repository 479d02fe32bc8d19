/** What breaks machines: links, engines, containers, power, disks, clocks, and the host agent's process. */
import { join } from "node:path";
import type { FleetHost } from "../engines/fleet.ts";
import { until } from "../../gateway/test/wait.ts";
import { pause } from "./random.ts";
import { endAndStart, endDaemon, type Fault, fillDisk, killContainers, type Scene, tellDeed } from "./scene.ts";

const otherHost = join(import.meta.dirname, "../hosts/other-host.ts");

export const machineFaults: Fault[] = [
  {
    name: "link",
    weight: 4,
    of: "host",
    async act({ random }, host) {
      const ms = random.pick([300, 1500, 4000, 12_000, 12_000, 33_000]);
      host.cut();
      await pause(ms);
      host.heal();
      return `cut for ${ms} ms`;
    },
  },
  {
    name: "connections reset",
    weight: 3,
    of: "host",
    async act({ random }, host) {
      let count = 0;
      for (let left = random.whole(1, 5); left > 0; left--) {
        count += host.resetConnections();
        await pause(random.whole(50, 700));
      }
      return `${count} of them`;
    },
  },
  {
    name: "host agent killed",
    weight: 4,
    of: "host",
    isDeadly: true,
    act: (scene, host) => endAndStart(scene, host.agent, host.name, [0, 0, 2000, 7000]),
  },
  {
    name: "host agent stands still",
    weight: 1,
    of: "host",
    async act({ random }, host) {
      const ms = random.pick([2000, 12_000, 33_000]);
      process.kill(host.agent.pid, "SIGSTOP");
      await pause(ms);
      process.kill(host.agent.pid, "SIGCONT");
      return `for ${ms} ms`;
    },
  },
  {
    name: "engine killed with live-restore",
    weight: 3,
    of: "host",
    async act({ random }, host) {
      await host.endEngine("SIGKILL");
      const ms = random.pick([0, 1000, 5000]);
      await pause(ms);
      await host.startEngine();
      return `away for ${ms} ms`;
    },
  },
  {
    name: "engine stands still",
    weight: 1,
    of: "host",
    async act({ random }, host) {
      const ms = random.pick([1000, 5000, 20_000, 40_000, 80_000]);
      host.signalEngine("SIGSTOP");
      await pause(ms);
      host.signalEngine("SIGCONT");
      return `for ${ms} ms`;
    },
  },
  {
    name: "engine without live-restore",
    weight: 2,
    of: "host",
    async act(scene, host) {
      const { random } = scene;
      tellDeed(scene, "containers killed", host.name);
      // Only containers started under such an engine end with it.
      const signal = random.pick(["SIGTERM", "SIGKILL"] as const);
      await host.endEngine("SIGTERM");
      await host.startEngine(false);
      await pause(random.whole(500, 3000));
      tellDeed(scene, "containers killed", host.name);
      await host.endEngine(signal);
      await host.startEngine();
      tellDeed(scene, "containers killed", host.name);
      return signal;
    },
  },
  {
    name: "containerd stands still",
    weight: 1,
    of: "host",
    async act({ random }, host) {
      const ms = random.pick([2000, 12_000, 40_000]);
      host.signalContainerd("SIGSTOP");
      await pause(ms);
      host.signalContainerd("SIGCONT");
      return `for ${ms} ms`;
    },
  },
  {
    name: "containerd killed",
    weight: 2,
    of: "host",
    async act(_scene, host) {
      const before = host.containerdPid();
      host.signalContainerd("SIGKILL");
      await until(() => ![0, before].includes(host.containerdPid()), `${host.name} has another containerd`);
      return "and started by its engine";
    },
  },
  {
    name: "container removed",
    weight: 2,
    of: "host",
    async act(scene, host) {
      const [found] = await host.docker.listContainers();
      if (!found) return "there was none";
      tellDeed(scene, "containers killed", host.name);
      await host.docker.getContainer(found.Id).remove({ force: true });
      tellDeed(scene, "containers killed", host.name);
      return found.Id.slice(0, 12);
    },
  },
  {
    name: "machine killed",
    weight: 2,
    of: "host",
    isDeadly: true,
    act: (scene, host) => killMachine(scene, host, false),
  },
  {
    name: "machine rebooted",
    weight: 2,
    of: "host",
    isDeadly: true,
    act: (scene, host) => killMachine(scene, host, true),
  },
  {
    name: "wrong clock",
    weight: 2,
    of: "host",
    isDeadly: true,
    async act(scene, host) {
      const { random } = scene;
      const ms = random.pick([120_000, -120_000]);
      await endDaemon(scene, host.agent, host.name, "SIGKILL");
      await host.agent.start({ CLOCK_OFFSET: String(ms) }, otherHost);
      await pause(random.whole(2000, 6000));
      await endDaemon(scene, host.agent, host.name, "SIGKILL");
      await host.agent.start();
      return `by ${ms} ms`;
    },
  },
  {
    name: "host's disk full",
    weight: 1,
    of: "host",
    act: (scene, host) => fillDisk(scene, host.dataDir, host.name, scene.random.whole(2000, 9000)),
  },
];

/** The power goes and comes back; at a boot what lives in memory alone is gone too. */
async function killMachine(scene: Scene, host: FleetHost, isBoot: boolean): Promise<string> {
  host.cut();
  await endDaemon(scene, host.agent, host.name, "SIGKILL");
  await killContainers(scene, host);
  if (isBoot) host.forgetBoot();
  await pause(scene.random.pick([0, 2000, 8000]));
  host.heal();
  // At a boot they start together.
  if (isBoot && scene.random.isTrue(0.5)) await Promise.all([host.startEngine(), host.agent.start()]);
  else {
    await host.startEngine();
    await host.agent.start();
  }
  return "and started again";
}
