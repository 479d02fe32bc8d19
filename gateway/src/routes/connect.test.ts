import { protocolVersion } from "@berth/shared/host-api";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { createConnection } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { WebSocket, WebSocketServer, type ClientOptions } from "ws";
import { createTestApp, type TestApp } from "../../test/app.ts";
import { answerJson, claimsOf, joinTestHost, type TestHost } from "../../test/host.ts";
import { until } from "../../test/wait.ts";

let gateway: TestApp;
let host: TestHost;
let sockets: WebSocketServer;
let server: Awaited<ReturnType<TestApp["listen"]>>;
let user: Awaited<ReturnType<TestApp["addUser"]>>;
const opened: WebSocket[] = [];
beforeEach(async () => {
  gateway = await createTestApp();
  host = await joinTestHost(gateway);
  sockets = new WebSocketServer({ server: host.server });
  server = await gateway.listen();
  user = await gateway.addUser("connected");
});
afterEach(async () => {
  for (const socket of [...opened.splice(0), ...sockets.clients]) socket.terminate();
  await gateway.close();
  sockets.close();
  await host.close();
});

function connect(protocols: string[], options: ClientOptions = {}): WebSocket {
  const socket = new WebSocket(`${server.url.replace("http", "ws")}/v1/connect`, protocols, options);
  socket.on("error", () => {});
  opened.push(socket);
  return socket;
}
const bearer = () => ({ headers: { authorization: `Bearer ${user.token}` } });
const getTicket = async () =>
  (await gateway.call("POST", "/v1/tickets", { token: user.token })).json().ticket as string;

/** Status and problem of a refused handshake. */
async function refusal(socket: WebSocket): Promise<{ status: number; code: string }> {
  const [, response] = (await once(socket, "unexpected-response")) as [unknown, IncomingMessage];
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) text += chunk;
  return { status: response.statusCode!, code: JSON.parse(text).code };
}

/** What the kernel holds at most of so many TCP connections that nobody reads: it gives a busy reader more. */
function kernelBytes(connections: number): number {
  const most = (name: string) => Number(readFileSync(`/proc/sys/net/ipv4/${name}`, "utf8").split("\t")[2]);
  return connections * (most("tcp_rmem") + most("tcp_wmem"));
}

/** Both ends of a joined socket. */
async function join(socket: WebSocket): Promise<[WebSocket, WebSocket, IncomingMessage]> {
  const accepted = once(sockets, "connection") as Promise<[WebSocket, IncomingMessage]>;
  await once(socket, "open");
  const [end, request] = await accepted;
  return [socket, end, request];
}

describe("a socket", () => {
  test("opened with a ticket reaches the host with the gateway's credential alone", async () => {
    const headers = { cookie: "other=1", origin: "http://localhost:8080" };
    const [socket, , request] = await join(connect(["berth.v1", `ticket.${await getTicket()}`], { headers }));
    expect(socket.protocol).toBe("berth.v1");
    expect(request.headers).toMatchObject({
      "sec-websocket-protocol": "berth.v1",
      "berth-protocol": `${protocolVersion}`,
    });
    expect(request.headers.cookie).toBeUndefined();
    expect(request.headers.origin).toBeUndefined();
    const claims = claimsOf(request);
    expect(claims).toMatchObject({ aud: host.id, sub: user.id, tid: user.tokenId });
  });

  test("brings no header of its host's to the browser: cookies are the gateway's to set", async () => {
    sockets.on("headers", (headers) => headers.push("set-cookie: berth_session=thief", "clear-site-data: *"));
    const socket = connect(["berth.v1"], bearer());
    const [{ headers }] = (await once(socket, "upgrade")) as [IncomingMessage];
    expect(headers).toMatchObject({ "sec-websocket-protocol": "berth.v1" });
    expect([headers["set-cookie"], headers["clear-site-data"]]).toEqual([undefined, undefined]);
  });

  test("passes text, binary, long messages and close codes both ways", async () => {
    const [socket, end] = await join(connect(["berth.v1"], bearer()));
    end.on("message", (data, isBinary) => end.send(data, { binary: isBinary }));
    for (const message of ["🙂", Buffer.from([0, 255]), "x".repeat(3_000_000)]) {
      socket.send(message);
      const [data, isBinary] = (await once(socket, "message")) as [Buffer, boolean];
      expect(isBinary).toBe(typeof message !== "string");
      expect(data.equals(Buffer.from(message))).toBe(true);
    }
    end.close(4001, "credential gone");
    expect((await once(socket, "close"))[0]).toBe(4001);
    const [again, other] = await join(connect(["berth.v1"], bearer()));
    again.close(4321);
    expect((await once(other, "close"))[0]).toBe(4321);
  });

  test("takes its host's end with it when the client vanishes", async () => {
    const [socket, end] = await join(connect(["berth.v1"], bearer()));
    socket.terminate();
    await once(end, "close");
  });

  test("of a session cookie opens from the dashboard's origin", async () => {
    const session = await gateway.call("POST", "/session", { body: { token: user.token } });
    const cookie = session.headers.get("set-cookie")!.split(";")[0]!;
    await join(connect(["berth.v1"], { headers: { cookie, origin: `http://127.0.0.1:${server.port}` } }));
  });

  test("from elsewhere that breaks the protocol once it is refused ends alone", async () => {
    const lines = [
      "GET /v1/connect HTTP/1.1",
      "host: a",
      "connection: upgrade",
      "upgrade: websocket",
      "sec-websocket-version: 13",
      `sec-websocket-key: ${btoa("0123456789abcdef")}`,
      "sec-websocket-protocol: berth.v1",
      "origin: http://evil.example",
    ];
    const socket = createConnection(server.port, "127.0.0.1").on("error", () => undefined);
    socket.write(`${lines.join("\r\n")}\r\n\r\n`);
    // A frame whose reserved bits are set.
    socket.write(Buffer.from([0xf1, 0x80, 0, 0, 0, 0]));
    await once(socket.resume(), "close");
    expect((await gateway.call("GET", "/healthz")).status).toBe(200);
  });

  test.each(["http://evil.example", "null", "https://localhost:8080"])(
    "from origin %s is closed with 4003",
    async (origin) => {
      const socket = connect(["berth.v1", `ticket.${await getTicket()}`], { headers: { origin } });
      const [code] = await once(socket, "close");
      expect(code).toBe(4003);
      expect(sockets.clients.size).toBe(0);
    },
  );

  test("without a credential that stands is refused before the upgrade", async () => {
    expect(await refusal(connect(["berth.v1"]))).toEqual({ status: 401, code: "unauthenticated" });
    expect(await refusal(connect(["berth.v1", "ticket.x"]))).toEqual({ status: 401, code: "unauthenticated" });
    const apiTokenAsTicket = connect(["berth.v1", `ticket.${user.token}`]);
    expect((await refusal(apiTokenAsTicket)).status).toBe(401);
    const late = await getTicket();
    gateway.clock.skewMs = 30_000;
    expect((await refusal(connect(["berth.v1", `ticket.${late}`]))).status).toBe(401);
    gateway.clock.skewMs = 0;
    const revoked = await getTicket();
    await gateway.call("DELETE", `/v1/tokens/${user.tokenId}`, { token: user.token });
    expect((await refusal(connect(["berth.v1", `ticket.${revoked}`]))).status).toBe(401);
  });

  test("that does not speak berth.v1, or is none, is an invalid request", async () => {
    expect(await refusal(connect(["other"], bearer()))).toEqual({ status: 400, code: "invalid_request" });
    expect((await fetch(`${server.url}/v1/connect`, bearer())).status).toBe(400);
  });

  test("hears the host's own refusal, and of a host that is away", async () => {
    sockets.close();
    host.server.removeAllListeners("upgrade");
    const problem = { type: "-", title: "-", status: 429, detail: "-", code: "rate_limited", requestId: "-" };
    host.handle = (_request, response) => answerJson(response, 429, problem);
    expect(await refusal(connect(["berth.v1"], bearer()))).toEqual({ status: 429, code: "rate_limited" });
    host.handle = (_request, response) => void response.destroy();
    expect(await refusal(connect(["berth.v1"], bearer()))).toEqual({ status: 503, code: "host_unavailable" });
  });

  test("whose client does not read holds the host back, and loses nothing", async () => {
    const [socket, end] = await join(connect(["berth.v1"], bearer()));
    socket.pause();
    const message = "x".repeat(100_000);
    let sent = 0;
    // The kernel's buffers take some; then what the host sends stays with the host.
    await until(() => {
      for (let at = 0; at < 20; at++, sent++) end.send(message);
      return end.bufferedAmount > 20_000_000;
    }, "the host is held back");
    expect(sent * message.length - end.bufferedAmount).toBeLessThan(kernelBytes(2) + 10_000_000);
    let received = 0;
    socket.on("message", () => received++);
    socket.resume();
    await until(() => received === sent, "all of it came");
  });
});
