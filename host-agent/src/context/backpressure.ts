/**
 * Rate limiting by backpressure (token bucket): agents send what they like to the servers on their sockets, and refusals cost
 * as well. Nothing is answered with an error for it: who sends too much is read later.
 */
import { subscribe } from "node:diagnostics_channel";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";

/** A parser that has begun on a piece is done with all of it: some ten requests. */
const sliceBytes = 512;

export interface Rate {
  /** Connections and requests together. */
  perSecond: number;
  burst: number;
  /** Servers that spend of one rate, and when each did last: it is divided equally among those that did within a second. */
  spentAt?: Map<object, number>;
}

/**
 * Holds a server to the rate: while its tokens are spent no connection of it is read. Of a connection that sends a request
 * before the last one is answered (pipelining) nothing more is taken: one read could bring thousands. Of a `connect` the rest
 * is a tunnel's, and not counted.
 */
export function holdBack(server: Server, rate: Rate): void {
  const reading = new Set<Socket>();
  const busy = new WeakSet<Duplex>();
  let held: Socket[] | null = null;
  const letGoOf = new WeakMap<Duplex, () => void>();
  const takeToken = createBucket(rate);

  function spend(): void {
    const dryMs = takeToken();
    if (dryMs === 0 || held) return;
    held = [];
    for (const socket of reading) hold(socket);
    setTimeout(release, dryMs).unref();
  }
  /** One that the server has paused itself stays its own affair. */
  function hold(socket: Socket): void {
    if (socket.isPaused()) return;
    socket.pause();
    held?.push(socket);
  }
  function release(): void {
    const waiting = held ?? [];
    held = null;
    for (const socket of waiting) if (reading.has(socket)) socket.resume();
  }
  function take(socket: Duplex): void {
    if (socket.destroyed) return;
    spend();
    if (busy.has(socket)) socket.destroy();
  }

  server.on("connection", (socket) => {
    reading.add(socket);
    letGoOf.set(socket, feedInSlices(socket));
    socket.once("close", () => reading.delete(socket));
    spend();
    // After the server's own beginning to read, which is due by then, and before anything has been read.
    process.nextTick(() => held && hold(socket));
  });
  hearEach(server, (socket, response) => {
    take(socket);
    busy.add(socket);
    response.once("close", () => busy.delete(socket));
  });
  guard(server, "request", ({ socket }) => !socket.destroyed);
  guard(server, "connect", ({ socket }) => {
    // Before it costs a token: a tunnel is never held.
    reading.delete(socket);
    take(socket);
    if (socket.destroyed) return false;
    letGoOf.get(socket)?.();
    return true;
  });
}

/** Answers one request of a connection and ends it at a second, whatever its version and headers say. Has no rate: for connections that cost one already. */
export function answerOne(server: Server): void {
  const asked = new WeakSet<Duplex>();
  server.on("connection", (socket) => void feedInSlices(socket));
  hearEach(server, (socket) => {
    if (asked.has(socket)) socket.destroy();
    asked.add(socket);
  });
  guard(server, "request", ({ socket }) => !socket.destroyed);
}

type Hear = (socket: Socket, response: ServerResponse) => void;
const heard = new WeakMap<Server, Hear>();
subscribe("http.server.request.start", (message) => {
  const { server, socket, response } = message as { server: Server; socket: Socket; response: ServerResponse };
  heard.get(server)?.(socket, response);
});

/** Hears of each request that is parsed, before its `request`: some have none, for Node answers them itself (without a Host, with an Expect). */
const hearEach = (server: Server, hear: Hear) => void heard.set(server, hear);

/**
 * Feeds a read to the server's parser in slices, and none to a connection that has ended. What it answers lets go of one that has
 * become a tunnel: what came with its CONNECT is read next.
 */
function feedInSlices(socket: Socket): () => void {
  const feeds = socket.listeners("data") as ((chunk: Buffer) => void)[];
  socket.removeAllListeners("data");
  let rest: Buffer | null = null;
  const feed = (chunk: Buffer) => {
    rest = chunk;
    while (rest !== null && rest.length > 0 && !socket.destroyed) {
      const piece = rest.subarray(0, sliceBytes);
      rest = rest.subarray(sliceBytes);
      for (const listener of feeds) listener(piece);
    }
    rest = null;
  };
  socket.on("data", feed);
  return () => {
    socket.off("data", feed);
    if (rest !== null && rest.length > 0) socket.unshift(rest);
    rest = null;
  };
}

/** A token bucket: what comes back takes a token, and says in how many milliseconds there is one again; 0 while there are some. */
function createBucket({ perSecond, burst, spentAt = new Map() }: Rate): () => number {
  const bucket = {};
  let tokens = burst;
  let filledAt = performance.now();
  return () => {
    const now = performance.now();
    spentAt.set(bucket, now);
    const share = perSecond / [...spentAt.values()].filter((at) => now - at < 1000).length;
    tokens = Math.min(burst, tokens + ((now - filledAt) / 1000) * share);
    filledAt = now;
    // A debt of a second at most: who is held back longer would be cut off.
    tokens = Math.max(tokens - 1, -share);
    return tokens >= 0 ? 0 : (-tokens / share) * 1000 + 1;
  };
}

/**
 * Listeners of the event hear of what passes, and of nothing else. An event that nobody listens to stays so: Node then ends the
 * connection itself, of which nobody else would hear the errors.
 */
function guard(
  server: Server,
  event: string,
  passes: (message: IncomingMessage, other: ServerResponse & Duplex) => boolean,
): void {
  const listeners = server.listeners(event);
  if (listeners.length === 0) return;
  server.removeAllListeners(event);
  server.on(event, (...args: [IncomingMessage, ServerResponse & Duplex]) => {
    if (passes(...args)) for (const listener of listeners) listener.apply(server, args);
  });
}
