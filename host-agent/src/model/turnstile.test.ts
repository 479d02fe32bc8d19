import { expect, test } from "vitest";
import { type Budget, createTurnstile, type Entrant, type Verdict } from "./turnstile.ts";

/** Calls of runs with their own budgets and one that all share; what each was told. */
function open(left: Record<string, number>) {
  const turnstile = createTurnstile();
  const enter = (run: string, mostUsd = 10) => {
    const told: Verdict[] = [];
    const budgets = (): Budget[] => [run, "day"].map((of) => ({ of, leftUsd: left[of] ?? Infinity }));
    const entrant: Entrant = { budgets, mostUsd, decide: (verdict) => told.push(verdict) };
    turnstile.enter(entrant);
    return { told, entrant };
  };
  return { left, turnstile, enter };
}

test("without a limit calls run beside each other", () => {
  const { enter } = open({});
  expect([enter("a"), enter("a"), enter("b")].map(({ told }) => told)).toEqual([["ok"], ["ok"], ["ok"]]);
});

test("near a budget one call is open, and the next has its turn when that is counted", () => {
  const { enter, turnstile, left } = open({ a: 0.01 });
  const [first, second, third] = [enter("a"), enter("a"), enter("a")] as const;
  expect([first.told, second.told]).toEqual([["ok"], []]);
  turnstile.leave(first.entrant);
  expect([second.told, third.told]).toEqual([["ok"], []]);
  left["a"] = -0.06;
  turnstile.leave(second.entrant);
  expect(third.told).toEqual(["budget"]);
});

test("far from a budget as many calls are open as it can pay whatever they cost", () => {
  const { enter } = open({ a: 35 });
  expect([1, 2, 3, 4].map(() => enter("a").told.length)).toEqual([1, 1, 1, 0]);
});

test("a call that may cost more takes the place of many, and gives it back", () => {
  const { enter, turnstile } = open({ a: 35 });
  const [dear, cheap] = [enter("a", 30), enter("a")] as const;
  expect([dear.told, cheap.told]).toEqual([["ok"], []]);
  turnstile.leave(dear.entrant);
  expect([cheap.told, enter("a").told, enter("a").told, enter("a").told]).toEqual([["ok"], ["ok"], ["ok"], []]);
});

test("runs share what their user's day has left, and a run that waits for its own budget holds up no other", () => {
  const { enter, turnstile } = open({ day: 15, a: 1 });
  const [first, second] = [enter("a"), enter("a")] as const;
  const other = enter("b");
  expect([first.told, second.told, other.told]).toEqual([["ok"], [], []]);
  turnstile.giveUp(second.entrant);
  turnstile.leave(first.entrant);
  expect([second.told, other.told]).toEqual([[], ["ok"]]);
});

test("who cannot even wait is told so", () => {
  const { enter } = open({ a: 1 });
  const last = Array.from({ length: 66 }, () => enter("a")).at(-1);
  expect(last?.told).toEqual(["busy"]);
});

test("a call that may cost much is not overtaken by those that come later and cost little", () => {
  const { enter, turnstile } = open({ day: 150 });
  const [one, other] = [enter("b", 29), enter("c", 29)] as const;
  const dear = enter("a", 130);
  turnstile.leave(one.entrant);
  const later = enter("b", 29);
  expect([dear.told, later.told]).toEqual([[], []]);
  turnstile.leave(other.entrant);
  expect([dear.told, later.told]).toEqual([["ok"], []]);
  turnstile.leave(dear.entrant);
  expect(later.told).toEqual(["ok"]);
});
