/**
 * Admission of charged model calls, so that budgets hold whatever is in flight: where the open calls may cost what a budget
 * has left, one is open at a time and the others wait for their turn. So a budget is exceeded by one call at most.
 */

/** What may still be spent, of one run or of a user's day. */
export interface Budget {
  of: string;
  /** Infinity where there is no limit. */
  leftUsd: number;
}
export type Verdict = "ok" | "budget" | "busy";

/** Calls of one budget at once: those that wait, and those whose client is gone and which are counted to their end. */
const mostOpen = 64;
const mostWaiting = 64;

/** One call that asks. */
export interface Entrant {
  /** The run's own budget first, then what it shares. Never the same without one of them. */
  budgets(): Budget[];
  /** What it may cost. */
  mostUsd: number;
  /** Called once; after "ok" the call has begun, and `leave` is due. */
  decide(verdict: Verdict): void;
}

export function createTurnstile() {
  const open = new Map<string, { calls: number; mostUsd: number }>();
  /** Oldest first, with the names of their budgets. */
  const waiting = new Map<Entrant, string[]>();
  /** What each call that has begun counts for. */
  const inside = new Map<Entrant, string[]>();
  const hasRoom = ({ of, leftUsd }: Budget, mostUsd: number) => {
    const beside = open.get(of);
    return !beside || (beside.calls < mostOpen && leftUsd >= beside.mostUsd + mostUsd);
  };
  const add = (name: string, calls: 1 | -1, { mostUsd }: Entrant) => {
    const before = open.get(name) ?? { calls: 0, mostUsd: 0 };
    if (before.calls + calls === 0) open.delete(name);
    else open.set(name, { calls: before.calls + calls, mostUsd: before.mostUsd + calls * mostUsd });
  };

  /** The budgets that keep it from going on: its run's own first, and who waits for that waits for no other. */
  const lackOf = ({ mostUsd }: Entrant, [own, ...shared]: Budget[]): string[] => {
    const full = (some: Budget[]) => some.filter((budget) => !hasRoom(budget, mostUsd)).map(({ of }) => of);
    const ofOwn = full(own ? [own] : []);
    return ofOwn.length > 0 ? ofOwn : full(shared);
  };

  /** What who waits for any of these budgets already lacks: whoever comes later waits behind, however little it may cost. */
  function claimsOn(names: string[], ask: (other: Entrant) => boolean = () => false): Set<string> {
    const claimed = new Set<string>();
    for (const [other, theirs] of waiting) {
      if (theirs.some((name) => claimed.has(name)) || !theirs.some((name) => names.includes(name))) continue;
      if (ask(other)) waiting.delete(other);
      else for (const name of lackOf(other, other.budgets())) claimed.add(name);
    }
    return claimed;
  }

  /** Lets one through, or says why not; the names of its budgets if it has to wait, as for one that is claimed by who came before. */
  function pass(entrant: Entrant, isLast: boolean): string[] | null {
    const now = entrant.budgets();
    const names = now.map(({ of }) => of);
    if (now.some(({ leftUsd }) => leftUsd <= 0)) entrant.decide("budget");
    else if (lackOf(entrant, now).length > 0 || (isLast && [...claimsOn(names)].some((name) => names.includes(name))))
      return names;
    else {
      for (const name of names) add(name, 1, entrant);
      inside.set(entrant, names);
      entrant.decide("ok");
    }
    return null;
  }

  return {
    /** Decides at once, or when its turn comes. */
    enter(entrant: Entrant): void {
      const names = pass(entrant, true);
      if (names === null) return;
      const beside = [...waiting.values()].filter(([own]) => own === names[0]);
      if (beside.length >= mostWaiting) entrant.decide("busy");
      else waiting.set(entrant, names);
    },
    /** Who waits no more. */
    giveUp: (entrant: Entrant) => void waiting.delete(entrant),
    /** A call that began is over, and counted: those that wait for what it used are asked again, one of each run. */
    leave(entrant: Entrant): void {
      const names = inside.get(entrant) ?? [];
      inside.delete(entrant);
      for (const name of names) add(name, -1, entrant);
      claimsOn(names, (other) => pass(other, false) === null);
    },
  };
}
