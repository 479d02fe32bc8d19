import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { createServer, request, type Server } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { holdBack, type Rate } from "./backpressure.ts";

const closing: (() => void)[] = [];
afterEach(() => closing.splice(0).forEach((close) => close()));

/** A server that counts what reaches it. */
async function serve(rate: Rate): Promise<{ port: number; seen: () => number }> {
  let seen = 0;
  const server: Server = createServer((_request, response) => {
    seen += 1;
    response.end("ok");
  });
  holdBack(server, rate);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return { port: (server.address() as AddressInfo).port, seen: () => seen };
}
const raw = (port: number, text: string): Promise<Socket> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(text, () => resolve(socket)));
    socket.on("error", () => socket.destroy());
    closing.push(() => socket.destroy());
  });
const ask = (port: number) =>
  new Promise<number>((resolve, reject) => {
    request({ port, host: "127.0.0.1", agent: false }, (answer) => resolve(answer.resume().statusCode!))
      .on("error", reject)
      .end();
  });
const head = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";

test("of many requests that are sent in one piece one is answered, and the connection ends", async () => {
  const server = await serve({ perSecond: 1000, burst: 1000 });
  const socket = await raw(server.port, head.repeat(500));
  await new Promise((resolve) => socket.once("close", resolve).resume());
  expect(server.seen()).toBe(1);
});

test("who sends more than the rate is read later, and answered", async () => {
  const server = await serve({ perSecond: 40, burst: 10 });
  const startedAt = performance.now();
  // A connection and a request each: 50 tokens, of which 10 are there.
  expect(await Promise.all(Array.from({ length: 25 }, () => ask(server.port)))).toEqual(Array(25).fill(200));
  expect(performance.now() - startedAt).toBeGreaterThan(950);
});

test("of a rate that servers share each has an equal part while others spend of it, and who spends little is read at once", async () => {
  const rate = { perSecond: 40, burst: 10, spentAt: new Map() };
  const [loud, loudToo, quiet] = [await serve(rate), await serve(rate), await serve(rate)];
  const startedAt = performance.now();
  const asked = [loud, loudToo].flatMap(({ port }) => Array.from({ length: 25 }, () => ask(port)));
  expect(await ask(quiet.port)).toBe(200);
  expect([loud.seen(), loudToo.seen()].every((seen) => seen < 25)).toBe(true);
  await Promise.all(asked);
  // 40 tokens of each are not there at first: a second with a rate of its own, and twice that of one which both share, but for
  // moments in which one of them alone spends.
  expect(performance.now() - startedAt).toBeGreaterThan(1250);
});

test("what a flood owes is a second at most", async () => {
  const server = await serve({ perSecond: 20, burst: 20 });
  await Promise.all(Array.from({ length: 10 }, () => raw(server.port, head.repeat(500))));
  const startedAt = performance.now();
  expect(await ask(server.port)).toBe(200);
  // Ten floods, each of which may cost its second once it is read.
  expect(performance.now() - startedAt).toBeLessThan(25_000);
});

test.each([
  "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
  "HEAD / HTTP/1.1\r\nHost: a\r\nExpect: it\r\n\r\n",
  "HEAD / HTTP/1.1\r\n\r\n",
])(
  "of a flood in one piece the parser sees a slice, whether it is the server that answers or Node itself: %j",
  async (flood) => {
    let parsed = 0;
    const count = () => void (parsed += 1);
    subscribe("http.server.request.start", count);
    closing.push(() => unsubscribe("http.server.request.start", count));
    const { port } = await serve({ perSecond: 10_000, burst: 10_000 });
    const socket = await raw(port, flood.repeat(2000));
    await new Promise((resolve) => socket.once("close", resolve).resume());
    expect(parsed).toBeGreaterThan(0);
    expect(parsed).toBeLessThan(50);
  },
);

test("what Node answers itself costs of the rate as well", async () => {
  const server = await serve({ perSecond: 40, burst: 10 });
  const startedAt = performance.now();
  const answers = Array.from({ length: 25 }, async () => {
    const socket = await raw(server.port, "HEAD / HTTP/1.1\r\n\r\n");
    await new Promise((resolve) => socket.once("close", resolve).resume());
  });
  await Promise.all(answers);
  expect(server.seen()).toBe(0);
  expect(performance.now() - startedAt).toBeGreaterThan(950);
});

test("a body of megabytes arrives whole, and what follows a CONNECT is the tunnel's to the byte", async () => {
  const body = Buffer.alloc(3 * 2 ** 20, "abcdefg");
  const server = createServer((message, response) => {
    let size = 0;
    message.on("data", (chunk: Buffer) => void (size += chunk.length));
    message.on("end", () => response.end(String(size)));
  });
  server.on("connect", (_request, socket, first: Buffer) => {
    socket.write("HTTP/1.1 200 OK\r\n\r\n");
    socket.write(first);
    socket.pipe(socket);
  });
  holdBack(server, { perSecond: 1000, burst: 1000 });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const posted = await fetch(`http://127.0.0.1:${port}/`, { method: "POST", body });
  expect(await posted.text()).toBe(String(body.length));
  const sent = `CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n${"0123456789".repeat(500)}`;
  const socket = await raw(port, sent);
  let heard = "";
  await new Promise<void>((resolve) => {
    socket.on("data", (chunk: Buffer) => {
      heard += chunk.toString();
      if (heard.length >= 19 + 5000) resolve();
    });
  });
  expect(heard).toBe(`HTTP/1.1 200 OK\r\n\r\n${"0123456789".repeat(500)}`);
});

test("a tunnel that nobody serves ends: of a connection that stayed open nobody would hear the error that ends the process", async () => {
  const server = await serve({ perSecond: 1000, burst: 1000 });
  const socket = await raw(server.port, "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n");
  await new Promise((resolve) => socket.once("close", resolve).resume());
});
