import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { beginInTurn } from "./begin-in-turn.ts";

/** A busy machine takes its time. */
const patience = { timeout: 60_000 };
let server: Server;
let order: string[];
let sockets: Socket[];
beforeEach(async () => {
  order = [];
  sockets = [];
  server = createServer(async (request, response) => {
    let bytes = 0;
    try {
      for await (const part of request) bytes += (part as Buffer).length;
    } catch {
      // Who is let go may have been heard in part.
      return;
    }
    order.push(`${request.url} ${bytes}`);
    response.end();
  });
  beginInTurn(server, ({ remoteAddress }) => remoteAddress ?? "");
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});
afterEach(() => {
  for (const socket of sockets) socket.destroy();
  server.closeAllConnections();
  server.close();
});

/** All in one turn of the loop: they lie in the kernel's queue before the server takes the first. */
function open(localAddress: string, path: string, body = ""): Socket {
  const { port } = server.address() as AddressInfo;
  const socket = connect({ port, host: "127.0.0.1", localAddress });
  sockets.push(socket);
  socket.on("error", () => undefined).resume();
  socket.write(`POST ${path} HTTP/1.1\r\nhost: a\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
  return socket;
}

test("who comes from elsewhere overtakes two hundred that came before", async () => {
  for (let at = 0; at < 200; at++) open(`127.0.0.${2 + (at % 4)}`, "/loud");
  open("127.0.0.9", "/quiet");
  await expect.poll(() => order.length, patience).toBe(201);
  expect(order.indexOf("/quiet 0")).toBeLessThan(70);
});

test("what was said before its turn came is heard whole", async () => {
  for (let at = 0; at < 50; at++) open("127.0.0.2", "/said", "x".repeat(100_000));
  await expect.poll(() => order.length, patience).toBe(50);
  expect(new Set(order)).toEqual(new Set(["/said 100000"]));
});

test("who is let go while he waits takes nobody's turn", async () => {
  server.on("connection", (socket) => socket.remoteAddress === "127.0.0.2" && socket.destroy());
  for (let at = 0; at < 500; at++) open("127.0.0.2", "/loud");
  open("127.0.0.3", "/quiet");
  await expect.poll(() => order, patience).toEqual(["/quiet 0"]);
  // One that is kept open and says nothing more is closed after a while.
  await expect.poll(() => promisify(server.getConnections.bind(server))(), patience).toBeLessThan(2);
});
