/**
 * Points instead of chance, as schedule/points.ts has them of a host alone: each scenario that passes between gateway and host once
 * for each call in it. Whoever calls is killed there, or the other side is; the call is refused, its answer lost, or late.
 */
import type { Script } from "../machine/script.ts";
import { changes, type Enumerated, seamOf } from "../schedule/points.ts";
import { type Fault, type Violation, world } from "../world/world.ts";
import type { JointKind, JointOperation } from "./operations.ts";
import { playJoint } from "./schedule.ts";

interface Scenario {
  name: string;
  operations: JointOperation[];
  hosts: 1 | 2;
  /** Calls before are none of the scenario's, nor are those after. */
  fromMs: number;
  untilMs: number;
  /** Fewer would say that a seam has lost its wrapper. */
  leastPoints: number;
}
type Deed = Fault | "die" | "other dies";

const plain: Partial<Script> = { beginMs: 5, ignoresTerm: false, leaves: 0, isKilled: false, chunks: [10] };
const short = { ...plain, stepMs: 20, end: 0 };
const long = { ...plain, stepMs: 1350, end: 0 };
const endless = { ...plain, stepMs: 300, end: null };

type Step = [JointKind, number, Partial<Script>?, { user?: JointOperation["user"]; agent?: number }?];
const list = (...steps: Step[]): JointOperation[] =>
  steps.map(([kind, atMs, script, { user = "usr_a" as const, agent = 2 } = {}], index): JointOperation => ({
    index,
    kind,
    atMs,
    user,
    agent: `${user.replace("usr", "agt")}${agent}`,
    host: 0,
    // Of which a restart is soon, and a disabled user's runs end.
    seed: 10,
    ...(script && { script }),
  }));

const scenarios: Scenario[] = [
  {
    name: "webhook to run",
    operations: list(["deliver", 3000, short]),
    hosts: 1,
    fromMs: 3000,
    untilMs: 6000,
    leastPoints: 112,
  },
  {
    name: "start by the API",
    operations: list(["start", 3000, short]),
    hosts: 1,
    fromMs: 3000,
    untilMs: 6000,
    leastPoints: 83,
  },
  {
    name: "a message that waits for the one before",
    operations: list(["start", 2000, long], ["queue", 3000, short]),
    hosts: 1,
    fromMs: 3000,
    untilMs: 5000,
    leastPoints: 70,
  },
  {
    name: "an end is reported",
    operations: list(["start", 1000, long]),
    hosts: 1,
    fromMs: 3500,
    untilMs: 6000,
    leastPoints: 28,
  },
  {
    name: "a report of a new epoch",
    operations: list(["start", 1000, endless], ["lose host database", 3000]),
    hosts: 1,
    fromMs: 3001,
    untilMs: 6000,
    leastPoints: 30,
  },
  {
    name: "another host",
    operations: list(
      ["start", 1000, short],
      ["start", 1500, endless, { user: "usr_b" }],
      ["remove host", 4000],
      ["deliver", 4500, short, { user: "usr_b", agent: 4 }],
    ),
    hosts: 2,
    fromMs: 4000,
    untilMs: 6200,
    leastPoints: 112,
  },
  {
    name: "cancel",
    operations: list(["start", 1000, endless], ["cancel", 3000]),
    hosts: 1,
    fromMs: 3000,
    untilMs: 4000,
    leastPoints: 26,
  },
  {
    name: "a user is disabled",
    operations: list(["start", 1000, endless], ["disable user", 3000]),
    hosts: 1,
    fromMs: 3000,
    untilMs: 4000,
    leastPoints: 31,
  },
  {
    name: "delete agent",
    operations: list(["start", 1000, endless], ["delete agent", 3000]),
    hosts: 1,
    fromMs: 3000,
    untilMs: 4000,
    leastPoints: 25,
  },
  {
    name: "stop",
    operations: list(["start", 1000, endless], ["stop", 3000]),
    hosts: 1,
    fromMs: 3000,
    untilMs: 4000,
    leastPoints: 27,
  },
  {
    name: "adopt",
    operations: list(["start", 1000, { ...long, stepMs: 3000 }], ["crash", 3000]),
    hosts: 1,
    fromMs: 3001,
    untilMs: 6000,
    leastPoints: 43,
  },
];
const seed = 77;
const weather = { rate: 0, names: /^$/ };

/** Of the host's calls those that change something or go to the gateway: the others are struck in schedules of it alone. */
const isPoint = (side: string, call: string) =>
  side.startsWith("gateway")
    ? /^(db|net)/.test(call)
    : side.startsWith("host") && (call.startsWith("net") || changes.test(call) || call.startsWith("engine.startExec"));

export async function enumerateJoint(part: number, parts: number): Promise<Enumerated[]> {
  const results: Enumerated[] = [];
  for (const [at, scenario] of scenarios.entries()) if (at % parts === part) results.push(await enumerate(scenario));
  return results;
}

async function enumerate({ name, operations, hosts, fromMs, untilMs, leastPoints }: Scenario): Promise<Enumerated> {
  const isOurs = (call: string) => {
    const { nowMs, current } = world();
    return nowMs >= fromMs && nowMs < untilMs && isPoint(current.name, call);
  };
  const play = (strike: (call: string, isAsync: boolean) => Deed | null) => {
    const plan = (_point: number, call: string, isAsync: boolean) => (isOurs(call) ? strike(call, isAsync) : null);
    return playJoint({ seed, operations, hosts, weather, isSlow: true, plan });
  };
  const calls: { name: string; seam: string; deeds: Deed[] }[] = [];
  const plain = await play((call, isAsync) => {
    const by = world().current.name;
    calls.push({
      name: `${by} ${call}`,
      seam: `${by.replace(/\W.*|\d.*/, "")} ${seamOf(call)}`,
      deeds: deedsOf(call, isAsync),
    });
    return null;
  });
  const seams = [...new Set(calls.map(({ seam }) => seam))];
  const done: Enumerated = { scenario: name, points: calls.length, seams, leastPoints, plays: 1, failures: [] };
  const tell = (how: string, violations: Violation[]) => {
    const [first] = violations;
    if (first) done.failures.push(`${name}, ${how}: ${first.invariant}: ${first.detail}`);
  };
  tell("nothing", plain.violations);
  for (const [at, { name: call, deeds }] of calls.entries()) {
    for (const deed of deeds) {
      let count = -1;
      const { violations } = await play(() => (++count === at ? deed : null));
      done.plays++;
      tell(`${deed} at call ${at} (${call})`, violations);
    }
  }
  return done;
}

/** Between the statements of one side the other's death is the same. */
function deedsOf(call: string, isAsync: boolean): Deed[] {
  if (call.startsWith("net")) return ["die", "other dies", "refused", "lost", "late"];
  if (call.startsWith("engine")) return ["other dies"];
  return isAsync ? ["die", "refused", "lost", "late"] : ["die", "refused"];
}
