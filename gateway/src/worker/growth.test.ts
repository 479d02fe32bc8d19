/**
 * What hot functions cost as what there is grows, counted in rows that the database reads (and statements, one each):
 * exact on any machine, and what D1 bills. Each world is as the first, but for one size (or all) four times as large.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { openWorld, tellEntries, type Sizes, type World } from "../../test/world.ts";

const base: Sizes = {
  hosts: 8,
  neighbours: 25,
  strangers: 24,
  history: 40,
  expired: 6,
  waiting: 20,
  stalled: 20,
  belongings: 8,
  tombstones: 10,
  entries: 10,
};
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

/** A page of five, with each set of these filters that there is. */
function lists(path: string, filters: string[], grows: Hot["grows"]): Hot[] {
  const sets = filters.reduce<string[][]>((all, one) => [...all, ...all.map((set) => [...set, one])], [[]]);
  return sets.map((set) => ({
    title: `GET ${path}?${set.join("&")}`,
    // One filter has an index; others pick among the entries of that, at most 10,000 of them.
    grows: set.length > 0 ? grows : [],
    act: (world) => world.call("GET", fillIn(`${path}?${["limit=5", ...set].join("&")}`, world)),
  }));
}

const fillIn = (path: string, { agentId, triggerId, admin }: World) =>
  path.replace("AGENT", agentId).replace("TRIGGER", triggerId).replace("USER", admin.id);
const call = (method: string, path: string, grows: Hot["grows"] = [], body?: unknown): Hot => ({
  title: `${method} ${path}`,
  grows,
  act: (world) => world.call(method, fillIn(path, world), body),
});

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
  { title: "a tick that deletes what is old", grows: ["hosts", "expired"], act: ({ gateway }) => gateway.tick() },
  { title: "a tick that has nothing to do", grows: ["hosts"], act: ({ gateway }) => gateway.tick() },
  {
    title: "a delivery",
    grows: ["waiting"],
    act: ({ gateway, triggerId, secret }) =>
      gateway.call("POST", `/hooks/${triggerId}`, { headers: { authorization: `Bearer ${secret}` }, body: "x" }),
  },
  {
    title: "placing a user",
    // Who was placed on the host that is taken within the last minute.
    grows: ["strangers"],
    act: ({ gateway, newcomer: { token, agentId } }) =>
      gateway.call("POST", `/v1/agents/${agentId}/runs`, { token, body: { prompt: "first" } }),
  },
  call("GET", "/v1/me"),
  call("POST", "/v1/tickets"),
  call("POST", "/v1/agents/AGENT/runs", [], { prompt: "again" }),
  ...lists("/v1/runs", ["agentId=AGENT", "status=failed", "triggerId=TRIGGER", "triggerKind=api"], ["history"]),
  call("GET", "/v1/runs?limit=5&agentId=AGENT"),
  call("GET", "/v1/runs?limit=5&status=running"),
  call("GET", "/v1/search?limit=5&q=hello"),
  ...lists("/v1/admin/audit", ["actor=USER", "action=agent.updated", "outcome=refused"], ["history"]),
  call("GET", "/v1/admin/audit?limit=5&actor=admin"),
  call("GET", "/v1/admin/audit?limit=5&target=AGENT"),
  call("GET", "/v1/admin/audit?limit=5&action=agent.updated&since=2020-01-01T00:00:00Z&until=2100-01-01T00:00:00Z"),
  call("GET", "/v1/agents?limit=5"),
  call("GET", "/v1/agents/AGENT"),
  call("GET", "/v1/tokens?limit=5"),
  call("GET", "/v1/agents/AGENT/triggers?limit=5"),
  call("GET", "/v1/triggers/TRIGGER/deliveries?limit=5"),
  call("GET", "/v1/admin/users?limit=5", ["belongings", "tombstones"]),
  call("GET", "/v1/use"),
  call("GET", "/v1/admin/hosts?limit=5", ["hosts", "neighbours", "strangers", "stalled"]),
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
}, 600_000);
afterAll(async () => {
  for (const world of worlds) await world.close();
});

async function costOf(world: World, act: Hot["act"]): Promise<number> {
  await world.hear();
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
