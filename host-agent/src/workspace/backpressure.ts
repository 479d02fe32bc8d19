/**
 * Rate limiting by backpressure (token bucket): agents send what they like to the servers on their sockets, and refusals cost
 * as well. Nothing is answered with an error for it: who sends too much is read later.
 */
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
  const feedOf = new WeakMap<Duplex, (chunk: Buffer) => void>();
  const take = createBucket(rate);

  function spend(): void {
    const dryMs = take();
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
  function isTaken(socket: Duplex): boolean {
    if (socket.destroyed) return false;
    spend();
    if (busy.has(socket)) socket.destroy();
    return !socket.destroyed;
  }

  server.on("connection", (socket) => {
    reading.add(socket);
    feedOf.set(
      socket,
      slice(socket, () => reading.has(socket)),
    );
    socket.once("close", () => reading.delete(socket));
    spend();
    // After the server's own beginning to read, which is due by then, and before anything has been read.
    process.nextTick(() => held && hold(socket));
  });
  guard(server, "request", (request: IncomingMessage, response: ServerResponse) => {
    if (!isTaken(request.socket)) return false;
    busy.add(request.socket);
    response.once("close", () => busy.delete(request.socket));
    return true;
  });
  guard(server, "connect", (_request: IncomingMessage, socket: Duplex) => {
    if (!isTaken(socket)) return false;
    reading.delete(socket as Socket);
    socket.off("data", feedOf.get(socket)!);
    return true;
  });
}

/** Feeds a read to the server's parser in slices, none to a connection that is ended or has become a tunnel meanwhile. Answers the listener that does. */
function slice(socket: Socket, isFed: () => boolean): (chunk: Buffer) => void {
  const feeds = socket.listeners("data") as ((chunk: Buffer) => void)[];
  socket.removeAllListeners("data");
  const feed = (chunk: Buffer) => {
    for (let at = 0; at < chunk.length && !socket.destroyed; at += sliceBytes) {
      if (!isFed()) return socket.unshift(chunk.subarray(at));
      for (const listener of feeds) listener(chunk.subarray(at, at + sliceBytes));
    }
  };
  socket.on("data", feed);
  return feed;
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
