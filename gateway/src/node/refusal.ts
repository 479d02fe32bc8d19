/** What never reaches the app: bytes that are no HTTP, headers that are too large, an address that is none. The same problem for all of them. */
import { AppError, toProblem } from "@berth/shared/errors";
import type { Duplex } from "node:stream";

/** The answer to a request that cannot be read as one. */
export function refuseRequest(): Response {
  const { status, headers, body } = refusal();
  return new Response(JSON.stringify(body), { status, headers });
}

/** Answers on the bare connection, where Node's parser gave up, and closes it. For the server's `clientError`. */
export function refuseConnection(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const { status, headers, body } = refusal();
  const text = JSON.stringify(body);
  const lines = Object.entries({ ...headers, "content-length": Buffer.byteLength(text), connection: "close" }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  socket.end(`HTTP/1.1 ${status} Bad Request\r\n${lines.join("")}\r\n${text}`);
}

function refusal() {
  return toProblem(
    new AppError("invalid_request", "The request is no well-formed HTTP, or its headers are too large."),
    crypto.randomUUID(),
  );
}
