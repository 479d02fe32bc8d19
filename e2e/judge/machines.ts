/** Rules about what is on the machines: uids, agents that were deleted, what is left at the end, and the product's processes. */
import type { History } from "./history.ts";
import { callsTo, lookMs, ofEach, type Rule } from "./rule.ts";

/** Uids from here on are agents'. */
const firstUid = 20_000;
const agentsOf = (uids: number[]) => uids.filter((uid) => uid >= firstUid);

const uidHasOneOwner: Rule = {
  says: "a uid of a host belongs to one agent for ever",
  judge(history) {
    const claims = [
      ...history.all("agentRow").map(({ host, agent, uid }) => ({ host, agent, uid })),
      ...history.all("owners").flatMap(({ host, agent, uids }) => agentsOf(uids).map((uid) => ({ host, agent, uid }))),
    ];
    const owners = Map.groupBy(claims, ({ host, uid }) => `uid ${uid} of ${host}`);
    const wrong = [...owners].flatMap(([uid, own]) => {
      const agents = new Set(own.map(({ agent }) => agent));
      return agents.size > 1 ? [`${uid} belongs to ${[...agents].join(" and to ")}`] : [];
    });
    return { checked: owners.size, wrong };
  },
};

const filesHaveOneOwner: Rule = {
  says: "an agent's files belong to one uid",
  judge: ofEach(
    ({ all }) => all("owners"),
    ({ host, agent, uids }) =>
      agentsOf(uids).length > 1
        ? `the files of agent ${agent} on ${host} belong to ${agentsOf(uids).join(" and ")}`
        : null,
  ),
};

const deletedAgentsAreGone: Rule = {
  says: "a deleted agent is listed nowhere, and its files are gone from its user's host",
  judge: ofEach(deletions, (agent, { all }) => {
    const isListed = all("listed").some(({ agents }) => agents.some(({ id }) => id === agent));
    if (isListed) return `agent ${agent} was deleted and is listed`;
    const places = all("owners").filter((owners) => owners.agent === agent);
    const left = places.find(({ user, host }) => all("placed").some((at) => at.user === user && at.host === host));
    return left ? `agent ${agent} was deleted, and ${left.host} has its files` : null;
  }),
};

function deletions(history: History): string[] {
  const asked = history
    .all("call")
    .filter(({ method, path }) => method === "DELETE" && /^\/v1\/agents\/[^/]+$/.test(path));
  return [...new Set(asked.map(({ path }) => path))]
    .filter((path) => callsTo(history, "DELETE", path).some(({ status }) => status === 204))
    .map((path) => path.slice("/v1/agents/".length));
}

const nothingIsLeft: Rule = {
  says: "nothing is left of what was stopped: no container, process, mount or open file",
  judge: ofEach(
    ({ all }) => all("left"),
    ({ host, what, items }) => (items.length > 0 ? `${host} has ${what} left: ${items.slice(0, 5).join(", ")}` : null),
  ),
};

const databasesAreWhole: Rule = {
  says: "every database is whole, and every run in it has an end",
  judge(history) {
    const damaged = history.all("database").filter(({ integrity }) => integrity !== "ok");
    const open = history.all("row").filter(({ database, run }) => !database.includes("former") && run.endedAt === null);
    return {
      checked: history.all("database").length + history.all("row").length,
      wrong: [
        ...damaged.map(({ database, integrity }) => `${database} is damaged: ${integrity}`),
        ...open.map(({ database, run }) => `${database} has ${run.id} without an end: ${run.status}`),
      ],
    };
  },
};

const processesStay: Rule = {
  says: "a process of the product ends when it is told to, with exit code 0, and never by itself",
  judge: ofEach(
    ({ all }) => all("ended"),
    ({ daemon, code, asked }) => {
      if (asked === "SIGKILL") return null;
      if (asked === null) return `${daemon} ended by itself with ${code}`;
      // A host that its gateway has removed says so by its exit code.
      const expected = asked === "removal" ? 2 : 0;
      return code === expected ? null : `${daemon} ended with ${code} on ${asked}`;
    },
  ),
};

const oneContainerAUser: Rule = {
  says: "a user has one container at a time, on one host",
  judge(history) {
    const live = new Map<string, { container: string; host: string; at: number }[]>();
    const started = history.all("engine").filter(({ action, user }) => user !== "" && action === "start");
    // The kernel's word comes first where the engine's of the start is late, so that the engine's of the death counts too.
    const dead = [
      ...history.all("container").filter(({ isAlive }) => !isAlive),
      ...history.all("engine").filter(({ action }) => action === "die"),
    ];
    const wrong: string[] = [];
    const words = [...started, ...dead].toSorted((one, other) => one.at - other.at);
    for (const word of words) {
      if (word.kind === "container" || word.action === "die")
        for (const [user, own] of live)
          live.set(
            user,
            own.filter(({ container }) => container !== word.container),
          );
      else {
        const before = (live.get(word.user) ?? []).filter(({ container }) => container !== word.container);
        const beside = before.filter(({ host, at }) => host === word.host || !wasGivenUp(history, host, at, word.at));
        live.set(word.user, [...before, word]);
        const places = [...beside, word].map(({ container, host }) => `${container} on ${host}`);
        if (places.length > 1) wrong.push(`${word.user} had ${places.length} containers at once: ${places.join(", ")}`);
      }
    }
    return { checked: started.length, wrong };
  },
};

/** Whether a host was removed, or forgot what it had, since a container of it started: who lived there may live elsewhere before it has ended. */
const wasGivenUp = ({ all }: History, name: string, startedAt: number, at: number) =>
  all("deed").some(
    ({ deed, host, at: doneAt }) =>
      ["host removed", "host database lost", "host database restored"].includes(deed) &&
      host === name &&
      doneAt >= startedAt &&
      doneAt <= at + lookMs,
  );

const logHasFacts: Rule = {
  says: "a process writes facts into its log: no warning of its runtime, no stack",
  judge: ofEach(
    ({ all }) => all("log"),
    ({ by, line }) =>
      /^\s*at |Warning: |^\S*Error: /.test(line) ? `the log of ${by} has: ${line.slice(0, 200)}` : null,
  ),
};

const driverSawNothing: Rule = {
  says: "what was broken could be mended, and every call was answered in its time",
  judge: ofEach(
    ({ all }) => all("remark"),
    ({ text }) => text,
  ),
};

export const machineRules = {
  uidHasOneOwner,
  filesHaveOneOwner,
  deletedAgentsAreGone,
  nothingIsLeft,
  databasesAreWhole,
  processesStay,
  oneContainerAUser,
  logHasFacts,
  driverSawNothing,
} satisfies Record<string, Rule>;
