/**
 * The egress proxy: the only way from a workspace to the network. An HTTP proxy (CONNECT, and plain requests with an
 * absolute http:// address) that resolves names itself and connects to the very address it has checked.
 */
import http from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { createPlaces, type Places } from "@berth/shared/bounds/places";
import type { Log } from "@berth/shared/log";
import { closeSilent } from "@berth/shared/node/share-out";
import { answerOne } from "../context/backpressure.ts";
import { builtInHosts } from "./built-in-hosts.ts";
import { beginConnection, dial, listInnerNetworks, listOwnAddresses, lookupAll } from "./dial.ts";
import type { Dialer, Failure, Reached } from "./dial.ts";
import { isLoopback, parsePrivateRule, parseRule, parseTarget } from "./policy.ts";
import type { EgressMode, Target } from "./policy.ts";

export interface EgressProxyDeps {
  mode: EgressMode;
  /** BERTH_EGRESS_ALLOW: patterns added to the built-in list. */
  allow: string[];
  /** BERTH_EGRESS_PRIVATE: `name=CIDR`. */
  privateNames?: string[];
  /** Names that are no hosts, and who answers for them. */
  origins?: Origins;
  log: Log;
  /** All addresses of a name, best first; throws when there is none. */
  lookup?: (host: string) => Promise<string[]>;
  /** Begins a connection to an address that was checked. */
  connect?: (address: string, port: number) => Socket;
  /** This machine's own addresses, public ones too: its services are no business of a workspace. */
  ownAddresses?: () => string[];
  /** Networks behind which this machine's containers are. */
  innerNetworks?: () => string[];
  limits?: Partial<EgressLimits>;
}
export interface EgressLimits {
  /** Connections to the outside at once, per workspace: shared among its lanes, of which one alone has half at most. */
  tunnels: number;
  /** Connections per lane that have not said yet what they want, or have been answered. */
  silent: number;
  headerMs: number;
  lookupMs: number;
  /** For all addresses of a name together. */
  connectMs: number;
  idleMs: number;
  /** Refusals logged per workspace and minute; the rest are only counted. */
  logsPerMinute: number;
}
const defaultLimits: EgressLimits = {
  tunnels: 512,
  // Fewer than the forwarder takes, so that it never has to stop taking; more than come while it waits for its turn of the processor.
  silent: 1200,
  headerMs: 10_000,
  lookupMs: 10_000,
  connectMs: 10_000,
  idleMs: 600_000,
  logsPerMinute: 20,
};

export type EgressProxy = ReturnType<typeof createEgressProxy>;

/** One call to a name that is no host. */
export interface OriginCall {
  userId: string;
  /** As the client wrote it. */
  authority: string;
  /** With its query. */
  path: string;
  req: IncomingMessage;
  res: ServerResponse;
  /**
   * A connection to the target, beyond the list of hosts if it `isGranted`; null where there is none, and that is answered: a refusal
   * in the caller's own words, if it has any.
   */
  reach(target: Target, isGranted: boolean, words: string | null): Promise<Socket | null>;
  /** Notes that it is refused. */
  refused(reason: string): void;
}
export interface Origins {
  isOrigin(authority: string): boolean;
  serve(call: OriginCall): void;
}

/** Throws an Error with a sentence when a setting does not fit. */
export function createEgressProxy(deps: EgressProxyDeps) {
  const limits = { ...defaultLimits, ...deps.limits };
  const privateRules = (deps.privateNames ?? []).map(parsePrivateRule);
  const dialer: Dialer = {
    mode: deps.mode,
    rules: [...[...builtInHosts, ...deps.allow].map(parseRule), ...privateRules],
    privateRules,
    lookup: deps.lookup ?? lookupAll,
    connect: deps.connect ?? beginConnection,
    ownAddresses: deps.ownAddresses ?? listOwnAddresses,
    innerNetworks: deps.innerNetworks ?? listInnerNetworks,
    limits,
  };
  return {
    /** A connection of the host agent's own on a user's behalf, to a target beyond the list of hosts. */
    reach: (target: Target, signal: AbortSignal) => dial(granting(dialer, target), target, signal),
    /** For one workspace: makes a server for a lane of it, not listening yet; the caller listens on a socket and closes it. */
    serversFor(userId: string): (lane: string) => http.Server {
      const refused = createRefusalLog(userId, deps, limits.logsPerMinute);
      const open = createPlaces(limits.tunnels);
      const traffic = { userId, origins: deps.origins ?? null, dialer, limits, open, refused };
      return (lane) => serve({ ...traffic, lane });
    },
  };
}

function serve(traffic: Traffic): http.Server {
  const { headerMs, silent } = traffic.limits;
  const server = http.createServer(
    { headersTimeout: headerMs, requestTimeout: 0, connectionsCheckingInterval: Math.min(5000, headerMs) },
    (req, res) => void forwardRequest(traffic, req, res),
  );
  server.maxConnections = 2 * silent;
  closeSilent(server, silent, "connect");
  const inTunnels = serveInTunnels(traffic);
  server.on("connect", (req, client, head) => {
    const isOrigin = traffic.origins?.isOrigin(req.url ?? "") && !req.url?.endsWith(":443");
    if (isOrigin) inTunnels(client as Socket, head);
    else void openTunnel(traffic, req, client as Socket, head);
  });
  return server;
}

/** Some clients ask for a tunnel to a plain http address too: what is a name of ours is answered in it, one call a tunnel. */
function serveInTunnels(traffic: Traffic) {
  const inner = http.createServer({ headersTimeout: traffic.limits.headerMs, requestTimeout: 0 }, (req, res) => {
    res.shouldKeepAlive = false;
    req.url = `http://${req.headers.host}${req.url}`;
    void forwardRequest(traffic, req, res);
  });
  answerOne(inner);
  // It does not listen, so Node does not watch its timeouts.
  closeSilent(inner, traffic.limits.tunnels);
  return (client: Socket, head: Buffer) => {
    client.on("error", () => client.destroy());
    client.write("HTTP/1.1 200 Connection Established\r\n\r\n");
    if (head.length > 0) client.unshift(head);
    inner.emit("connection", client);
  };
}

/** One lane of a workspace: what that has open, and where its refusals are logged. */
interface Traffic {
  userId: string;
  lane: string;
  origins: Origins | null;
  dialer: Dialer;
  limits: EgressLimits;
  /** Connections to the outside, the ones being made included. */
  open: Places;
  refused(authority: string, reason: string): void;
}

/** CONNECT: bytes both ways, until both sides have ended or nothing moved for `idleMs`. */
async function openTunnel(traffic: Traffic, req: IncomingMessage, client: Socket, head: Buffer) {
  client.on("error", () => client.destroy());
  const authority = req.url ?? "";
  const reached = await reach(traffic, authority, parseTarget(authority), client);
  if (client.destroyed) return void (reached.ok && reached.socket.destroy());
  if (!reached.ok) {
    const { status, headers, body } = describe(reached, authority);
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    // Whatever it goes on sending: nobody reads it, so nobody would see it leave.
    const answer = `HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\n${lines.join("")}\r\n${body}`;
    return void client.end(answer, () => client.destroy());
  }
  const { socket } = reached;
  boundTunnel(socket, client, traffic.limits.idleMs);
  client.write("HTTP/1.1 200 Connection Established\r\n\r\n");
  if (head.length) socket.write(head);
  client.pipe(socket).pipe(client);
}

/** A plain request with an absolute address: sent on over a connection of its own, the answer streamed back. */
async function forwardRequest(traffic: Traffic, req: IncomingMessage, res: ServerResponse) {
  res.on("error", () => res.destroy());
  const [, authority = "", rest = ""] = /^http:\/\/([^/?#]*)([^#]*)$/i.exec(req.url ?? "") ?? [];
  const path = rest.startsWith("/") ? rest : `/${rest}`;
  const isPlain = /^[\x21-\x7e]*$/.test(path);
  if (isPlain && traffic.origins?.isOrigin(authority)) {
    const refused = (reason: string) => traffic.refused(authority, reason);
    const { userId } = traffic;
    return traffic.origins.serve({ userId, authority, path, req, res, refused, reach: reachFor(traffic, res) });
  }
  const target = isPlain ? parseTarget(authority, 80) : null;
  const reached = await reach(traffic, authority, target, res);
  if (res.destroyed) return void (reached.ok && reached.socket.destroy());
  if (!reached.ok) {
    req.resume();
    return refuse(res, reached, authority);
  }
  const { socket } = reached;
  socket.setTimeout(traffic.limits.idleMs, () => socket.destroy());
  const headers = { ...passedOn(req.headers), host: authority };
  const sent = http.request({ createConnection: () => socket, method: req.method, path, headers, setHost: false });
  const fail = () => {
    req.unpipe(sent).resume();
    refuse(res, { ok: false, kind: "unreachable" }, authority);
  };
  sent.on("error", fail).on("close", () => void (res.headersSent || fail()));
  sent.on("response", (answer) => {
    if (!isRelayable(answer)) return void sent.destroy();
    res.writeHead(answer.statusCode, passedOn(answer.headers));
    answer.on("error", () => res.destroy());
    answer.pipe(res);
  });
  res.on("close", () => sent.destroy());
  req.pipe(sent);
}

/** For an origin: a connection to what it stands for, or the answer why there is none. */
function reachFor(traffic: Traffic, res: ServerResponse): OriginCall["reach"] {
  return async (target, isGranted, words) => {
    const dialer = isGranted ? granting(traffic.dialer, target) : traffic.dialer;
    const authority = `${target.host}:${target.port}`;
    const reached = await reach(traffic, authority, target, res, dialer);
    if (reached.ok) return reached.socket;
    if (!res.destroyed) refuse(res, reached, authority, words);
    return null;
  };
}

/** The same, for which one target more is on the list. */
const granting = (dialer: Dialer, { host, port }: Target): Dialer => ({
  ...dialer,
  rules: [...dialer.rules, { host, port, isWildcard: false }],
});

/** Whatever a server of a stranger says, `writeHead` must not throw. */
const isRelayable = (answer: IncomingMessage): answer is IncomingMessage & { statusCode: number } =>
  answer.statusCode !== undefined && answer.statusCode >= 200 && answer.statusCode <= 999;

function refuse(res: ServerResponse, failure: Failure, authority: string, words: string | null = null): void {
  if (res.headersSent) return void res.destroy();
  const { status, headers, body } = describe(failure, authority, words);
  res.writeHead(status, headers).end(body);
}

/** A connection to the target if it is allowed, counted against the lane's share until it closes. */
async function reach(
  traffic: Traffic,
  authority: string,
  target: Target | null,
  client: Duplex | ServerResponse,
  dialer = traffic.dialer,
): Promise<Reached> {
  const give = traffic.open.take(traffic.lane);
  if (!give) return { ok: false, kind: "too many" };
  const gone = new AbortController();
  client.once("close", () => gone.abort());
  const reached: Reached = target ? await dial(dialer, target, gone.signal) : { ok: false, kind: "malformed" };
  if (reached.ok) {
    reached.socket.on("error", () => reached.socket.destroy()).once("close", give);
    return reached;
  }
  give();
  if (reached.kind === "refused") traffic.refused(authority, reached.reason);
  if (reached.kind === "malformed") traffic.refused(authority, reached.kind);
  return reached;
}

/** Idle timeout: silence ends both. An end by error of one side ends the other (an orderly end goes through the pipe). */
function boundTunnel(a: Socket, b: Socket, idleMs: number) {
  for (const [one, other] of [
    [a, b],
    [b, a],
  ] as const) {
    one.setTimeout(idleMs, () => one.destroy());
    one.once("close", () => {
      if (!one.readableEnded) other.destroy();
    });
  }
}

/** What a client is told, in a sentence that names the host and the setting. */
function describe(failure: Failure, authority: string, words: string | null = null) {
  const host = authority.slice(0, 260).replaceAll(/[^\x21-\x7e]/g, "?") || "this address";
  const [status, known] = explain(failure, host);
  const sentence = (failure.kind === "refused" && words) || known;
  const body = `${sentence}\n`;
  const headers: Record<string, string> = {
    "content-type": "text/plain; charset=utf-8",
    "content-length": String(Buffer.byteLength(body)),
    connection: "close",
  };
  if (status === 403) headers["berth-egress"] = "refused";
  return { status, headers, body };
}

function explain(failure: Failure, host: string): [number, string] {
  if ((failure.kind === "refused" || failure.kind === "malformed") && isLoopback(host))
    return [
      403,
      `Berth refuses ${host}: it is this workspace itself, and no proxy leads there; ask localhost or 127.0.0.1.`,
    ];
  if (failure.kind === "refused" && isBerths(host))
    return [403, `Berth refuses ${host}: it is asked by plain http, and goes on as https.`];
  switch (failure.kind) {
    case "refused":
      return [403, `Berth refuses ${host}: ${failure.reason}.`];
    case "malformed":
      return [
        403,
        `Berth refuses ${host}: it is no host name with a port in its usual spelling, as BERTH_EGRESS_ALLOW would name it.`,
      ];
    case "unresolved":
      return [502, `Berth cannot resolve ${host}.`];
    case "unreachable":
      return [502, `Berth cannot connect to ${host}.`];
    case "too many":
      return [503, "This workspace has too many connections open; close some and try again."];
  }
}

/** Names of ours, which no proxy of the workspace's has to open a tunnel to. */
const isBerths = (host: string) => /\.berth\.internal(:\d*)?$/i.test(host);

const hopByHop = /^(connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|expect)$/;

/** Headers without those that are for one connection only. */
function passedOn(headers: http.IncomingHttpHeaders): http.OutgoingHttpHeaders {
  const named = new Set((headers.connection ?? "").toLowerCase().split(/\s*,\s*/));
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !hopByHop.test(name) && !named.has(name)));
}

/** Rate-limited logging: of the refusals in a minute the first alone. */
function createRefusalLog(userId: string, { log }: EgressProxyDeps, perMinute: number) {
  let minute = 0;
  let logged = 0;
  return (authority: string, reason: string) => {
    const now = Math.floor(performance.now() / 60_000);
    if (now !== minute) logged = 0;
    minute = now;
    if (logged++ < perMinute) log.warn("egress.refused", { userId, host: authority.slice(0, 260), reason });
  };
}
