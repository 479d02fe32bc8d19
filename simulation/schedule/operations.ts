/** What happens in a schedule: a list of operations, each with its time and a seed of its own, so that any can be left out. */
import type { Script } from "../machine/script.ts";
import { Draws } from "../world/random.ts";

export const users = ["usr_a", "usr_b", "usr_c"] as const;
const agentsPerUser = 4;

export type Kind =
  | "start"
  | "start twice"
  | "cancel"
  | "stop"
  | "delete agent"
  | "crash"
  | "terminate"
  | "terminate during a stop"
  | "crash and lose the container"
  | "crash, one look fails"
  | "remove container"
  | "end container"
  | "engine away"
  | "engine hangs"
  | "engine restarts"
  | "reboot"
  | "restore host"
  | "lose host database"
  | "volume fails"
  | "disk full"
  | "machine's disk full"
  | "bad file"
  | "engine dawdles"
  | "limits change"
  | "day is spent"
  | "no descriptors"
  | "cut"
  | "step clock"
  | "open"
  | "say"
  | "interrupt"
  | "answer"
  | "talk"
  | "open and start"
  | "what waits dies"
  | "memory short"
  | "wait";

export interface Operation {
  index: number;
  kind: Kind;
  atMs: number;
  user: (typeof users)[number];
  agent: string;
  /** For everything else that it must decide. */
  seed: number;
  /** How its run behaves; drawn where nothing is said. */
  script?: Partial<Script>;
}

/** How often each comes. */
type Weights = Partial<Record<Kind, number>>;
const common: Weights = {
  start: 26,
  "start twice": 5,
  cancel: 6,
  stop: 5,
  "delete agent": 5,
  crash: 6,
  terminate: 3,
  "terminate during a stop": 3,
  "crash and lose the container": 3,
  "crash, one look fails": 5,
  "remove container": 4,
  "end container": 2,
  "engine away": 3,
  "engine hangs": 2,
  "engine restarts": 2,
  reboot: 2,
  "restore host": 3,
  "lose host database": 2,
  "volume fails": 2,
  "disk full": 2,
  "machine's disk full": 2,
  "bad file": 3,
  "engine dawdles": 2,
  "limits change": 2,
  "day is spent": 2,
  "no descriptors": 2,
  cut: 2,
  "step clock": 2,
  "open and start": 8,
  talk: 5,
  "what waits dies": 2,
  "memory short": 2,
  wait: 3,
};
/** By the world that they are played in. */
export const weights = { host: common };

/** How many follow the first: most faults need two or three, so that many short schedules find more than few long ones. */
const lengths = [1, 2, 2, 3, 3, 4, 5, 6, 8, 10];

export function drawOperations(seed: number, weights: Weights): Operation[] {
  const draws = new Draws(seed, "operations");
  const bag = Object.entries(weights).flatMap(([kind, count]) => Array<Kind>(count).fill(kind as Kind));
  // The first makes sure that there is something to disturb.
  const kinds: Kind[] = ["start", ...Array.from({ length: draws.of(lengths) }, () => draws.of(bag))];
  const crowd = draws.of([1, 1, 2, 3]);
  let atMs = 200;
  return kinds.map((kind, index) => {
    atMs += pauseOf(draws);
    const user = users[draws.whole(0, crowd - 1)]!;
    const agent = `${user.replace("usr", "agt")}${draws.whole(1, agentsPerUser)}`;
    return { index, kind, atMs, user, agent, seed: draws.whole(0, 2 ** 31) };
  });
}

/** At once, soon, or after what goes on by itself has gone on. */
export function pauseOf(draws: Draws): number {
  const kind = draws.next();
  if (kind < 0.35) return draws.between(0, 30);
  if (kind < 0.7) return draws.between(30, 400);
  return kind < 0.97 ? draws.between(400, 2500) : draws.between(2500, 30_000);
}
