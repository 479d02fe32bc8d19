/**
 * The scheduler. One heap of what happens at which virtual time and on which side; a step is one entry, and lasts until
 * all microtasks have drained, so that whatever runs in it belongs to its side. Nothing in here waits for anything real.
 */
import { Draws, hash } from "./random.ts";

/** A process that can die: a generation of the host agent or of the gateway; or what is always there (machine, clients). */
export interface Side {
  name: string;
  isDead: boolean;
  /** What its machine's clock is off, in milliseconds. */
  clock: { offsetMs: number };
  /** How often each kind of call was made: the n-th call of a name has draws of its own. */
  calls: Map<string, number>;
  /** Done when it dies: its connections break. */
  onDeath: (() => void)[];
  /** The call of this process that fails, counted from its start; null for none beyond what the weather brings. */
  badCall: number | null;
  /** What goes on around it whoever dies: its machine. The world itself where nothing is said. */
  outside?: Side;
}

/** Thrown where a dead process would go on. */
export class Dead extends Error {
  override readonly name = "Dead";
}
/** Every failure that this world causes says so: what else fails is a finding. */
export const mark = "(simulated)";

/** What may go wrong now with calls of some names; rates from 0 to 1. */
export interface Weather {
  rate: number;
  names: RegExp;
  /** How long calls take, of what they take otherwise. */
  pace?: number;
}
export type Fault = "refused" | "lost" | "late";
/** What shall happen at the n-th point where something can, for enumeration; called with each. */
export type Plan = (point: number, name: string, isAsync: boolean) => Fault | "die" | null;

export interface Violation {
  invariant: string;
  detail: string;
}

export interface Entry {
  at: number;
  order: number;
  side: Side;
  run: () => unknown;
  isCancelled: boolean;
}

/** Synchronous calls in one step: more is a loop that never yields. */
const spinBudget = 3000;
const stepLimit = 60_000;
const realSetImmediate = setImmediate;
/** All microtasks and ticks, and rejections that nobody has caught: what Node does after each call of its own, without a turn of its loop. */
const drain = (process as unknown as { _tickCallback: () => void })._tickCallback;
/** One of its own for whoever waits: what waits for a shared one is kept for as long as that is. */
export const never = (): Promise<never> => new Promise(() => undefined);

/** Stacks are for who reads them: of all errors that are made here nearly none is. */
const stackLines = 8;

export class World {
  readonly seed: number;
  nowMs = 0;
  weather: Weather = { rate: 0, names: /^$/ };
  plan: Plan | null = null;
  points = 0;
  steps = 0;
  readonly violations: Violation[] = [];
  /** The last lines, or all of them where the trace is asked for. */
  readonly lines: string[] = [];
  traceHash = 0;
  /** What happened in it that is worth to happen often. */
  readonly traits = new Set<string>();
  readonly #root: Side = makeSide("world");
  current: Side = this.#root;
  readonly #keepsAll: boolean;
  readonly #heap: Entry[] = [];
  #order = 0;
  #spent = 0;

  /** An invariant that nobody looks at, to see what others say. */
  readonly #muted: string | null;

  constructor(seed: number, keepsAll = false, muted: string | null = null) {
    this.seed = seed;
    this.#muted = muted;
    this.#keepsAll = keepsAll;
    Error.stackTraceLimit = keepsAll ? stackLines : 0;
  }

  /** What is there whoever dies: around the side whose step this is. */
  get outside(): Side {
    return this.current.outside ?? this.#root;
  }

  /** Draws of what this side does for the n-th time. */
  draws(name: string, side: Side = this.current): Draws {
    const n = (side.calls.get(name) ?? 0) + 1;
    side.calls.set(name, n);
    return new Draws(this.seed, `${side.name}/${name}/${n}`);
  }

  /** Runs it on that side after so many milliseconds, unless the side is dead by then. */
  after(ms: number, run: () => unknown, side: Side = this.current): Entry {
    const entry = { at: this.nowMs + Math.max(0, ms), order: ++this.#order, side, run, isCancelled: false };
    push(this.#heap, entry);
    return entry;
  }

  cancel(entry: Entry): void {
    entry.isCancelled = true;
  }

  /** A synchronous call: dead processes make none. One that is refused has done nothing. */
  sync(name: string): void {
    if (this.current.isDead) throw new Dead();
    if (++this.#spent > spinBudget && this.current !== this.outside) {
      this.violate(
        "every loop yields",
        `more than ${spinBudget} calls in one step of ${this.current.name}, the last: ${name}`,
      );
      this.kill(this.current);
      throw new Dead();
    }
    const planned = this.plan?.(++this.points, name, false);
    if (planned === "refused") throw failureOf(name);
    if (planned !== "die") return;
    this.kill(this.current);
    throw new Dead();
  }

  /** Whether such a call shall fail now by the weather. */
  isStruck(name: string, draws: Draws): boolean {
    return this.weather.rate > 0 && this.weather.names.test(name) && draws.is(this.weather.rate);
  }

  /**
   * An asynchronous call: the work is done after a while on `by` (a machine goes on when who asked is dead), its outcome is
   * known a while later. It may be refused before it is done, its answer may be lost, or come later than anybody waits.
   */
  io<T>(name: string, work: () => T | Promise<T>, { by, lateMs = 20_000, tookMs = 0 }: IoOptions = {}): Promise<T> {
    const side = this.current;
    if (side.isDead) return never();
    if (++this.#spent > spinBudget) this.sync(name);
    const draws = this.draws(name);
    const fault = this.#faultOf(name, side, draws);
    if (side.isDead) return never();
    const failure = () => failureOf(name);
    return new Promise<T>((resolve, reject) => {
      const answer = (tell: () => void) =>
        this.after((by ? draws.delay() * (this.weather.pace ?? 1) : 0) + (fault === "late" ? lateMs : 0), tell, side);
      this.after(
        draws.delay() * (this.weather.pace ?? 1) + tookMs,
        async () => {
          if (fault === "refused") return answer(() => reject(failure()));
          try {
            const outcome = await work();
            if (!by && fault === null) return resolve(outcome);
            answer(() => (fault === null ? resolve(outcome) : reject(failure())));
          } catch (error) {
            answer(() => reject(error));
          }
        },
        by ?? side,
      );
    });
  }

  /** What is planned for this asynchronous call of the side; one that is to die is dead then. */
  planned(name: string, side: Side): Fault | null {
    const planned = this.plan?.(++this.points, name, true) ?? null;
    if (planned === "die") this.kill(side);
    return planned === "die" ? null : planned;
  }

  #faultOf(name: string, side: Side, draws: Draws): Fault | null {
    const planned = this.planned(name, side);
    if (planned || side.isDead) return planned;
    const total = (side.calls.get("*") ?? 0) + 1;
    side.calls.set("*", total);
    if (side.badCall === total) this.traits.add("an early call of a start fails");
    else if (!this.isStruck(name, draws)) return null;
    return draws.of(["refused", "refused", "lost", "late"]);
  }

  /** Ends a process as SIGKILL does: nothing of it has an effect any more. */
  kill(side: Side): void {
    if (side.isDead) return;
    side.isDead = true;
    this.trace(`killed ${side.name}`);
    for (const job of side.onDeath) job();
  }

  violate(invariant: string, detail: string): void {
    if (invariant === this.#muted) return;
    this.violations.push({ invariant, detail });
    this.trace(`VIOLATED ${invariant}: ${detail}`);
  }

  trace(text: string): void {
    const line = `${(this.nowMs / 1000).toFixed(3)} ${this.current.name} ${text}`;
    this.traceHash = hash(line, this.traceHash);
    this.lines.push(line);
    if (!this.#keepsAll && this.lines.length > 60) this.lines.splice(0, 30);
  }

  /** Goes on until `isOver` or the virtual time is up; whether it was over. */
  run(untilMs: number, isOver: () => boolean = () => false): Promise<boolean> {
    return new Promise((resolve, reject) => {
      // Steps drain microtasks, which those in progress cannot.
      realSetImmediate(() => {
        try {
          resolve(this.#runSteps(untilMs, isOver));
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  #runSteps(untilMs: number, isOver: () => boolean): boolean {
    while (!isOver()) {
      const next = this.#heap[0];
      if (!next || next.at > untilMs) {
        this.nowMs = Math.max(this.nowMs, untilMs);
        return isOver();
      }
      pop(this.#heap);
      if (next.isCancelled || next.side.isDead) continue;
      if (++this.steps > stepLimit) {
        this.violate("every loop yields", `no end after ${stepLimit} steps`);
        return false;
      }
      this.nowMs = next.at;
      this.current = next.side;
      this.#spent = 0;
      this.#step(next);
    }
    this.current = this.#root;
    return true;
  }

  #step({ run }: Entry): void {
    try {
      const done = run();
      if (done instanceof Promise) done.catch((error: unknown) => this.notice(error));
    } catch (error) {
      this.notice(error);
    }
    drain();
    this.current = this.#root;
  }

  /** Whatever nobody has caught. */
  notice(error: unknown): void {
    if (error instanceof Dead) return;
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    if (!text.includes(mark))
      this.violate("nothing is thrown that nobody catches", text.split("\n").slice(0, 4).join(" "));
  }
}

const failureOf = (name: string) =>
  Object.assign(new Error(`EIO: ${name} failed ${mark}`), { code: "EIO", statusCode: 500 });

interface IoOptions {
  by?: Side;
  lateMs?: number;
  tookMs?: number;
}

export function makeSide(name: string, clock = { offsetMs: 0 }, outside?: Side): Side {
  return { name, isDead: false, clock, calls: new Map(), onDeath: [], badCall: null, ...(outside && { outside }) };
}

/** The world of the schedule in progress: the substitutes of modules have no other way to it. One schedule at a time. */
let present: World | null = null;
export const world = (): World => present!;
export const hasWorld = (): boolean => present !== null;
export function enter(next: World | null): void {
  present = next;
}

const isBefore = (one: Entry, other: Entry) => one.at < other.at || (one.at === other.at && one.order < other.order);

function push(heap: Entry[], entry: Entry): void {
  let at = heap.length;
  heap.push(entry);
  while (at > 0) {
    const above = (at - 1) >> 1;
    if (!isBefore(entry, heap[above]!)) break;
    heap[at] = heap[above]!;
    at = above;
  }
  heap[at] = entry;
}

function pop(heap: Entry[]): void {
  const last = heap.pop()!;
  if (heap.length === 0) return;
  let at = 0;
  for (;;) {
    let below = 2 * at + 1;
    if (below >= heap.length) break;
    if (below + 1 < heap.length && isBefore(heap[below + 1]!, heap[below]!)) below++;
    if (!isBefore(heap[below]!, last)) break;
    heap[at] = heap[below]!;
    at = below;
  }
  heap[at] = last;
}
