/**
 * What hot functions cost as what there is grows, counted in rows that the database reads (and statements, one each):
 * exact on any machine, and what D1 bills. Each world is as the first, but for one size (or all) four times as large.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { openWorld, tellEntries, type Sizes, type World } from "../../test/world.ts";

const base: Sizes = { hosts: 5, neighbours: 25, strangers: 24, tombstones: 10, entries: 10 };
const names = Object.keys(base) as (keyof Sizes)[];
const times = 4;
/** What a clock that went on between two measurements may add. */
const slack = 10;

interface Hot {
  title: string;
  /** What its cost may grow with, in proportion at most; all else must not matter. */
  grows: (keyof Sizes)[];
  act(world: World): Promise<unknown>;
}

const hot: Hot[] = [
  {
    title: "a report that tells nothing",
    grows: ["neighbours", "tombstones"],
    act: ({ host }) => host.report({ complete: true, rev: host.rev }),
  },
  {
    title: "a report that tells much",
    grows: ["neighbours", "tombstones", "entries"],
    act: (world) => world.host.report(tellEntries(world)),
  },
];

/** Of each function: in the first world, in those with one size grown, and in the one with all. */
const costs = new Map<string, { first: number; grown: Record<string, number>; all: number }>();
const worlds: World[] = [];
beforeAll(async () => {
  const grown = names.map((name) => ({ ...base, [name]: base[name] * times }));
  const all = Object.fromEntries(names.map((name) => [name, base[name] * times])) as unknown as Sizes;
  for (const sizes of [base, ...grown, all]) worlds.push(await openWorld(sizes));
  for (const { title, act } of hot) {
    const each: number[] = [];
    for (const world of worlds) each.push(await costOf(world, act));
    const [first, ...rest] = each as [number, ...number[]];
    costs.set(title, {
      first,
      grown: Object.fromEntries(names.map((name, at) => [name, rest[at]!])),
      all: rest.at(-1)!,
    });
  }
});
afterAll(async () => {
  for (const world of worlds) await world.close();
});

async function costOf(world: World, act: Hot["act"]): Promise<number> {
  const { rowsRead, statements } = world.gateway;
  const [rows, ran] = [rowsRead!(), statements()];
  await act(world);
  return rowsRead!() - rows + statements() - ran;
}

test.each(hot)("$title costs in proportion to $grows at most, and no more for all that else there is", (one) => {
  const { first, grown, all } = costs.get(one.title)!;
  expect(first).toBeGreaterThan(0);
  for (const name of names) {
    const most = one.grows.includes(name) ? first * times : first + slack;
    expect(grown[name], `rows with ${times} times the ${name}`).toBeLessThanOrEqual(most);
  }
  expect(all, `rows with ${times} times everything`).toBeLessThanOrEqual(first * times + slack);
});
