/** The app behind node:http: requests through Hono's adapter, WebSocket upgrades through ours. */
import { getRequestListener, type Http2Bindings, type HttpBindings } from "@hono/node-server";
import type { Hono } from "hono";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { holdOpenServer } from "@berth/shared/node/share-out";
import { sleep } from "@berth/shared/wait";
import type { AppEnv } from "../deps.ts";
import { createAdmission } from "./admission.ts";
import { refuseConnection, refuseRequest } from "./refusal.ts";
import { serveUpgrades } from "./upgrade.ts";

/** Keep-alive timeout in milliseconds: longer than that of clients and proxies (mostly 60 s), so that no connection is closed under a call that sets out. */
const keepAliveTimeout = 75_000;

/** Connections that wait to be taken: pages and hosts that are refused here come again a second later, and then all at once. */
const backlog = 4096;

/** Listens and serves. Rejects when the address cannot be had. */
export async function startServer(app: Hono<AppEnv>, host: string, port: number) {
  const left = new Set<Promise<unknown>>();
  const admission = createAdmission();
  const serverOptions = {
    shouldUpgradeCallback: isWebSocket,
    // A missing host is refused as every bad request is, not by Node with an empty body.
    requireHostHeader: false,
    keepAliveTimeout,
    // An upload may take as long as it moves; who reads a body ends one that stalls.
    requestTimeout: 0,
    headersTimeout: 60_000,
  };
  const fetch = (request: Request, { incoming, outgoing }: HttpBindings | Http2Bindings) =>
    app.fetch(request, {
      address: incoming.socket.remoteAddress,
      admit: (burst, network) => admission(burst, network, incoming.socket),
      gzip: zip,
      breakOff: () => outgoing.destroy(),
      waitUntil: (work) => {
        left.add(work);
        void work.finally(() => left.delete(work));
      },
    });
  const server = createServer(serverOptions, getRequestListener(fetch, { errorHandler: refuseRequest }));
  server.on("clientError", refuseConnection);
  holdOpenServer(server, ({ headers }) => headers.authorization ?? headers.cookie ?? "");
  const sockets = serveUpgrades(server, app.fetch, admission);
  server.listen({ port, host, backlog });
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    /** Graceful shutdown: calls in progress may end; what is open after the grace is cut, and its reader resumes by offset. */
    async close(graceMs: number): Promise<void> {
      await Promise.all([closeServer(server, graceMs / 5), sockets.close(graceMs)]);
      await Promise.race([Promise.all(left), sleep(graceMs / 5)]);
    },
  };
}

const zip = promisify<string, Buffer<ArrayBuffer>>(gzip);

/** Whether it is answered as a socket: any other route serves a call that asks for one as if it had not, with all that bounds a call. */
const isWebSocket = ({ method, url, headers }: IncomingMessage) =>
  headers.upgrade?.toLowerCase() === "websocket" &&
  method === "GET" &&
  /^\/v1\/(connect|agents\/[^/]+\/terminal)(\?|$)/.test(url ?? "");

async function closeServer(server: Server, graceMs: number): Promise<void> {
  const closed = once(server, "close");
  server.close();
  const timer = setTimeout(() => server.closeAllConnections(), graceMs);
  await closed;
  clearTimeout(timer);
}
