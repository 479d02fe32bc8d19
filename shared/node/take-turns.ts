/** In which order a server begins what it is asked: whoever asks without end, on however many connections, leaves all others their turn. */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { AppError, toProblem } from "@berth/shared/errors";

/** Rounds in a pass of the event loop: with one alone what many ask behind one address would be as slow as the passes are. */
const roundsAtOnce = 16;
/** Of one network; what comes beyond is refused. Each takes some 15 KB. */
const mostWaiting = 2048;

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/**
 * Fair queuing of requests: in each pass of the event loop a few of each network are begun in rounds, and within a network one of each
 * caller in turn. Who is alone does not wait. For a server that has its listeners of `request`; a pipelined request waits like any other.
 */
export function takeTurns(
  server: Server,
  networkOf: (request: IncomingMessage) => string,
  callerOf: (request: IncomingMessage) => string,
): void {
  const answers = server.listeners("request") as Answer[];
  /** What waits, by network and caller, whose turn comes next first. */
  const waiting = new Map<string, Map<string, (() => void)[]>>();
  /** How many wait of a network. */
  const counts = new Map<string, number>();
  /** Whose turn of this pass is taken. */
  const served = new Set<string>();

  function pass(): void {
    served.clear();
    for (let round = 0; round < roundsAtOnce && waiting.size > 0; round++) beginRound();
  }
  function beginRound(): void {
    for (const [network, callers] of Array.from(waiting)) {
      const [[caller, jobs]] = callers as unknown as [[string, (() => void)[]]];
      const job = jobs.shift()!;
      callers.delete(caller);
      if (jobs.length > 0) callers.set(caller, jobs);
      counts.set(network, counts.get(network)! - 1);
      if (callers.size === 0) [waiting, counts].forEach((each) => each.delete(network));
      take(network, job);
    }
  }
  function take(network: string, job: () => void): void {
    if (served.size === 0) setImmediate(pass);
    served.add(network);
    job();
  }

  server.removeAllListeners("request");
  server.on("request", (request, response) => {
    const network = networkOf(request);
    const begin = () => {
      // Who has left meanwhile is not answered.
      if (!request.socket.destroyed) for (const answer of answers) answer.call(server, request, response);
    };
    if (!served.has(network) && !waiting.has(network)) return take(network, begin);
    const count = (counts.get(network) ?? 0) + 1;
    if (count > mostWaiting) return refuse(response);
    counts.set(network, count);
    const callers = waiting.get(network) ?? new Map<string, (() => void)[]>();
    const caller = callerOf(request);
    const jobs = callers.get(caller) ?? [];
    jobs.push(begin);
    waiting.set(network, callers.set(caller, jobs));
  });
}

/** Load shedding: come again, and not all at once. */
function refuse(response: ServerResponse): void {
  const retryAfter = 1 + Math.floor(Math.random() * 5);
  const error = new AppError("host_unavailable", "Too many calls at once: try again.", { retryAfter });
  const { status, headers, body } = toProblem(error, crypto.randomUUID());
  response.writeHead(status, { ...headers, connection: "close" }).end(JSON.stringify(body));
}
