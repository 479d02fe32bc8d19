/** Carries out an operation of a schedule of gateway and hosts. */
import { gatewayUrl } from "../machine/machine.ts";
import { disturb as disturbHost, pause, spell } from "../schedule/disturb.ts";
import { Draws } from "../world/random.ts";
import { hostKinds, type JointKind, type JointOperation } from "./operations.ts";
import type { JointScene } from "./scene.ts";

export function disturb(scene: JointScene, operation: JointOperation): void {
  const draws = new Draws(operation.seed, operation.kind);
  const own = deeds[operation.kind];
  if (own) return own(scene, operation, draws);
  const host = scene.hosts[operation.host % scene.hosts.length]!;
  if (operation.kind === "restore host" || operation.kind === "lose host database") scene.hasForgotten = true;
  disturbHost(host, { ...operation, kind: operation.kind as (typeof hostKinds)[number] });
  scene.lastMs = Math.max(scene.lastMs, host.lastMs);
}

type Deed = (scene: JointScene, operation: JointOperation, draws: Draws) => void;

function later(scene: JointScene, ms: number, job: () => void): void {
  const { world } = scene;
  scene.lastMs = Math.max(scene.lastMs, world.nowMs + ms);
  world.after(ms, job, world.outside);
}

const restart = (scene: JointScene, draws: Draws) => later(scene, pause(draws), () => scene.gateway.start());

/** Nobody reaches it for a while: mostly a moment, now and then until it counts as gone. */
function cutOff(scene: JointScene, url: string, draws: Draws, isLong = draws.is(0.3)): void {
  const { unreachable } = scene;
  const count = (by: number) => void unreachable.set(url, (unreachable.get(url) ?? 0) + by);
  count(1);
  later(scene, isLong ? draws.between(3000, 45_000) : draws.between(10, 3000), () => count(-1));
}

const hostOf = ({ hosts }: JointScene, { host }: JointOperation) => hosts[host % hosts.length]!.machine.place;

const deeds: Partial<Record<JointKind, Deed>> = {
  start: ({ callers }, operation) => callers.start(operation),
  "start twice": ({ callers }, operation) => callers.start(operation, true),
  queue: ({ callers }, operation) => callers.start(operation, false, { ifBusy: "queue" }),
  deliver: ({ callers }, operation) => callers.deliver(operation),
  "deliver twice": ({ callers }, operation) => callers.deliver(operation, true),
  replay: ({ callers }, operation) => callers.replay(operation),
  cancel: ({ callers }, operation) => callers.cancel(operation),
  stop: ({ callers }, operation) => callers.stop(operation),
  "delete agent": ({ callers }, operation) => callers.deleteAgent(operation),
  "delete trigger": ({ callers }, operation) => callers.deleteTrigger(operation),
  "disable user": ({ callers }, operation, draws) =>
    callers.setUser(operation, { disabled: true, cancelRuns: draws.is(0.8) }),
  "enable user": ({ callers }, operation) => callers.setUser(operation, { disabled: false }),
  "drain host"(scene, operation, draws) {
    const { hostId } = hostOf(scene, operation);
    scene.callers.administer("POST", `/v1/admin/hosts/${hostId}/drain`);
    later(scene, draws.between(100, 5000), () => scene.callers.administer("POST", `/v1/admin/hosts/${hostId}/resume`));
  },
  /** Where another is left to go to. */
  "remove host"(scene) {
    if (scene.hosts.length < 2) return;
    const { hostId, name } = scene.hosts[1]!.machine.place;
    scene.callers.administer("DELETE", `/v1/admin/hosts/${hostId}?confirm=${name}`);
  },
  "crash gateway"(scene, _operation, draws) {
    scene.gateway.kill();
    restart(scene, draws);
  },
  "crash gateway at a statement"(scene, _operation, draws) {
    scene.database.fuse = draws.whole(1, 12);
    later(scene, draws.between(100, 3000), () => scene.gateway.start());
  },
  "terminate gateway"(scene, _operation, draws) {
    scene.gateway.terminate();
    restart(scene, draws);
  },
  "restore gateway"(scene, operation, draws) {
    const [copy, atMs] = [scene.database.copy(), scene.world.nowMs];
    later(scene, draws.is(0.5) ? draws.between(50, 1500) : draws.between(1500, 12_000), () => {
      scene.gateway.kill();
      scene.database.restore(copy);
      scene.hasForgotten = scene.isGatewayOld = true;
      scene.callers.forgetSince(atMs);
      scene.world.trace(`# ${operation.index} restored the gateway's`);
      restart(scene, draws);
    });
  },
  "step gateway clock": ({ gateway }, _operation, draws) =>
    gateway.stepClock(draws.of([-7_200_000, -60_000, 60_000, 7_200_000])),
  "gateway away": (scene, _operation, draws) => cutOff(scene, gatewayUrl, draws),
  "host away": (scene, operation, draws) => cutOff(scene, hostOf(scene, operation).url, draws),
  /** What waits rests, and is not ended with what runs. */
  "disable whose run waits"(scene, operation, draws) {
    cutOff(scene, hostOf(scene, operation).url, draws, true);
    scene.callers.deliver(operation);
    later(scene, draws.between(50, 1500), () =>
      scene.callers.setUser(operation, { disabled: true, cancelRuns: false }),
    );
  },
  /** What the host must hear in the answer to a report. */
  "order to a host that is away"(scene, operation, draws) {
    scene.callers.start({ ...operation, script: { end: null } });
    later(scene, draws.between(1000, 2500), () => {
      cutOff(scene, hostOf(scene, operation).url, draws, true);
      if (draws.is(0.5)) scene.callers.deleteAgent(operation);
      else scene.callers.setUser(operation, { disabled: true, cancelRuns: true });
    });
  },
  cut: (scene, _operation, draws) =>
    spell(
      scene.hosts[0]!,
      draws,
      () => (scene.network.isCut = true),
      () => (scene.network.isCut = false),
    ),
  wait: () => undefined,
};
