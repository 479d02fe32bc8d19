/** Sockets that clients open through the gateway: finds what is asked for, verifies who asks, then hands the socket over. */
import type { Server } from "node:http";
import { type WebSocket, WebSocketServer } from "ws";
import { toProblem } from "@berth/shared/errors";
import { type HostClaims, protocolHeader } from "@berth/shared/host-api";
import { type Log, messageOf } from "@berth/shared/log";
import { tellFailure } from "../machine/machine-error.ts";
import { checkProtocol, type VerifyGateway } from "../membership/verify.ts";

type Upgrade = Parameters<WebSocketServer["handleUpgrade"]>;
/** A kind of socket: its path, the longest message it takes in bytes, and who serves it. */
export interface SocketKind {
  path: RegExp;
  maxPayload: number;
  /** `match` is what the path's expression found. */
  serve(claims: HostClaims, ws: WebSocket, match: RegExpExecArray, query: URLSearchParams): Promise<void>;
}

/** Serves these kinds of sockets on the server; all speak the subprotocol `berth.v1`. */
export function acceptSockets(server: Server, verify: VerifyGateway, kinds: SocketKind[], log: Log): void {
  server.on("upgrade", (request, socket, head) => {
    socket.on("error", () => socket.destroy());
    const [path = "", query] = (request.url ?? "").split("?");
    const found = kinds.map((kind) => ({ kind, match: kind.path.exec(path) })).find(({ match }) => match !== null);
    if (!found) return void socket.end("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    const { kind, match } = found;
    const accept = (claims: HostClaims) => {
      const ws = new WebSocketServer({
        noServer: true,
        maxPayload: kind.maxPayload,
        // One frame in each pass of the loop: a read of 64 KiB may bring ten thousand.
        allowSynchronousEvents: false,
        handleProtocols: () => "berth.v1",
      });
      ws.handleUpgrade(request, socket, head, (client) => {
        kind.serve(claims, client, match!, new URLSearchParams(query)).catch((error: unknown) => {
          log.error("socket.failed", { userId: claims.sub, error: messageOf(error) });
          client.terminate();
        });
      });
    };
    verify(request.headers.authorization, `GET ${request.url}`)
      .then((claims) => {
        checkProtocol(request.headers[protocolHeader]);
        accept(claims);
      })
      .catch((error: unknown) => refuse(socket, error));
  });
}

function refuse(socket: Upgrade[1], error: unknown): void {
  const { status, body } = toProblem(tellFailure(error) ?? error, crypto.randomUUID());
  const text = JSON.stringify(body);
  const head = [
    `HTTP/1.1 ${status} Refused`,
    "content-type: application/problem+json",
    `content-length: ${Buffer.byteLength(text)}`,
    "connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${text}`);
}
