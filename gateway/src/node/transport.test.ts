import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { UnsentError } from "../deps.ts";
import { createNodeTransport } from "./transport.ts";

/** A host that refuses at the first byte, and closes with bytes unread if it was told that this connection ends with the call. */
test("an answer that comes before all of the body went is no broken pipe", async () => {
  const host = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", (head) => {
      const answer = () => (/connection: close/i.test(head.toString()) ? socket.resetAndDestroy() : socket.resume());
      socket.write("HTTP/1.1 413 Too Large\r\ncontent-length: 7\r\n\r\nrefused", answer);
    });
  }).listen(0, "127.0.0.1");
  await once(host, "listening");
  let left = 2 ** 12;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      await turn();
      controller.enqueue(new Uint8Array(2 ** 16));
      if (--left === 0) controller.close();
    },
  });
  const transport = createNodeTransport();
  const url = `http://127.0.0.1:${(host.address() as AddressInfo).port}/`;
  const answer = await transport.fetch(new Request(url, { method: "PUT", body, duplex: "half" } as RequestInit));
  expect([answer.status, await answer.text()]).toEqual([413, "refused"]);
  transport.close();
  host.close();
});

test("a connection that is kept and not used is closed, though its host never does; one that waits for an answer is not", async () => {
  const open = new Set<Socket>();
  const host = createHttpServer({ keepAliveTimeout: 0 }, (request, response) => {
    if (request.url === "/late") setTimeout(() => response.end("late"), 400);
    else response.end("now");
  }).listen(0, "127.0.0.1");
  host.on("connection", (socket) => void open.add(socket.once("close", () => open.delete(socket))));
  await once(host, "listening");
  const transport = createNodeTransport({ keptMs: 100 });
  const ask = async (path: string) => {
    const url = `http://127.0.0.1:${(host.address() as AddressInfo).port}${path}`;
    return (await transport.fetch(new Request(url))).text();
  };
  expect([await ask("/now"), await ask("/late")]).toEqual(["now", "late"]);
  await expect.poll(() => open.size).toBe(0);
  transport.close();
  host.close();
});

test("what nobody can have got is told from what may have arrived, also where a kept connection broke and no other came about", async () => {
  const transport = createNodeTransport();
  const host = createHttpServer((_request, response) => response.end("now")).listen(0, "127.0.0.1");
  await once(host, "listening");
  const url = `http://127.0.0.1:${(host.address() as AddressInfo).port}`;
  const ask = () =>
    transport.fetch(new Request(url, { method: "POST", body: "{}", headers: { "content-type": "application/json" } }));
  const failure = () =>
    ask().then(
      () => "none",
      (error: unknown) => error,
    );
  expect(await (await ask()).text()).toBe("now");
  // It reads the message, and is gone.
  host.removeAllListeners("request");
  host.on("request", (request) => {
    host.close();
    request.on("data", () => request.socket.resetAndDestroy());
  });
  const kept = await failure();
  expect(kept).toMatchObject({ code: "ECONNRESET" });
  expect(kept).not.toBeInstanceOf(UnsentError);
  const none = await failure();
  expect(none).toBeInstanceOf(UnsentError);
  expect(none).toMatchObject({ cause: { code: "ECONNREFUSED" } });
  const gone = new AbortController();
  const left = transport.fetch(new Request(url, { signal: gone.signal }));
  gone.abort();
  await expect(left).rejects.toBeInstanceOf(UnsentError);
  transport.close();
});
