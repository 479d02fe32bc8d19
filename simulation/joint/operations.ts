/** What happens in a schedule of gateway and hosts: as for a host alone, each with its time and a seed of its own. */
import type { Script } from "../machine/script.ts";
import { type Kind as HostKind, pauseOf } from "../schedule/operations.ts";
import { Draws } from "../world/random.ts";
import { agentsPerUser, users } from "./beginning.ts";

/** Of those of a host alone, each happens to one of the hosts. */
export const hostKinds = [
  "crash",
  "terminate",
  "crash and lose the container",
  "remove container",
  "engine away",
  "engine hangs",
  "reboot",
  "restore host",
  "lose host database",
  "step clock",
  "cut",
] as const satisfies HostKind[];

export type JointKind =
  | (typeof hostKinds)[number]
  | "start"
  | "start twice"
  | "queue"
  | "deliver"
  | "deliver twice"
  | "replay"
  | "cancel"
  | "stop"
  | "delete agent"
  | "delete trigger"
  | "disable user"
  | "enable user"
  | "drain host"
  | "remove host"
  | "crash gateway"
  | "crash gateway at a statement"
  | "terminate gateway"
  | "restore gateway"
  | "step gateway clock"
  | "gateway away"
  | "host away"
  | "disable whose run waits"
  | "order to a host that is away"
  | "wait";

export interface JointOperation {
  index: number;
  kind: JointKind;
  atMs: number;
  user: (typeof users)[number];
  agent: string;
  /** Which of the hosts, where there are two. */
  host: 0 | 1;
  seed: number;
  script?: Partial<Script>;
}

export const weights: Partial<Record<JointKind, number>> = {
  start: 16,
  "start twice": 5,
  queue: 6,
  deliver: 14,
  "deliver twice": 6,
  replay: 3,
  cancel: 6,
  stop: 2,
  "delete agent": 4,
  "delete trigger": 2,
  "disable user": 4,
  "enable user": 2,
  "drain host": 1,
  "remove host": 1,
  crash: 4,
  terminate: 2,
  "crash and lose the container": 2,
  "remove container": 2,
  "engine away": 2,
  "engine hangs": 1,
  reboot: 1,
  "restore host": 3,
  "lose host database": 2,
  "step clock": 1,
  cut: 2,
  "crash gateway": 4,
  "crash gateway at a statement": 8,
  "terminate gateway": 2,
  "restore gateway": 4,
  "step gateway clock": 2,
  "gateway away": 3,
  "host away": 4,
  "disable whose run waits": 2,
  "order to a host that is away": 3,
  wait: 2,
};

/** How many follow the first: as of a host alone, many short ones rather than few long ones. */
const lengths = [1, 2, 2, 3, 3, 4, 5, 6, 8];

export function drawOperations(seed: number): JointOperation[] {
  const draws = new Draws(seed, "joint operations");
  const bag = Object.entries(weights).flatMap(([kind, count]) => Array<JointKind>(count).fill(kind as JointKind));
  const kinds: JointKind[] = [
    draws.of(bag.filter((kind) => /^(start|deliver)/.test(kind))),
    ...Array.from({ length: draws.of(lengths) }, () => draws.of(bag)),
  ];
  const crowd = draws.of([1, 1, 2, 3]);
  let atMs = 200;
  return kinds.map((kind, index) => {
    atMs += pauseOf(draws);
    const user = users[draws.whole(0, crowd - 1)]!;
    const agent = `${user.replace("usr", "agt")}${draws.whole(1, agentsPerUser)}`;
    return { index, kind, atMs, user, agent, host: draws.of([0, 1] as const), seed: draws.whole(0, 2 ** 31) };
  });
}
