/**
 * The Unix sockets of the host agent that a workspace sees in /run/berth: those to the egress proxy, a lane each, which only the
 * forwarder may open, and one to the model proxy per agent, which only that agent may open. The directory is root's.
 */
import { chmod, chown, mkdir, open, rename, rm } from "node:fs/promises";
import { createServer, type RequestListener, type Server } from "node:http";
import { join } from "node:path";
import { createPlaces } from "@berth/shared/bounds/places";
import { descriptorLimit } from "@berth/shared/node/descriptors";
import { shareOut } from "@berth/shared/node/share-out";
import { createLanes } from "../egress/source-address.ts";
import type { AgentRow } from "../store/rows.ts";
import { forwarderUid } from "../store/uids.ts";
import { holdBack, type Rate } from "../context/backpressure.ts";

export const modelSocket = (agentId: string) => `${agentId}.sock`;
/** Of a lane; without one, of all that no lane is known of. */
const egressSocket = (lane?: number) => (lane === undefined ? "egress.sock" : `egress-${lane}.sock`);
/** Of one agent's socket: what it opens beyond is closed at once. */
const maxConnections = 256;
/** An agent's CLI makes a few calls a second, and its programs what an installation takes: that is a user's rate, each lane's burst. */
const rates = { model: { perSecond: 100, burst: 500 }, egress: { perSecond: 200, burst: 250 } };
/** Begun and not yet asked anything: half a request is not waited for longer. */
const headersTimeout = 10_000;

export interface SocketServers {
  /** Answers the model API for one agent. */
  modelFor(agentId: string): RequestListener;
  /** For one user: makes a proxy server for a lane, not listening yet. */
  egressFor(userId: string): (lane: string) => Server;
  /** Writes what else the user's directory has. */
  prepare(userId: string, directory: string): Promise<void>;
}

export type Sockets = ReturnType<typeof openSockets>;

interface OfUser {
  servers: Map<string, Promise<Server>>;
  lanes: ReturnType<typeof createLanes>;
  makeEgress(lane: string): Server;
  rate: Rate;
}

export function openSockets(dataDir: string, servers: SocketServers) {
  const directoryOf = (userId: string) => join(dataDir, "run", userId);
  const { listening, of, openModel, openEgress } = createListeners(directoryOf, servers);

  return {
    directoryOf,
    /** Which lane the connections of an agent's uid are for. */
    lanesOf: (userId: string): Map<number, number> => listening.get(userId)?.lanes.byUid() ?? new Map(),
    /** Makes the user's directory and listens for the forwarder and for each of the agents. */
    async openUser(userId: string, agents: AgentRow[]): Promise<void> {
      await mkdir(directoryOf(userId), { recursive: true });
      await chmod(directoryOf(userId), 0o711);
      await Promise.all([
        servers.prepare(userId, directoryOf(userId)),
        openEgress(userId),
        ...agents.map((agent) => this.openAgent(agent)),
      ]);
    },
    /** The agent's socket, as soon as it is there; undefined where nobody has asked for it. */
    opened: (agent: AgentRow): Promise<unknown> | undefined =>
      listening.get(agent.userId)?.servers.get(modelSocket(agent.id)),
    async openAgent({ userId, id, uid }: AgentRow): Promise<void> {
      await Promise.all([openModel(userId, id, uid), openEgress(userId, of(userId).lanes.of(id, uid))]);
    },
    /** Closes one agent's socket for good. */
    async closeAgent(userId: string, agentId: string): Promise<void> {
      const ofUser = listening.get(userId);
      const server = ofUser?.servers.get(modelSocket(agentId));
      ofUser?.servers.delete(modelSocket(agentId));
      // The lane's own goes on: it is the next agent's.
      ofUser?.lanes.leave(agentId);
      await rm(join(directoryOf(userId), modelSocket(agentId)), { force: true });
      await letGo(server);
    },
    /** Closes all of a user's sockets; the directory stays, for a mount of it would go on showing the old one. */
    async closeUser(userId: string): Promise<void> {
      const ofUser = listening.get(userId);
      listening.delete(userId);
      for (const [name, server] of ofUser?.servers ?? []) {
        await rm(join(directoryOf(userId), name), { force: true });
        await letGo(server);
      }
    },
    async close(): Promise<void> {
      for (const { servers: all } of listening.values()) for (const server of all.values()) await letGo(server);
      listening.clear();
    },
  };
}

/** Each socket listens once, for all who want it. */
function createListeners(directoryOf: (userId: string) => string, servers: SocketServers) {
  const listening = new Map<string, OfUser>();
  // A connection takes two descriptors, the other towards its target; half of all stay for everything else.
  const places = createPlaces(Math.floor(descriptorLimit() / 4));

  function of(userId: string): OfUser {
    const known = listening.get(userId);
    if (known) return known;
    const rate = { ...rates.egress, spentAt: new Map() };
    const made = { servers: new Map(), lanes: createLanes(), makeEgress: servers.egressFor(userId), rate };
    listening.set(userId, made);
    return made;
  }
  function listenOnce(userId: string, name: string, uid: number, rate: Rate, make: () => Server): Promise<Server> {
    const { servers: ofUser } = of(userId);
    let server = ofUser.get(name);
    if (!server) {
      const made = make();
      shareOut(made, places, () => userId);
      holdBack(made, rate);
      server = listen(directoryOf(userId), name, uid, made);
      ofUser.set(name, server);
      server.catch(() => {
        ofUser.delete(name);
        closeServer(made);
      });
    }
    return server;
  }
  function openModel(userId: string, agentId: string, uid: number): Promise<Server> {
    return listenOnce(userId, modelSocket(agentId), uid, rates.model, () => {
      const server = createServer({ headersTimeout, connectionsCheckingInterval: 2000 }, servers.modelFor(agentId));
      server.maxConnections = maxConnections;
      return server;
    });
  }
  function openEgress(userId: string, lane?: number): Promise<Server> {
    const { makeEgress, rate } = of(userId);
    const name = egressSocket(lane);
    return listenOnce(userId, name, forwarderUid, rate, () => makeEgress(name));
  }
  return { listening, of, openModel, openEgress };
}

/**
 * Listens under a temporary name, gives the socket its owner and mode, then renames it into place: what an earlier
 * process left is replaced, and nobody can connect before the mode is right.
 */
async function listen(directory: string, name: string, uid: number, server: Server): Promise<Server> {
  const fresh = `.${name}.${process.pid}`;
  const handle = await open(directory, "r");
  try {
    await rm(join(directory, fresh), { force: true });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      // Through the open directory, since a socket's path may have 107 bytes at most.
      server.listen(`/proc/self/fd/${handle.fd}/${fresh}`, resolve);
    });
    await chmod(join(directory, fresh), 0o600);
    await chown(join(directory, fresh), uid, uid);
    await rename(join(directory, fresh), join(directory, name));
  } finally {
    await handle.close();
  }
  return server;
}

/** One that could not listen is closed already. */
const letGo = (server: Promise<Server> | undefined) => server?.then(closeServer, () => undefined);

function closeServer(server: Server): void {
  server.close();
  server.closeAllConnections();
}
