import { once } from "node:events";
import { sql } from "drizzle-orm";
import { Agent, get, type IncomingMessage, request, Server } from "node:http";
import { type AddressInfo, connect as openTcp, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { createTestApp, type TestApp } from "../../test/app.ts";
import { joinTestHost, type HostRequest, type TestHost } from "../../test/host.ts";
import { until } from "../../test/wait.ts";

let gateway: TestApp;
let host: TestHost;
let server: Awaited<ReturnType<TestApp["listen"]>>;
let user: Awaited<ReturnType<TestApp["addUser"]>>;
beforeEach(async () => {
  gateway = await createTestApp();
  host = await joinTestHost(gateway);
  server = await gateway.listen();
  user = await gateway.addUser("reader");
});
afterEach(async () => {
  await gateway.close();
  await host.close();
});

const headers = () => ({ authorization: `Bearer ${user.token}` });

/** What a Node process has in its hand and a Worker has not: its own end, and clients that leave. */
describe("the server on Node", () => {
  test("gives a body as long as it moves, and headers a minute", () => {
    const handles = (process as unknown as { _getActiveHandles(): unknown[] })._getActiveHandles();
    const own = handles.find(
      (handle) =>
        handle instanceof Server && (handle.address() as AddressInfo).port === Number(new URL(server.url).port),
    );
    expect(own).toMatchObject({ requestTimeout: 0, headersTimeout: 60_000 });
  });

  test("compresses long answers to GET for who reads gzip, and none to POST, which may hold a secret", async () => {
    for (let at = 0; at < 10; at++)
      await gateway.call("POST", "/v1/tokens", { token: user.token, body: { name: `token ${at}` } });
    const ask = async (encoding: string, method = "GET", path = "/v1/tokens") => {
      const answer = await fetch(`${server.url}${path}`, {
        method,
        headers: { ...headers(), "accept-encoding": encoding, "content-type": "application/json" },
        ...(method === "POST" && { body: JSON.stringify({ name: "a", instructions: "x".repeat(5000) }) }),
      });
      return { encoding: answer.headers.get("content-encoding"), text: await answer.text() };
    };
    const plain = await ask("identity");
    expect(plain.encoding).toBe(null);
    expect(await ask("gzip, br")).toEqual({ encoding: "gzip", text: plain.text });
    expect((await ask("br;q=1, gzip;q=0")).encoding).toBe(null);
    expect((await ask("gzip", "GET", "/healthz")).encoding).toBe(null);
    expect(await ask("gzip", "POST", "/v1/agents")).toMatchObject({
      encoding: null,
      text: expect.stringMatching(/x{5000}/),
    });
  });

  test("lets go of what asks nothing beyond 2,048, the oldest of who has the most, and of nobody else", async () => {
    const open = async (localAddress: string) => {
      const socket = openTcp({ port: server.port, host: "127.0.0.1", localAddress }).on("error", () => {});
      await once(socket, "connect");
      return socket.resume();
    };
    const quiet = await open("127.0.0.3");
    const loud: Socket[] = [];
    for (let at = 0; at < 2100; at++) loud.push(await open("127.0.0.2"));
    const gone = () => loud.filter((socket) => socket.closed);
    await until(() => gone().length === 53, "what is too many has gone");
    expect(gone()).toEqual(loud.slice(0, 53));
    quiet.write("GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n");
    expect(String(await once(quiet, "data"))).toMatch(/^HTTP\/1.1 200/);
    for (const socket of [quiet, ...loud]) socket.destroy();
  });

  test("keeps no body of who knows no trigger, and 1,024 of strangers at once, half of one network's", async () => {
    const post = (path: string) => {
      const socket = openTcp({ port: server.port, host: "127.0.0.1" }).on("error", () => {});
      socket.write(`POST ${path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{`);
      return socket;
    };
    const hook = post("/hooks/trg_absent");
    expect(String(await once(hook, "data"))).toMatch(/^HTTP\/1.1 404/);
    const slow = Array.from({ length: 512 }, () => post("/internal/hosts/join"));
    const late = post("/internal/hosts/join");
    expect(String(await once(late, "data"))).toMatch(/^HTTP\/1.1 429/);
    for (const socket of [hook, late, ...slow]) socket.destroy();
  });

  /** The head and half the body of a report; what comes back sends the rest, and answers the status. */
  async function beginReport() {
    const body = JSON.stringify(host.makeReport());
    const sending = request(`${server.url}/internal/hosts/report`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${await host.sign()}`,
        "content-type": "application/json",
        "content-length": Buffer.byteLength(body),
      },
    });
    sending.write(body.slice(0, 20));
    const answered = once(sending, "response") as Promise<[IncomingMessage]>;
    // Who is refused need not be heard out.
    sending.on("error", () => {});
    return async () => {
      sending.end(body.slice(20));
      const [answer] = await answered;
      answer.resume();
      return answer.statusCode;
    };
  }

  test("sheds reports beyond its places before it looks at a credential, serves users meanwhile, and who has a place to the end", async () => {
    const stranger = () => fetch(`${server.url}/internal/hosts/report`, { method: "POST", body: "{}" });
    expect((await stranger()).status).toBe(401);
    const taken = await Promise.all(Array.from({ length: 16 }, beginReport));
    const refused = await until(async () => {
      const answer = await stranger();
      if (answer.status !== 401) return answer;
      // The stranger may have had a place just as one of these came.
      taken.push(await beginReport());
      return null;
    }, "all places are taken");
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({ code: "host_unavailable", status: 503 });
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    expect((await fetch(`${server.url}/v1/me`, { headers: headers() })).status).toBe(200);
    expect((await fetch(`${server.url}/v1/tickets`, { method: "POST", headers: headers() })).status).toBe(201);
    const answers = await Promise.all(taken.map((finish) => finish()));
    expect(answers.filter((status) => status === 200)).toHaveLength(16);
    expect(new Set(answers)).not.toContain(401);
    expect((await stranger()).status).toBe(401);
  });

  test("does nothing for who has left", async () => {
    const report = host.makeReport({ version: "of one who left" });
    const body = JSON.stringify(report);
    const head = [
      "POST /internal/hosts/report HTTP/1.1",
      "host: a",
      `authorization: Bearer ${await host.sign()}`,
      "content-type: application/json",
      `content-length: ${Buffer.byteLength(body)}`,
    ];
    const isTold = () => gateway.lines.some((line) => line.includes("/internal/hosts/report") && line.includes("503"));
    const leaver = openTcp({ port: server.port, host: "127.0.0.1" }).on("error", () => {});
    await once(leaver, "connect");
    leaver.write(`${head.join("\r\n")}\r\n\r\n${body}`);
    leaver.destroy();
    await until(isTold, "it was refused");
    const [known] = await gateway.deps.db.all<{ version: string }>(
      sql`select version from hosts where id = ${host.id}`,
    );
    expect(known!.version).toBe("test");
  });

  test("keeps nobody from a socket for a host that does not answer", async () => {
    const hung: Socket[] = [];
    host.server.on("upgrade", (_request, socket) => void hung.push(socket as Socket));
    const open = () => {
      const socket = new WebSocket(`${server.url.replace("http", "ws")}/v1/connect`, ["berth.v1"], {
        headers: headers(),
      });
      return socket.on("error", () => {});
    };
    const sockets = Array.from({ length: 200 }, open);
    await until(() => hung.length === sockets.length, "the host has been asked for all of them");
    for (const socket of sockets) socket.terminate();
    for (const socket of hung) socket.destroy();
  });

  test("reads 256 webhooks of one network at once, and eight long bodies of a user, and short ones beside them", async () => {
    const ask = (method: string, path: string, body: unknown) =>
      gateway.call(method, path, { token: user.token, body });
    const agent = (await ask("POST", "/v1/agents", { name: "a" })).json();
    const trigger = (
      await ask("POST", `/v1/agents/${agent.id}/triggers`, { name: "t", scheme: "token", template: "x" })
    ).json();
    const post = (path: string, length: number, body = "{") => {
      const socket = openTcp({ port: server.port, host: "127.0.0.1" }).on("error", () => {});
      const authorization = `authorization: Bearer ${user.token}\r\ncontent-type: application/json\r\n`;
      socket.write(`POST ${path} HTTP/1.1\r\nhost: a\r\n${authorization}content-length: ${length}\r\n\r\n${body}`);
      return socket;
    };
    for (const [path, most, length] of [
      [`/hooks/${trigger.id}`, 256, 99],
      [`/v1/agents/${agent.id}/runs`, 8, 100_000],
    ] as const) {
      const slow = Array.from({ length: most }, () => post(path, length));
      const late = post(path, length);
      expect(String(await once(late, "data"))).toMatch(/^HTTP\/1.1 429/);
      const short = post(`/v1/agents/${agent.id}/runs`, 2, "{}");
      expect(String(await once(short, "data"))).toMatch(/^HTTP\/1.1 400/);
      const gone = slow.map((socket) => once(socket, "close"));
      for (const socket of [late, short, ...slow]) socket.destroy();
      await Promise.all(gone);
    }
  });

  test("takes eight long bodies of a user in four seconds, whatever is said of their length, and those of others", async () => {
    const other = await gateway.addUser("other");
    const send = async (token: string, body: BodyInit, init: RequestInit & { duplex?: "half" } = {}) => {
      const authorization = { authorization: `Bearer ${token}`, "content-type": "application/json" };
      const answer = await fetch(`${server.url}/v1/agents/agt_absent/runs`, {
        method: "POST",
        headers: authorization,
        body,
        ...init,
      });
      return { status: answer.status, retryAfter: Number(answer.headers.get("retry-after")), ...(await answer.json()) };
    };
    const long = JSON.stringify({ prompt: "x".repeat(70_000) });
    // A body whose length is not told may be as long as any.
    const untold = () => send(user.token, new Blob(["{}"]).stream(), { duplex: "half" });
    const answers = await Promise.all([
      ...Array.from({ length: 8 }, untold),
      ...Array.from({ length: 8 }, () => send(user.token, long)),
    ]);
    const refused = answers.filter(({ code }) => code === "rate_limited");
    expect(refused).toHaveLength(8);
    expect(refused.every(({ status, retryAfter }) => status === 429 && retryAfter > 0 && retryAfter <= 4)).toBe(true);
    expect(await send(user.token, JSON.stringify({ prompt: "short" }))).toMatchObject({ status: 404 });
    expect(await send(other.token, long)).toMatchObject({ status: 404 });
  });

  test("tells each socket 1012 when it ends", async () => {
    const sockets = new WebSocketServer({ server: host.server });
    const accepted = once(sockets, "connection") as Promise<[WebSocket]>;
    const socket = new WebSocket(`${server.url.replace("http", "ws")}/v1/connect`, ["berth.v1"], {
      headers: headers(),
    });
    await once(socket, "open");
    const [end] = await accepted;
    end.send("before");
    await once(socket, "message");
    const closed = once(socket, "close");
    await server.close(2000);
    expect((await closed)[0]).toBe(1012);
    sockets.close();
  });

  test("ends though a client whose host is gone has not closed its end of a socket", async () => {
    const sockets = new WebSocketServer({ server: host.server });
    const accepted = once(sockets, "connection") as Promise<[WebSocket]>;
    const raw = openTcp({ port: server.port, host: "127.0.0.1", allowHalfOpen: true }).resume();
    const handshake = [
      "GET /v1/connect HTTP/1.1",
      "host: localhost",
      "connection: upgrade",
      "upgrade: websocket",
      "sec-websocket-version: 13",
      `sec-websocket-key: ${btoa("x".repeat(16))}`,
      "sec-websocket-protocol: berth.v1",
      `authorization: Bearer ${user.token}`,
    ];
    raw.write(`${handshake.join("\r\n")}\r\n\r\n`);
    const ended = once(raw, "end");
    (await accepted)[0].terminate();
    await ended;
    await server.close(200);
    raw.destroy();
    sockets.close();
  });

  test("keeps an idle connection for longer than clients and proxies do", async () => {
    const [answer] = (await once(
      get(`${server.url}/healthz`, { agent: new Agent({ keepAlive: true }) }),
      "response",
    )) as [IncomingMessage];
    expect(Number(/timeout=(\d+)/.exec(String(answer.headers["keep-alive"]))?.[1])).toBeGreaterThan(60);
    answer.destroy();
  });

  test.each(["/v1/agents", "/hooks/trg_any"])(
    "takes a body to %s that breaks off for no defect of its own",
    async (path) => {
      const length = { expect: "100-continue", "content-length": "100" };
      const options = { method: "POST", headers: { ...headers(), ...length, "content-type": "application/json" } };
      const sending = request(`${server.url}${path}`, options).on("error", () => {});
      sending.write('{"na');
      await once(sending, "continue");
      sending.destroy();
      await until(
        () =>
          gateway.lines.some(
            (line) => line.includes('"method":"POST"') && !line.includes("/internal") && !line.includes("join-tokens"),
          ),
        "the call is over",
      );
      expect(gateway.lines.filter((line) => line.includes('"level":"error"'))).toEqual([]);
    },
  );

  test("refuses a file over 1 GiB by what is declared, before its host is asked", async () => {
    const agent = (await gateway.call("POST", "/v1/agents", { token: user.token, body: { name: "a" } })).json();
    const asked = host.requests.length;
    const length = { "content-length": String(2 ** 30 + 1) };
    const options = { method: "PUT", headers: { ...headers(), ...length } };
    const sending = request(`${server.url}/v1/agents/${agent.id}/files/huge`, options).on("error", () => {});
    sending.write("x");
    const [answer] = (await once(sending, "response")) as [IncomingMessage];
    expect(answer.statusCode).toBe(413);
    expect(host.requests.length).toBe(asked);
    sending.destroy();
  });

  test("serves what is no socket as ever where a socket is asked for: piece by piece, and by its own method", async () => {
    const agent = (await gateway.call("POST", "/v1/agents", { token: user.token, body: { name: "a" } })).json();
    const upgrade = { ...headers(), connection: "Upgrade", upgrade: "websocket" };
    host.handle = (_, response) => void response.writeHead(200, { "content-type": "text/plain" }).write("first");
    const reading = get(`${server.url}/v1/agents/${agent.id}/files/huge`, { headers: upgrade });
    const [answer] = (await once(reading, "response")) as [IncomingMessage];
    expect(String((await once(answer, "data"))[0])).toBe("first");
    reading.destroy();
    const sending = request(`${server.url}/v1/tokens`, {
      method: "POST",
      headers: { ...upgrade, "content-type": "application/json" },
    });
    sending.end(JSON.stringify({ name: "made" }));
    const [made] = (await once(sending, "response")) as [IncomingMessage];
    expect(made.resume().statusCode).toBe(201);
  });

  test("gives up a host whose refusal of a socket does not come whole within its deadline", async () => {
    const asked = once(host.server, "upgrade") as Promise<[IncomingMessage, Socket]>;
    const socket = new WebSocket(`${server.url.replace("http", "ws")}/v1/connect`, ["berth.v1"], {
      headers: headers(),
    });
    socket.on("error", () => {});
    const [, held] = await asked;
    const ended = once(held.resume(), "end");
    held.write("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 500\r\n\r\n");
    socket.terminate();
    await ended;
    held.destroy();
  });

  test("gives up asking a host for a stream when the reader leaves before the answer", async () => {
    const agent = (await gateway.call("POST", "/v1/agents", { token: user.token, body: { name: "a" } })).json();
    const run = (
      await gateway.call("POST", `/v1/agents/${agent.id}/runs`, { token: user.token, body: { prompt: "x" } })
    ).json();
    const asked = new Promise<HostRequest>((resolve) => {
      host.handle = (asked) => resolve(asked);
    });
    const reading = get(`${server.url}/v1/runs/${run.id}/events`, { headers: headers() });
    reading.on("error", () => {});
    const { incoming } = await asked;
    const closed = once(incoming.socket, "close");
    reading.destroy();
    await closed;
  });
});
