/** Calls to hosts over node:http(s) with keep-alive. Bodies flow with backpressure and small buffers; one that is given up closes its connection. */
import { Agent as HttpAgent, request as httpRequest, type ClientRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Socket } from "node:net";
import { finished, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream as WebStream } from "node:stream/web";
import { type HostTransport, UnsentError } from "../deps.ts";

/** Idle timeout of a body that is sent; a host gives up on it sooner. */
const idleMs = 150_000;

/**
 * A transport with its pool of connections. One that is kept and not used for `keptMs` is closed: a host, which may be anybody's, names
 * another address with each report, and closes none that it has answered.
 */
export function createNodeTransport({ keptMs = 60_000 } = {}): HostTransport & { close(): void } {
  const options = { keepAlive: true, maxFreeSockets: 16, timeout: keptMs };
  const http = keepUsed(new HttpAgent(options));
  const https = keepUsed(new HttpsAgent(options));
  return {
    async fetch(request) {
      if (!request.body) return toResponse(await send(request, null, { http, https }));
      if (request.headers.get("content-type") === "application/json")
        return toResponse(await send(request, Buffer.from(await request.arrayBuffer()), { http, https }));
      // A stream goes once, so on a connection of its own. A host that is told "close" closes as soon as it has answered: on one
      // that answers early our next write would break the pipe, and Node lets go of the answer with it.
      request.headers.set("connection", "keep-alive");
      return toResponse(await send(request, request.body, { http: new HttpAgent(), https: new HttpsAgent() }));
    },
    close() {
      http.destroy();
      https.destroy();
    },
  };
}

/** Node keeps a connection also where its call was given up before it was there: one for each, to addresses that are never called again. */
function keepUsed<A extends HttpAgent>(agent: A): A {
  const keep = agent.keepSocketAlive.bind(agent);
  agent.keepSocketAlive = (socket) => (socket as Socket).bytesWritten > 0 && keep(socket);
  return agent;
}

interface Pools {
  http: HttpAgent;
  https: HttpsAgent;
}

/**
 * Resolves with the headers, which may come before all of a stream went. One retry, on a new connection, where a kept one turns
 * out to be closed by the host.
 */
function send(
  request: Request,
  body: Buffer | ReadableStream<Uint8Array> | null,
  pools: Pools,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const sent: ClientRequest = start(request, pools);
    let isConnected = false;
    sent.once("socket", (socket: Socket) => {
      if (socket.connecting) socket.once("connect", () => (isConnected = true));
      else isConnected = true;
    });
    const giveUp = () => sent.destroy(new Error("no answer in time, or the client has gone"));
    const settle = () => request.signal.removeEventListener("abort", giveUp);
    // Also the body is given up with the signal, as by `fetch`.
    sent.once("response", (message) => resolve(message.once("close", settle)));
    sent.on("error", (error: NodeJS.ErrnoException) => {
      settle();
      const isStale = sent.reusedSocket && error.code === "ECONNRESET" && !request.signal.aborted;
      // What went by the kept one may have arrived, whatever becomes of the new one.
      if (isStale)
        send(request, body, pools).then(resolve, (second) => reject(second instanceof UnsentError ? error : second));
      else reject(isConnected ? error : new UnsentError(error.message, { cause: error }));
    });
    request.signal.addEventListener("abort", giveUp);
    if (request.signal.aborted) giveUp();
    if (body === null || Buffer.isBuffer(body)) return void sent.end(body ?? undefined);
    sent.setTimeout(idleMs, giveUp).once("response", () => sent.setTimeout(0));
    // A host that has refused reads no more; its answer counts.
    pipeline(Readable.fromWeb(body as WebStream), sent).catch(reject);
  });
}

function start(request: Request, { http, https }: Pools): ClientRequest {
  const url = new URL(request.url);
  const options = { method: request.method, headers: Object.fromEntries(request.headers) };
  return url.protocol === "https:"
    ? httpsRequest(url, { ...options, agent: https })
    : httpRequest(url, { ...options, agent: http });
}

export function headersOf(message: IncomingMessage): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(message.headers))
    if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(", ") : value);
  return headers;
}

function toResponse(message: IncomingMessage): Response {
  const status = message.statusCode ?? 502;
  const headers = headersOf(message);
  if (status === 204 || status === 304) {
    message.resume();
    return new Response(null, { status, headers });
  }
  return new Response(toBody(message), { status, headers });
}

/**
 * Backpressure: chunk by chunk as it is pulled, and uncopied, unlike `Readable.toWeb` and unlike reading on, which joins what has come
 * meanwhile: a gigabyte leaves half the garbage behind.
 */
function toBody(message: IncomingMessage): ReadableStream<Uint8Array> {
  let forget = () => {};
  return new ReadableStream(
    {
      start(controller) {
        message.pause();
        message.on("data", (chunk: Uint8Array) => {
          message.pause();
          controller.enqueue(chunk);
        });
        // Once, whichever comes first: a message that was cut closes without its end.
        forget = finished(message, (error) => (error ? controller.error(error) : controller.close()));
      },
      pull: () => void message.resume(),
      cancel() {
        forget();
        message.destroy();
      },
    },
    { highWaterMark: 0 },
  );
}
