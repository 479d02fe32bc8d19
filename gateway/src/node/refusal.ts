/** Answers on a bare connection, and what never reaches the app: bytes that are no HTTP, headers that are too large, an address that is none. */
import { AppError, toProblem } from "@berth/shared/errors";
import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { readBytes } from "../http/body.ts";

/** Of a refusal, whoever refuses. */
export const refusalMaxBytes = 65_536;

/** The answer to a request that cannot be read as one. */
export function refuseRequest(): Response {
  const error = new AppError("invalid_request", "The request is no well-formed HTTP, or its headers are too large.");
  const { status, headers, body } = toProblem(error, crypto.randomUUID());
  return new Response(JSON.stringify(body), { status, headers });
}

/** Answers on the bare connection, where Node's parser gave up, and closes it. For the server's `clientError`. */
export function refuseConnection(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === "ECONNRESET" || !socket.writable) socket.destroy();
  else void endWith(socket, refuseRequest());
}

/** Writes the answer on a connection that has no more of HTTP, and closes it; one that is too long is none. */
export async function endWith(socket: Duplex, response: Response): Promise<void> {
  const body = await readBytes(response, refusalMaxBytes);
  if (!body) return void socket.destroy();
  const lines = [`HTTP/1.1 ${response.status} ${STATUS_CODES[response.status] ?? ""}`];
  response.headers.forEach((value, name) => lines.push(`${name}: ${value}`));
  lines.push("connection: close", `content-length: ${body.length}`);
  socket.end(Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`), body]));
}
