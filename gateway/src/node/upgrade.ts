/**
 * WebSockets on Node: the app decides with an ordinary answer, then the client's and the host's raw connections are
 * joined, so that frames pass unread and with real backpressure. Knows no tokens and no database.
 */
import { request as httpRequest, type IncomingMessage, type Server } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect, type NetConnectOpts, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import { collect } from "@berth/shared/node/collect";
import type { Bindings } from "../deps.ts";
import type { Admission } from "./admission.ts";
import { watchFrames } from "./frame-boundary.ts";
import { endWith, refusalMaxBytes } from "./refusal.ts";
import { headersOf } from "./transport.ts";

const handshakeMs = 15_000;
/** Idle timeout of a client that is to take the last bytes of its host. */
const lastBytesMs = 30_000;
/** Heartbeat: a host pings every 10 s, so one that is silent for so long is gone, whatever the connection looks like. */
const silenceMs = 30_000;

type Serve = (request: Request, bindings: Bindings) => Response | Promise<Response>;

/** Serves the WebSocket upgrades of the server through the app. */
export function serveUpgrades(server: Server, serve: Serve, admission: Admission) {
  const joined = new Set<Joined>();
  const refuser = new WebSocketServer({ noServer: true, handleProtocols: (offered) => [...offered][0] ?? false });
  server.on("upgrade", (incoming: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", () => socket.destroy());
    // A server of node:http has no other sockets than those of node:net and node:tls.
    answerUpgrade({ serve, admission, refuser, joined }, { incoming, socket: socket as Socket, head }).catch(() =>
      socket.destroy(),
    );
  });
  return {
    /** Tells each client 1012 where a frame boundary allows it, and lets go of all within `graceMs`. */
    async close(graceMs: number): Promise<void> {
      const ends = [...joined].map((pair) => pair.restart());
      const timer = setTimeout(() => joined.forEach((pair) => pair.destroy()), graceMs);
      await Promise.all(ends);
      clearTimeout(timer);
    },
  };
}

interface Client {
  incoming: IncomingMessage;
  socket: Socket;
  head: Buffer;
}

interface Joined {
  restart(): Promise<void>;
  destroy(): void;
}

interface Upstream {
  message: IncomingMessage;
  socket: Duplex;
  head: Buffer;
}

interface Serving {
  serve: Serve;
  admission: Admission;
  refuser: WebSocketServer;
  joined: Set<Joined>;
}

async function answerUpgrade({ serve, admission, refuser, joined }: Serving, client: Client): Promise<void> {
  const { incoming, socket, head } = client;
  let leave: (() => void) | null = null;
  let upstream: Upstream | undefined;
  let refused = false;
  const bindings: Bindings = {
    address: socket.remoteAddress,
    admit: async (burst, network) => (leave = await admission(burst, network, socket)),
    async upgrade(target) {
      // A host that does not answer keeps nobody from the others.
      leave?.();
      const opened = await openHostSocket(target, socket);
      if (opened instanceof Response) return opened;
      upstream = opened;
      return new Response();
    },
    closeSocket(code, reason, protocol) {
      refused = true;
      incoming.headers["sec-websocket-protocol"] = protocol;
      refuser.handleUpgrade(incoming, socket, head, (accepted) => {
        // Whoever is refused may send what is no frame: an error that nobody hears would end this process.
        accepted.on("error", () => accepted.terminate());
        accepted.close(code, reason);
      });
      return new Response();
    },
  };
  const response = await serve(toRequest(incoming), bindings);
  if (refused) return;
  if (upstream) joinSockets(joined, client, upstream);
  else await endWith(socket, response);
}

function toRequest(incoming: IncomingMessage): Request {
  return new Request(new URL(incoming.url ?? "/", `http://${incoming.headers.host ?? "localhost"}`), {
    headers: headersOf(incoming),
  });
}

/** The host's end of the socket, or its refusal. Under a deadline, and given up when the client goes away. */
function openHostSocket(target: Request, client: Duplex): Promise<Upstream | Response> {
  return new Promise((resolve, reject) => {
    const url = new URL(target.url);
    const headers = { ...Object.fromEntries(target.headers), connection: "Upgrade" };
    // Without an agent, which would be one for each socket.
    const sent =
      url.protocol === "https:"
        ? httpsRequest(url, { headers, agent: false })
        : httpRequest(url, { headers, createConnection: (options) => connect(options as NetConnectOpts) });
    const giveUp = () => sent.destroy(new Error("the socket was not opened in time"));
    const timer = setTimeout(giveUp, handshakeMs);
    client.once("close", giveUp);
    const settle = () => {
      clearTimeout(timer);
      client.off("close", giveUp);
    };
    sent.on("error", (error) => {
      settle();
      reject(error);
    });
    sent.once("upgrade", (message, socket, head) => {
      settle();
      socket.on("error", () => socket.destroy());
      resolve({ message, socket, head });
    });
    sent.once("response", (message) => {
      readRefusal(message).then(resolve, reject).finally(settle);
    });
    sent.end();
  });
}

async function readRefusal(message: IncomingMessage): Promise<Response> {
  const body = await collect(message, refusalMaxBytes);
  if (!body) throw new Error("the host's refusal is too long");
  const headers = new Headers();
  if (message.headers["retry-after"]) headers.set("retry-after", message.headers["retry-after"]);
  const status = message.statusCode ?? 502;
  return new Response(body, { headers, status: status < 400 ? 502 : status });
}

function joinSockets(joined: Set<Joined>, { socket: client, head }: Client, upstream: Upstream): void {
  const host = upstream.socket;
  const destroy = () => {
    client.destroy();
    host.destroy();
  };
  if (client.destroyed || host.destroyed) return destroy();
  const frames = watchFrames(upstream.head);
  const pair: Joined = { destroy, restart: () => tellRestart(client, host, frames.atBoundary) };
  joined.add(pair);
  let heardAt = performance.now();
  const watch = setInterval(() => {
    // Whom a slow client holds back is not heard.
    if (host.isPaused()) heardAt = performance.now();
    else if (performance.now() - heardAt > silenceMs) {
      clearInterval(watch);
      void pair.restart();
    }
  }, silenceMs / 6);
  host.on("data", () => void (heardAt = performance.now()));
  client.once("close", () => {
    clearInterval(watch);
    joined.delete(pair);
    host.destroy();
  });
  for (const end of [client, host]) end.on("error", destroy);
  host.once("close", () => {
    client.setTimeout(lastBytesMs, destroy);
    client.end();
  });
  // What the host said first goes with it.
  client.cork();
  client.write(switchingHead(upstream.message));
  if (upstream.head.length > 0) client.write(upstream.head);
  client.uncork();
  if (head.length > 0) host.write(head);
  host.on("data", frames.note);
  host.pipe(client);
  client.pipe(host);
}

/** A close frame with 1012 (service restart) between two frames of the host; in the middle of one the connection just ends. */
async function tellRestart(client: Duplex, host: Duplex, atBoundary: () => boolean): Promise<void> {
  // However it closes: an error of the client's connection is no failure of ours.
  const closed = client.destroyed ? null : new Promise<void>((resolve) => client.once("close", () => resolve()));
  host.unpipe(client);
  if (atBoundary() && !client.writableEnded) client.write(Buffer.from([0x88, 0x02, 0x03, 0xf4]));
  client.end();
  client.resume();
  host.destroy();
  await closed;
}

/** What a handshake needs: a browser takes cookies and the like from it as from any answer, and a host may be anybody's by now. */
const ofHandshake = /^(upgrade|connection|sec-websocket-(accept|protocol|extensions))$/;

function switchingHead({ headers }: IncomingMessage): string {
  const named = Object.entries(headers).filter(([name]) => ofHandshake.test(name));
  const lines = ["HTTP/1.1 101 Switching Protocols", ...named.map(([name, value]) => `${name}: ${String(value)}`)];
  return `${lines.join("\r\n")}\r\n\r\n`;
}
