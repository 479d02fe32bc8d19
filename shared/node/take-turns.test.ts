import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { takeTurns } from "./take-turns.ts";

/** A busy machine takes its time. */
const patience = { timeout: 60_000 };
let server: Server;
let order: string[];
let sockets: Socket[];
beforeEach(async () => {
  order = [];
  sockets = [];
  server = createServer((request, response) => {
    order.push(request.url!);
    response.end();
  });
  takeTurns(
    server,
    ({ socket }) => socket.remoteAddress!,
    ({ headers }) => headers.authorization ?? "",
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});
afterEach(() => {
  for (const socket of sockets) socket.destroy();
  server.closeAllConnections();
  server.close();
});

/** Resolves once the server has it. */
async function open(localAddress: string): Promise<Socket> {
  const { port } = server.address() as AddressInfo;
  const socket = connect({ port, host: "127.0.0.1", localAddress });
  sockets.push(socket);
  socket.resume();
  await once(server, "connection");
  return socket;
}
const ask = (path: string, who = "") => `GET ${path} HTTP/1.1\r\nhost: a\r\nauthorization: ${who}\r\n\r\n`;

test("who asks once has a turn beside another network that asks without end", async () => {
  const [loud, quiet] = [await open("127.0.0.2"), await open("127.0.0.3")];
  loud.write(ask("/loud").repeat(200));
  quiet.write(ask("/quiet"));
  await expect.poll(() => order.length, patience).toBe(201);
  expect(order.indexOf("/quiet")).toBeLessThan(50);
});

test("callers of one network have a turn each", async () => {
  const [loud, quiet] = [await open("127.0.0.2"), await open("127.0.0.2")];
  loud.write(ask("/loud", "Bearer mallory").repeat(200));
  quiet.write(ask("/quiet", "Bearer bob").repeat(3));
  await expect.poll(() => order.length, patience).toBe(203);
  expect(order.lastIndexOf("/quiet")).toBeLessThan(60);
});

test("of more than may wait the rest is told to come again, and others are answered", async () => {
  const loud = await open("127.0.0.2");
  const quiet = await open("127.0.0.3");
  let said = "";
  loud.on("error", () => undefined).on("data", (bytes: Buffer) => (said += bytes.toString()));
  loud.write(ask("/loud").repeat(20_000));
  await expect.poll(() => said, patience).toMatch(/HTTP\/1.1 503 [^]*retry-after: \d/);
  quiet.write(ask("/quiet"));
  await expect.poll(() => order, patience).toContain("/quiet");
  expect(order.length).toBeLessThan(20_000);
});
