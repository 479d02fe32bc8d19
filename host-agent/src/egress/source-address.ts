/**
 * Which agent a connection to the forwarder comes from. Programs reach a proxy by TCP alone, which says nothing of a uid; but the
 * kernel chooses the address that a connection comes from, and by policy routing it does so by the uid that made the socket. No
 * other agent can take that address: what it binds to one of these leads nowhere. Pure: who has which, and what ip(8) is told.
 */

/** The forwarder has a lane for so many of a user's agents, counted from 1; further ones share them. */
const laneCount = 16;

/** The lanes of one user's agents. */
export function createLanes() {
  const known = new Map<string, { uid: number; lane: number }>();
  return {
    /** The agent's lane: one that nobody has, while there is one. */
    of(agentId: string, uid: number): number {
      const taken = new Set([...known.values()].map(({ lane }) => lane));
      const all = Array.from({ length: laneCount }, (_, at) => at + 1);
      const lane = known.get(agentId)?.lane ?? all.find((one) => !taken.has(one)) ?? all[known.size % laneCount]!;
      known.set(agentId, { uid, lane });
      return lane;
    },
    leave: (agentId: string) => void known.delete(agentId),
    byUid: (): Map<number, number> => new Map([...known.values()].map(({ uid, lane }) => [uid, lane])),
  };
}

/**
 * A script of sh that takes lines of ip(8) as its arguments, in the container's network namespace. The kernel looks up what is local before all
 * else; that moves behind these rules, once. Those that stand there of before are replaced.
 */
export const sourceScript = `printf "rule add pref 4000 lookup local\\nrule del pref 0\\n" | ip -batch - 2>/dev/null
printf "%s\\n" "$@" | ip -batch -`;

/** Lanes by uid. Agents have uids from the first on; what binds to an address of a lane is refused before it is given another's. */
export function sourceRules(port: number, firstUid: number, lanes: ReadonlyMap<number, number>): string[] {
  const toForwarder = `ipproto tcp dport ${port}`;
  return [
    "rule flush protocol 28",
    `rule add pref 2000 protocol 28 from 127.31.28.0/24 ${toForwarder} uidrange ${firstUid}-4294967294 prohibit`,
    ...[...lanes].flatMap(([uid, lane]) => [
      `route replace local 127.0.0.1 dev lo src 127.31.28.${lane} table ${lane}`,
      `rule add pref 1000 protocol 28 from 127.31.28.${lane} ${toForwarder} uidrange ${uid}-${uid} lookup ${lane}`,
      `rule add pref 3000 protocol 28 to 127.0.0.1 ${toForwarder} uidrange ${uid}-${uid} lookup ${lane}`,
    ]),
  ];
}
