/** What Workers add to a request: sockets that pass through, and work that outlives the answer. */
import type { Bindings } from "../deps.ts";

const handshakeMs = 15_000;

/** The context of a call or a cron event. */
export interface WaitUntil {
  waitUntil(work: Promise<unknown>): void;
}
/** A `Response` of Workers may carry a socket. */
interface SocketResponse extends Response {
  webSocket?: unknown;
}
interface ServerSocket {
  accept(): void;
  close(code: number, reason: string): void;
}
declare const WebSocketPair: new () => { 0: unknown; 1: ServerSocket };

export function bindingsFor(request: Request, context: WaitUntil): Bindings {
  return {
    address: request.headers.get("cf-connecting-ip") ?? undefined,
    waitUntil: (work) => context.waitUntil(work),
    upgrade: fetchSocket,
    closeSocket(code, reason, protocol) {
      const { 0: client, 1: server } = new WebSocketPair();
      server.accept();
      server.close(code, reason);
      return switchTo(client, new Headers({ "sec-websocket-protocol": protocol }));
    },
  };
}

/**
 * The runtime joins both sockets by itself. Its answer is made anew, for headers of a fetched one cannot be added to, and of the
 * host's own none is the browser's affair but the subprotocol.
 */
async function fetchSocket(target: Request): Promise<Response> {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), handshakeMs);
  try {
    const response: SocketResponse = await fetch(target, { signal: abort.signal, redirect: "manual" });
    if (response.status === 101) {
      const protocol = response.headers.get("sec-websocket-protocol");
      return switchTo(response.webSocket, new Headers(protocol === null ? {} : { "sec-websocket-protocol": protocol }));
    }
    return new Response(response.body, {
      status: response.status < 400 ? 502 : response.status,
      headers: response.headers,
    });
  } finally {
    clearTimeout(timer);
  }
}

function switchTo(webSocket: unknown, headers: Headers): Response {
  return new Response(null, { status: 101, webSocket, headers } as ResponseInit);
}
