/** Many schedules, one seed each: counts them, shrinks what breaks, and says how to see it again in one line. */
import { hash } from "../world/random.ts";
import { drawOperations, type Operation, weights } from "./operations.ts";
import { type Outcome, playSchedule, type Schedule } from "./schedule.ts";
import { shrink } from "./shrink.ts";

/** A world in which schedules are drawn and played. */
export interface Game<Op extends { index: number; kind: string } = Operation> {
  world: string;
  draw(seed: number): Op[];
  play(schedule: Schedule<Op>): Promise<Outcome>;
}
/** Of a host agent alone. */
export const hostGame: Game = {
  world: "host",
  draw: (seed) => drawOperations(seed, weights.host),
  play: playSchedule,
};

export interface Failure {
  world: string;
  seed: number;
  /** The operations that are left. */
  operations: { index: number }[];
  invariant: string;
  detail: string;
  /** What else is broken in the same schedule by those who do not look at that; only of a mutant. */
  others?: string[];
}
export interface Campaign {
  schedules: number;
  /** Of all traces together. */
  hash: number;
  steps: number;
  /** What happened in them, and how often: a campaign in which nothing does finds nothing. */
  seen: Record<string, number>;
  failures: Failure[];
}
export interface CampaignOptions {
  from: number;
  /** Of all seeds from there on every so-manieth is this process's. */
  every?: number;
  count: number;
  minutes?: number;
  /** Ends after so many failures. */
  mostFailures?: number;
  /** Whether a fault was put back: what it breaks is not made smaller, but looked at by all others too. */
  isMutant?: boolean;
}

export async function runCampaign<Op extends { index: number; kind: string }>(
  game: Game<Op>,
  options: CampaignOptions,
): Promise<Campaign> {
  const { from, every = 1, count, minutes = Infinity, mostFailures = 10, isMutant = false } = options;
  const deadline = process.hrtime.bigint() + BigInt(Math.min(minutes, 1e6) * 60e9);
  const done: Campaign = { schedules: 0, hash: 0, steps: 0, seen: {}, failures: [] };
  for (let seed = from; done.schedules < count && process.hrtime.bigint() < deadline; seed += every) {
    const schedule = scheduleOf(game, seed);
    const outcome = await game.play(schedule);
    done.schedules++;
    done.steps += outcome.steps;
    done.hash = hash(String(outcome.hash), done.hash);
    for (const { kind } of schedule.operations) done.seen[`did ${kind}`] = (done.seen[`did ${kind}`] ?? 0) + 1;
    for (const [what, times] of outcome.seen) done.seen[what] = (done.seen[what] ?? 0) + times;
    if (outcome.violations.length === 0) continue;
    done.failures.push(await (isMutant ? tellMutant : tell)(game, schedule, outcome));
    if (done.failures.length >= mostFailures) break;
  }
  return done;
}

/** With the operations of these indices alone, if any are given. */
export function scheduleOf<Op extends { index: number; kind: string }>(
  game: Game<Op>,
  seed: number,
  kept?: number[],
): Schedule<Op> {
  const operations = game.draw(seed);
  return { seed, operations: kept ? operations.filter(({ index }) => kept.includes(index)) : operations };
}

async function tell<Op extends { index: number; kind: string }>(
  game: Game<Op>,
  schedule: Schedule<Op>,
  first: Outcome,
): Promise<Failure> {
  const { operations, outcome } = await shrink(game.play, schedule, first);
  const { invariant, detail } = outcome.violations[0]!;
  return { world: game.world, seed: schedule.seed, operations, invariant, detail };
}

async function tellMutant<Op extends { index: number; kind: string }>(
  { world, play }: Game<Op>,
  schedule: Schedule<Op>,
  { violations }: Outcome,
): Promise<Failure> {
  const { invariant, detail } = violations[0]!;
  const { violations: others } = await play({ ...schedule, muted: invariant });
  return { world, ...schedule, invariant, detail, others: others.map((other) => other.invariant) };
}

/** The line that shows it again; `flags` are those that change what a seed gives. */
export function lineOf(
  { world, seed, operations, invariant, detail }: Failure,
  commit: string,
  flags: string[] = [],
): string {
  const ops = operations.map(({ index }) => index);
  return `npm run simulate -- --world ${world} --seed ${seed} --ops ${[ops.join(), ...flags].join(" ")} --trace   # at ${commit}: ${invariant}: ${detail}`;
}

/** In which share of the schedules the rare happened that they lean towards. */
export function sharesOf({ schedules, seen }: Campaign): string {
  const prefix = "schedules: ";
  return Object.entries(seen)
    .filter(([what]) => what.startsWith(prefix))
    .map(([what, count]) => `${what.slice(prefix.length)} ${((100 * count) / schedules).toFixed(1)} %`)
    .toSorted()
    .join(", ");
}
