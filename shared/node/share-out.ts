/** Which connections a server takes: whoever opens many leaves room for the others. */
import type { IncomingMessage, Server as HttpServer } from "node:http";
import type { Server, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { Server as TlsServer } from "node:tls";
import { createPlaces, type Places } from "@berth/shared/bounds/places";
import { networkOf, plainAddress } from "@berth/shared/bounds/network";
import { beginInTurn } from "./begin-in-turn.ts";
import { descriptorLimit } from "./descriptors.ts";
import { takeTurns } from "./take-turns.ts";

const mostConnections = 32_768;
/** Descriptors of everything else. */
const ofItself = 1024;
/** Of connections that ask nothing, each some 10 KB. */
const mostSilent = 2048;

/**
 * For a server that anybody may connect to. Closes what one network opens beyond its share of all connections, of which most take
 * a second descriptor for what they ask, and what is silent beyond a number. What they ask is begun in turn, by network and caller:
 * for servers that have their listeners of `request`.
 */
export function holdOpenServer(server: HttpServer, callerOf: (request: IncomingMessage) => string): void {
  const limit = descriptorLimit();
  const places = createPlaces(Math.min(mostConnections, Math.floor(Math.max(limit / 3, (limit - ofItself) / 2))));
  beginInTurn(server, networkOfPeer);
  takeTurns(server, ({ socket }) => networkOfPeer(socket), callerOf);
  closeSilent(server, mostSilent, "upgrade", networkOfPeer);
  shareOut(server, places, networkOfPeer);
}

const networkOfPeer = ({ remoteAddress }: Socket) => networkOf(plainAddress(remoteAddress ?? ""));

/** Closes what somebody opens beyond its share of the places. */
export function shareOut(server: Server, places: Places, ofWhom: (socket: Socket) => string): void {
  server.prependListener("connection", (socket: Socket) => {
    const give = places.take(ofWhom(socket));
    if (give) socket.once("close", give);
    else socket.destroy();
  });
}

/**
 * Shedding of load: of more silent connections than `most` the oldest goes of who has the most of them, never who just comes.
 * Whoever says at once what he wants is served beside one who opens connections and says nothing, or half of it. `other` is
 * what the server takes beside requests.
 */
export function closeSilent(
  server: HttpServer,
  most: number,
  other?: "connect" | "upgrade",
  ofWhom: (socket: Socket) => string = () => "",
): void {
  const silentOf = new Map<string, Set<Duplex>>();
  const peers = new WeakMap<Duplex, string>();
  let all = 0;
  const leave = (socket: Duplex) => {
    const silent = silentOf.get(peers.get(socket)!);
    if (!silent?.delete(socket)) return;
    all -= 1;
    if (silent.size === 0) silentOf.delete(peers.get(socket)!);
  };
  const fallSilent = (socket: Duplex) => {
    const peer = peers.get(socket);
    if (socket.destroyed || peer === undefined) return;
    silentOf.set(peer, (silentOf.get(peer) ?? new Set()).add(socket));
    all += 1;
    if (all <= most) return;
    const loudest = [...silentOf.values()].reduce((one, next) => (next.size > one.size ? next : one));
    const [oldest] = loudest;
    leave(oldest!);
    oldest!.destroy();
  };
  server.on(server instanceof TlsServer ? "secureConnection" : "connection", (socket: Socket) => {
    peers.set(socket, ofWhom(socket));
    socket.once("close", () => leave(socket));
    fallSilent(socket);
  });
  if (other) server.on(other, (_request: unknown, socket: Duplex) => leave(socket));
  server.on("request", ({ socket }, response) => {
    leave(socket);
    response.once("finish", () => fallSilent(socket));
  });
}
