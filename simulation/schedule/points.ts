/**
 * Points instead of chance: each scenario once for each call that the host agent makes in it, with the process killed there, the
 * call refused, or its answer late; and beside that nothing, or the container gone, or the engine away.
 */
import type { Script } from "../machine/script.ts";
import { world } from "../world/world.ts";
import type { Kind, Operation } from "./operations.ts";
import { playSchedule } from "./schedule.ts";

interface Scenario {
  name: string;
  operations: Operation[];
  /** Calls before are none of the scenario's, nor those so long after. */
  fromMs: number;
  lengthMs?: number;
  /** Fewer would say that a seam has lost its wrapper. */
  leastPoints: number;
}
export interface Enumerated {
  scenario: string;
  points: number;
  /** What its calls go to: `engine`, `store` … */
  seams: string[];
  leastPoints: number;
  plays: number;
  failures: string[];
}

const long: Partial<Script> = {
  beginMs: 5,
  stepMs: 300,
  chunks: [10, 4098, 10],
  end: 0,
  ignoresTerm: false,
  leaves: 1,
  isKilled: false,
};
const short = { ...long, stepMs: 20, chunks: [4097] };
const endless = { ...long, end: null };

/** An agent whose CLI can be started ahead. */
const waits = "agt_a2";

const list = (...steps: [Kind, number, Partial<Script>?, string?][]): Operation[] =>
  steps.map(([kind, atMs, script, agent], index) => ({
    index,
    kind,
    atMs,
    user: "usr_a",
    agent: agent ?? `agt_a${kind === "start" ? index + 1 : 1}`,
    // Of which a restart draws no failure of its own.
    seed: 10,
    ...(script && { script }),
  }));

const scenarios: Scenario[] = [
  { name: "start, cold", operations: list(["start", 300, short]), fromMs: 299, leastPoints: 114 },
  {
    name: "start, warm",
    operations: list(["start", 300, short], ["start", 3000, short]),
    fromMs: 2999,
    leastPoints: 142,
  },
  {
    name: "start, of a wrapper that waits for a processor while the engine forgets its exec",
    operations: list(
      ["start", 300, short],
      ["start", 3000, { ...short, beginMs: 1500 }],
      ["engine restarts", 3560],
      // Its containers go on where an engine begins anew with this.
    ).map((operation) => (operation.kind === "engine restarts" ? { ...operation, seed: 2 } : operation)),
    fromMs: 3480,
    lengthMs: 600,
    leastPoints: 8,
  },
  {
    name: "an end, what it kept, and another run after it",
    operations: list(["start", 300, short], ["start", 3500, short]),
    fromMs: 1500,
    lengthMs: 600,
    leastPoints: 27,
  },
  { name: "cancel", operations: list(["start", 300, endless], ["cancel", 3000]), fromMs: 2999, leastPoints: 20 },
  { name: "stop", operations: list(["start", 300, endless], ["stop", 3000]), fromMs: 2999, leastPoints: 28 },
  {
    name: "delete agent",
    operations: list(["start", 300, endless], ["delete agent", 3000]),
    fromMs: 2999,
    leastPoints: 34,
  },
  {
    name: "started ahead",
    operations: list(["start", 300, short], ["open", 3000, undefined, waits]),
    fromMs: 2999,
    leastPoints: 75,
  },
  {
    name: "claimed",
    operations: list(["open", 300, undefined, waits], ["start", 5000, short, waits]),
    fromMs: 4999,
    leastPoints: 90,
  },
  {
    name: "what waits is short of memory",
    operations: list(["open", 300, undefined, waits], ["memory short", 5000]),
    fromMs: 4999,
    leastPoints: 49,
  },
  {
    name: "delete the agent of what waits",
    operations: list(["open", 300, undefined, waits], ["delete agent", 5000, undefined, waits]),
    fromMs: 4999,
    leastPoints: 15,
  },
  {
    name: "a word into a turn",
    operations: list(["start", 300, endless, waits], ["say", 3000]),
    fromMs: 2999,
    leastPoints: 10,
  },
  {
    name: "interrupt",
    operations: list(["start", 300, endless, waits], ["interrupt", 3000]),
    fromMs: 2999,
    leastPoints: 85,
  },
  {
    name: "an answer",
    operations: list(["start", 300, { ...endless, asks: true }, waits], ["answer", 3000]),
    fromMs: 2999,
    leastPoints: 8,
  },
  {
    name: "adopt",
    operations: list(["start", 300, { ...long, stepMs: 3000 }], ["crash", 2000]),
    fromMs: 2001,
    leastPoints: 73,
  },
];
/** Until so long after its beginning a scenario's calls are struck, unless it says otherwise. */
const usualMs = 2500;
const beside: (Kind | undefined)[] = [undefined, "end container", "remove container", "engine away"];
/** Of the synchronous calls those that change something: dying before or after a mere look is the same. */
export const changes =
  /^store\.(commit|run|all UPDATE|all DELETE|all INSERT)|^fs\.(openSync|mkdirSync|writeFileSync|renameSync|chmodSync|fchownSync|rmSync)|^kill/;
const seed = 77;

/** A call is named `seam.call`. */
export const seamOf = (call: string) => call.split(/[. ]/)[0]!;

/** All scenarios, or that one. */
export async function enumerateAll(only?: string): Promise<Enumerated[]> {
  const results: Enumerated[] = [];
  for (const scenario of scenarios)
    if (only === undefined || scenario.name === only) results.push(await enumerate(scenario));
  return results;
}

async function enumerate({ name, operations, fromMs, lengthMs = usualMs, leastPoints }: Scenario): Promise<Enumerated> {
  const isOurs = () =>
    world().current.name.startsWith("host") && world().nowMs >= fromMs && world().nowMs < fromMs + lengthMs;
  const calls: { name: string; isAsync: boolean }[] = [];
  const weather = { rate: 0, names: /^$/ };
  const note = (_point: number, call: string, isAsync: boolean) => {
    if (isOurs() && (isAsync || changes.test(call))) calls.push({ name: call, isAsync });
    return null;
  };
  const plain = await playSchedule({ seed, operations, weather, plan: note });
  const seams = [...new Set(calls.map(({ name }) => seamOf(name)))];
  const done: Enumerated = { scenario: name, points: calls.length, seams, leastPoints, plays: 1, failures: [] };
  const tell = (how: string, violations: { invariant: string; detail: string }[]) => {
    const [first] = violations;
    if (first) done.failures.push(`${name}, ${how}: ${first.invariant}: ${first.detail}`);
  };
  tell("nothing", plain.violations);
  for (const [at, call] of calls.entries()) {
    for (const fault of call.isAsync ? (["die", "refused", "lost", "late"] as const) : (["die", "refused"] as const)) {
      const others = call.isAsync ? beside : [beside[at % beside.length]];
      for (const whenStruck of fault === "die" ? others : [undefined]) {
        let count = -1;
        const plan = (_point: number, call: string, isAsync: boolean) =>
          isOurs() && (isAsync || changes.test(call)) && ++count === at ? fault : null;
        const { violations } = await playSchedule({
          seed,
          operations,
          weather,
          plan,
          ...(whenStruck && { whenStruck }),
        });
        done.plays++;
        tell(`${fault} at call ${at} (${call.name}), ${whenStruck ?? "nothing"} beside`, violations);
      }
    }
  }
  return done;
}
