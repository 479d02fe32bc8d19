/** In which order a server begins connections: whoever opens them without end leaves a newcomer from elsewhere the next turn. */
import type { Server, Socket } from "node:net";

/** Begun in a pass of the event loop. */
const atOnce = 8;
/** Taken before some are begun, where they come without end. */
const mostAhead = 64;

/**
 * Fair queuing of connections. Node takes one a turn of its loop, in the order in which they came, and what each asks costs many times
 * what taking it does. So all that wait in the kernel's queue are taken first, unread, and then begun, one of each network in turn.
 * For a server that has its own listener of `connection` and no other yet: a later one hears of a connection when it is taken.
 */
export function beginInTurn(
  server: Server & { pauseOnConnect?: boolean },
  networkOf: (socket: Socket) => string,
): void {
  const begins = server.listeners("connection") as ((socket: Socket) => void)[];
  /** What waits, by network, whose turn comes next first. */
  const waiting = new Map<string, Socket[]>();
  /** How many were taken since some were begun, and how many of them the pass before this one knew. */
  let [taken, known] = [0, 0];

  function pass(): void {
    if (taken > known && taken < mostAhead) known = taken;
    else {
      taken = known = 0;
      for (let begun = 0; begun < atOnce && waiting.size > 0; begun++) beginNext();
    }
    if (waiting.size > 0) setImmediate(pass);
  }
  function beginNext(): void {
    const [[network, sockets]] = waiting as unknown as [[string, Socket[]]];
    waiting.delete(network);
    // Who has left meanwhile, or was let go, takes no turn.
    const at = sockets.findIndex(({ destroyed }) => !destroyed);
    if (at < 0) return;
    const [socket] = sockets.splice(0, at + 1).slice(-1) as [Socket];
    if (sockets.length > 0) waiting.set(network, sockets);
    for (const begin of begins) begin.call(server, socket);
    socket.resume();
  }

  server.pauseOnConnect = true;
  server.removeAllListeners("connection");
  server.on("connection", (socket: Socket) => {
    if (socket.destroyed) return;
    if (waiting.size === 0) setImmediate(pass);
    taken += 1;
    const network = networkOf(socket);
    const sockets = waiting.get(network) ?? [];
    sockets.push(socket);
    waiting.set(network, sockets);
  });
}
