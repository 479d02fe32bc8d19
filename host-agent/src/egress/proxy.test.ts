import { subscribe, unsubscribe } from "node:diagnostics_channel";
import http from "node:http";
import type { Server } from "node:http";
import net from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { afterEach, describe, expect, test, vi } from "vitest";
import { holdBack } from "../context/backpressure.ts";
import { createEgressProxy } from "./proxy.ts";
import type { EgressProxyDeps } from "./proxy.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function listen(server: net.Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

const publicAddress = "93.184.216.34";

/** A proxy before one server, which every public address leads to. */
async function startProxy(server: net.Server, options: Partial<EgressProxyDeps> = {}) {
  const told = { connects: [] as string[], lookups: [] as string[], log: [] as string[] };
  const target = await listen(server);
  const write = (event: string, fields?: object) => void told.log.push(JSON.stringify({ event, ...fields }));
  const egress = createEgressProxy({
    mode: "allowlist",
    allow: ["*.example.com", "example.com:7000"],
    log: { info: write, warn: write, error: write },
    lookup: async (host) => {
      told.lookups.push(host);
      return [publicAddress];
    },
    connect: (address, port) => {
      told.connects.push(`${address}:${port}`);
      return net.connect({ port: target, host: "127.0.0.1", allowHalfOpen: true });
    },
    ownAddresses: () => ["5.5.5.5"],
    ...options,
  });
  const serverFor: (lane: string) => Server = egress.serversFor("user1");
  const listenLane = (lane: string) => listen(serverFor(lane));
  return { told, target, port: await listenLane(""), listenLane, makeLane: serverFor };
}

/** Opens a tunnel; the answer's head and, on 200, the open socket. */
async function openTunnel(port: number, authority: string, early = "") {
  const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  closers.push(() => socket.destroy());
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n${early}`);
  const reader = socket.iterator({ destroyOnReturn: false });
  let head = "";
  while (!head.includes("\r\n\r\n")) {
    const { value, done } = await reader.next();
    if (done) break;
    head += String(value);
  }
  const [top = "", ...rest] = head.split("\r\n\r\n");
  return { socket, reader, status: Number(top.split(" ")[1]), head: top, rest: rest.join("\r\n\r\n") };
}

const echo = () =>
  net.createServer({ allowHalfOpen: true }, (socket) => void socket.on("error", () => {}).pipe(socket));

/** A plain request through the proxy, with the path as it is given. */
function request(
  port: number,
  url: string,
  init: { method?: string; headers?: http.OutgoingHttpHeaders; body?: string } = {},
) {
  return new Promise<{ status: number; headers: http.IncomingHttpHeaders; body: string }>((resolve, reject) => {
    const options = { port, host: "127.0.0.1", path: url, method: init.method, headers: init.headers };
    const sent = http.request(options, async (res) => {
      let body = "";
      for await (const chunk of res) body += String(chunk);
      resolve({ status: res.statusCode ?? 0, headers: res.headers, body });
    });
    sent.on("error", reject).end(init.body);
  });
}

test("a tunnel carries bytes both ways, also those that came with the CONNECT", async () => {
  const { port, told } = await startProxy(echo());
  const { socket, reader, status } = await openTunnel(port, "API.example.com.:443", "early ");
  expect(status).toBe(200);
  socket.end("late");
  let got = "";
  for (let next = await reader.next(); !next.done; next = await reader.next()) got += String(next.value);
  expect(got).toBe("early late");
  expect(told).toMatchObject({ lookups: ["api.example.com"], connects: [`${publicAddress}:443`] });
});

test("a slow reader of a large download gets all of it after the server has closed", async () => {
  const size = 8 * 1024 * 1024;
  const { port } = await startProxy(net.createServer((socket) => socket.end(Buffer.alloc(size, "x"))));
  const { socket, reader, rest } = await openTunnel(port, "a.example.com:443");
  socket.end();
  let got = rest.length;
  for (let next = await reader.next(); !next.done; next = await reader.next()) {
    got += (next.value as Buffer).length;
    await new Promise(setImmediate);
  }
  expect(got).toBe(size);
});

test("a plain request goes to the host of its address, whatever its Host header says, without the proxy's own headers", async () => {
  let seen: http.IncomingMessage | undefined;
  const server = http.createServer((req, res) => {
    seen = req;
    res.writeHead(201, { "x-a": "b", connection: "x-hop", "x-hop": "1" });
    req.pipe(res);
  });
  const { port } = await startProxy(server);
  const headers = { host: "evil.example", "proxy-authorization": "Basic x", "x-mine": "1", te: "trailers" };
  const answer = await request(port, "http://www.example.com/a?b=c", { method: "PUT", headers, body: "body" });
  expect(answer).toMatchObject({ status: 201, body: "body", headers: { "x-a": "b" } });
  expect(answer.headers).not.toHaveProperty("x-hop");
  expect(seen?.url).toBe("/a?b=c");
  expect(seen?.headers).toMatchObject({ host: "www.example.com", "x-mine": "1" });
  expect(Object.keys(seen?.headers ?? {})).not.toContain("proxy-authorization");
});

test("an address without a path is asked for /", async () => {
  const { port } = await startProxy(http.createServer((req, res) => res.end(req.url)));
  expect((await request(port, "http://www.example.com?x=1")).body).toBe("/?x=1");
});

test("one connection of a client serves many requests", async () => {
  const { port } = await startProxy(http.createServer((_req, res) => res.end("ok")));
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  closers.push(() => agent.destroy());
  const ports = new Set<number | undefined>();
  for (let i = 0; i < 3; i++) {
    await new Promise<void>((resolve) => {
      http.get({ port, host: "127.0.0.1", path: "http://a.example.com/", agent }, (res) => {
        ports.add(res.socket.localPort);
        res.resume().on("end", resolve);
      });
    });
  }
  expect(ports.size).toBe(1);
});

test.each([
  "evil.example:443",
  "127.0.0.1:443",
  "2130706433:80",
  "[::1]:443",
  "localhost:443",
  "user@a.example.com:443",
  "a.example.com:22",
])("a tunnel to %s is refused with a sentence, logged, and nothing is resolved or opened", async (authority) => {
  const { port, told } = await startProxy(echo());
  const { status, head, rest } = await openTunnel(port, authority);
  expect(status).toBe(403);
  expect(head.toLowerCase()).toContain("berth-egress: refused");
  expect(rest).toMatch(/^Berth refuses .*(BERTH_EGRESS_ALLOW|this workspace itself).*\.\n$/);
  expect(rest).toContain(authority);
  expect(told).toMatchObject({ connects: [], lookups: [] });
  expect(told.log[0]).toContain(`"event":"egress.refused","userId":"user1","host":"${authority}"`);
});

test.each([
  "http://evil.example/",
  "http://a.example.com@evil.example/",
  "https://a.example.com/",
  "/",
  "http:///x",
  "ftp://a.example.com/",
])("a request for %s is refused", async (url) => {
  const { port, told } = await startProxy(echo());
  const answer = await request(port, url);
  expect([answer.status, answer.headers["berth-egress"]]).toEqual([403, "refused"]);
  expect(told.connects).toEqual([]);
});

test.each([[["10.0.0.1"]], [["127.0.0.1", "::1"]], [["::ffff:93.184.216.34"]], [["169.254.169.254"]], [["5.5.5.5"]]])(
  "an allowed name that resolves to %j is refused",
  async (addresses) => {
    const { port, told } = await startProxy(echo(), { lookup: async () => addresses });
    expect((await openTunnel(port, "rebound.example.com:443")).status).toBe(403);
    expect(told.connects).toEqual([]);
  },
);

test("a name is resolved once, and of its addresses only public ones are tried, in turn", async () => {
  const connects: string[] = [];
  const lookup = vi.fn(async () => ["10.0.0.1", "8.8.8.8", "127.0.0.1", publicAddress]);
  const server = echo();
  const target = await listen(server);
  const { port } = await startProxy(net.createServer(), {
    lookup,
    connect: (address) => {
      connects.push(address);
      return net.connect(address === publicAddress ? target : 1, "127.0.0.1");
    },
  });
  expect((await openTunnel(port, "a.example.com:443")).status).toBe(200);
  expect(connects).toEqual(["8.8.8.8", publicAddress]);
  expect(lookup).toHaveBeenCalledTimes(1);
});

test("a name that does not resolve, or not in time, is 502", async () => {
  const lost = async () => Promise.reject(new Error("ENOTFOUND"));
  const slow = () => new Promise<string[]>(() => {});
  for (const lookup of [lost, slow]) {
    const { port } = await startProxy(echo(), { lookup, limits: { lookupMs: 50 } });
    expect(await openTunnel(port, "a.example.com:443")).toMatchObject({
      status: 502,
      rest: "Berth cannot resolve a.example.com:443.\n",
    });
  }
});

test("a server that refuses, or does not answer in time, is 502", async () => {
  const refuse = () => net.connect(1, "127.0.0.1");
  const hang = () => new net.Socket();
  for (const connect of [refuse, hang]) {
    const { port } = await startProxy(echo(), { connect, limits: { connectMs: 50 } });
    expect((await openTunnel(port, "a.example.com:443")).status).toBe(502);
    expect((await request(port, "http://a.example.com/")).status).toBe(502);
  }
});

test.each([
  "HTTP/1.1 099 Odd\r\n\r\n",
  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
  "rubbish\r\n\r\n",
  "HTTP/1.1 200 OK\r\nA: \x01\x7f\r\nContent-Length: 0\r\n\r\n",
  "",
])("a server that answers %j does no harm", async (answer) => {
  const { port } = await startProxy(
    net.createServer((socket) => void socket.on("error", () => {}).on("data", () => socket.end(answer))),
  );
  expect((await request(port, "http://a.example.com/")).status).toBe(502);
});

test("connections beyond the limit are 503, and closed ones make room", async () => {
  const { port } = await startProxy(echo(), { limits: { tunnels: 4 } });
  const first = await openTunnel(port, "a.example.com:443");
  await openTunnel(port, "a.example.com:443");
  expect((await openTunnel(port, "a.example.com:443")).status).toBe(503);
  first.socket.destroy();
  await vi.waitFor(async () => expect((await openTunnel(port, "a.example.com:443")).status).toBe(200), 100_000);
});

test("one lane has half of a workspace's connections at most, and another some of the rest", async () => {
  const { port, listenLane } = await startProxy(echo(), { limits: { tunnels: 4 } });
  const other = await listenLane("other");
  const open = async (at: number) => (await openTunnel(at, "a.example.com:443")).status;
  expect([await open(port), await open(port), await open(port)]).toEqual([200, 200, 503]);
  expect([await open(other), await open(other)]).toEqual([200, 503]);
});

test("a silent tunnel is closed", async () => {
  const { port } = await startProxy(echo(), { limits: { idleMs: 50 } });
  const { reader, status } = await openTunnel(port, "a.example.com:443");
  expect(status).toBe(200);
  expect((await reader.next().catch(() => ({ done: true }))).done).toBe(true);
});

test("a client that goes away ends its connection to the server", async () => {
  const ended = vi.fn();
  const server = net.createServer(
    (socket) =>
      void socket
        .on("error", () => {})
        .on("close", ended)
        .resume(),
  );
  const { port } = await startProxy(server);
  const { socket } = await openTunnel(port, "a.example.com:443");
  socket.resetAndDestroy();
  await vi.waitFor(() => expect(ended).toHaveBeenCalled(), 100_000);
});

test("whoever says what he wants is served beside one who holds and renews half a request a hundred times", async () => {
  const { port } = await startProxy(echo(), { limits: { silent: 20 } });
  const ends: Promise<unknown>[] = [];
  const holdHalf = () => {
    const socket = net.connect({ port, host: "127.0.0.1" });
    closers.push(() => socket.destroy());
    socket.on("error", () => undefined).write("CONNECT a.example.com:443 HTTP/1.1\r\n");
    ends.push(new Promise((resolve) => socket.once("close", resolve)));
  };
  for (let at = 0; at < 20; at++) holdHalf();
  for (let at = 0; at < 5; at++) {
    for (let more = 0; more < 20; more++) holdHalf();
    expect((await openTunnel(port, "a.example.com:443")).head).toMatch(/^HTTP\/1.1 200/);
  }
  await Promise.all(ends.slice(0, 100));
});

test("a connection that sends no request is closed", async () => {
  const { port } = await startProxy(echo(), { limits: { headerMs: 50 } });
  const socket = net.connect(port, "127.0.0.1");
  closers.push(() => socket.destroy());
  await new Promise((resolve) => socket.resume().on("close", resolve));
});

test("a flood of refusals is told to the log in part", async () => {
  const { port, told } = await startProxy(echo(), { limits: { logsPerMinute: 3 } });
  for (let i = 0; i < 10; i++) await openTunnel(port, `evil${i}.example:443`);
  expect(told.log.length).toBeLessThanOrEqual(6);
});

test("a very long host does not make a long log line", async () => {
  const { port, told } = await startProxy(echo());
  await openTunnel(port, `${"a".repeat(5000)}.example:443`);
  expect(told.log[0]?.length).toBeLessThan(400);
});

test("a bad pattern stops the creation with a sentence", () => {
  const log = { info() {}, warn() {}, error() {} };
  expect(() => createEgressProxy({ mode: "allowlist", allow: ["https://x.example"], log })).toThrow(
    /^BERTH_EGRESS_ALLOW has/,
  );
});

test("in open mode other names are reached, private addresses are not", async () => {
  const { port } = await startProxy(echo(), {
    mode: "open",
    lookup: async (host) => [host.startsWith("lan") ? "192.168.1.1" : publicAddress],
  });
  expect((await openTunnel(port, "anything.example:8443")).status).toBe(200);
  expect((await openTunnel(port, "lan.example:443")).status).toBe(403);
  expect((await openTunnel(port, "169.254.169.254:80")).status).toBe(403);
});

test("without network nothing is reached", async () => {
  const { port, told } = await startProxy(echo(), { mode: "none" });
  expect(await openTunnel(port, "github.com:443")).toMatchObject({
    status: 403,
    rest: expect.stringContaining("BERTH_EGRESS=none"),
  });
  expect(told.lookups).toEqual([]);
});

/** What BERTH_EGRESS_PRIVATE opens: the address that a name has, and what becomes of it. */
test.each([
  ["git.corp.example", "10.1.2.3", 200, ""],
  ["git.corp.example", "fd12::7", 200, ""],
  ["git.corp.example", publicAddress, 200, ""],
  ["wide.corp.example", "100.64.0.9", 200, ""],
  ["git.corp.example", "10.2.0.1", 403, "BERTH_EGRESS_PRIVATE"],
  ["git.corp.example", "192.168.1.1", 403, "BERTH_EGRESS_PRIVATE"],
  ["api.example.com", "10.1.2.3", 403, "BERTH_EGRESS_PRIVATE"],
  ["wide.corp.example", "127.0.0.1", 403, "no setting opens"],
  ["wide.corp.example", "::ffff:10.1.2.3", 403, "no setting opens"],
  ["wide.corp.example", "169.254.169.254", 403, "no setting opens"],
  ["wide.corp.example", "168.63.129.16", 403, "no setting opens"],
  ["wide.corp.example", "100.100.100.200", 403, "no setting opens"],
  ["wide.corp.example", "fd00:ec2::254", 403, "no setting opens"],
  ["wide.corp.example", "::1", 403, "no setting opens"],
  ["wide.corp.example", "0.0.0.0", 403, "no setting opens"],
  ["wide.corp.example", "224.0.0.1", 403, "no setting opens"],
  ["wide.corp.example", "10.9.9.9", 403, "no setting opens"],
  ["wide.corp.example", "172.17.0.5", 403, "no setting opens"],
])(
  "a private name is reached in its range alone, and the machine and what is on it never: %s at %s",
  async (host, address, status, told) => {
    const { port } = await startProxy(
      http.createServer((_req, res) => res.end()),
      {
        privateNames: [
          "git.corp.example=10.1.0.0/16",
          "git.corp.example=fd12::/16",
          "wide.corp.example=0.0.0.0/0",
          "wide.corp.example=::/0",
        ],
        lookup: async () => [address],
        ownAddresses: () => ["10.9.9.9"],
        innerNetworks: () => ["172.17.0.1/16"],
      },
    );
    const answer = await request(port, `http://${host}/`);
    expect([answer.status, answer.body]).toEqual([status, expect.stringContaining(told)]);
  },
);

test("while nobody can tell what is this machine's own nothing is reached, and then it is again", async () => {
  let isOutOfDescriptors = true;
  const { port } = await startProxy(
    http.createServer((_req, res) => res.end("there")),
    {
      innerNetworks() {
        if (isOutOfDescriptors) throw Object.assign(new Error("EMFILE: too many open files"), { code: "EMFILE" });
        return [];
      },
    },
  );
  expect((await request(port, "http://api.example.com/")).status).toBe(502);
  isOutOfDescriptors = false;
  expect(await request(port, "http://api.example.com/")).toMatchObject({ status: 200, body: "there" });
});

test.each([
  "git.corp.example",
  "git.corp.example=10.0.0.0",
  "git=10.0.0.0/8",
  "10.0.0.1=10.0.0.0/8",
  "=10.0.0.0/8",
  "git.corp.example=10.0.0.0/33",
])("a private name that does not fit is told in one sentence: %s", (text) => {
  const quiet = { info() {}, warn() {}, error() {} };
  const make = () => createEgressProxy({ mode: "open", allow: [], privateNames: [text], log: quiet });
  expect(make).toThrow(`BERTH_EGRESS_PRIVATE has "${text}"; write name=CIDR, as git.example.com=10.0.0.0/8.`);
});

describe("a tunnel to a name of ours", () => {
  /** A proxy as it listens in a workspace, with an origin that answers with the body it is sent. */
  async function startOrigin(rate = { perSecond: 1000, burst: 1000 }) {
    const told = { parsed: 0, served: 0 };
    const count = () => void (told.parsed += 1);
    subscribe("http.server.request.start", count);
    closers.push(() => unsubscribe("http.server.request.start", count));
    const serve: NonNullable<EgressProxyDeps["origins"]>["serve"] = ({ req, res }) => {
      told.served += 1;
      res.setHeader("content-length", req.headers["content-length"] ?? 0);
      req.pipe(res);
    };
    const origins = { isOrigin: (authority: string) => authority.includes(".berth.internal"), serve };
    const { makeLane } = await startProxy(echo(), { origins });
    const server = makeLane("");
    holdBack(server, rate);
    return { told, port: await listen(server) };
  }
  const authority = "x.git.berth.internal:80";
  const whole = async (reader: AsyncIterator<unknown>) => {
    let got = "";
    for (let next = await reader.next(); !next.done; next = await reader.next()) got += String(next.value);
    return got;
  };

  test.each([
    "GET / HTTP/1.1\r\nHost: x.git.berth.internal\r\n\r\n",
    "GET / HTTP/1.0\r\nHost: x.git.berth.internal\r\nConnection: keep-alive\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x.git.berth.internal\r\nExpect: it\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n",
  ])("takes one request, and of thousands in one piece the parser sees a slice: %j", async (request) => {
    const { told, port } = await startOrigin();
    const { socket, reader, status } = await openTunnel(port, authority);
    expect(status).toBe(200);
    socket.write(request.repeat(Math.ceil(65_536 / request.length)));
    await whole(reader).catch(() => undefined);
    expect(told.served).toBeLessThanOrEqual(1);
    expect(told.parsed).toBeGreaterThan(0);
    expect(told.parsed).toBeLessThan(50);
  });

  test("is for what came with its CONNECT too, in its order", async () => {
    const { port } = await startOrigin();
    const body = Array.from({ length: 2000 }, (_, at) => at).join(" ");
    const early = `PUT / HTTP/1.1\r\nHost: x.git.berth.internal\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const { reader, rest } = await openTunnel(port, authority, early);
    const [top, got] = (rest + (await whole(reader))).split("\r\n\r\n");
    expect(top).toMatch(/^HTTP\/1.1 200/);
    expect(got).toBe(body);
  });

  test("is read also where its CONNECT has spent what was left of the rate", async () => {
    const { port } = await startOrigin({ perSecond: 10, burst: 1 });
    const { socket, reader } = await openTunnel(port, authority);
    socket.write("GET / HTTP/1.1\r\nHost: x.git.berth.internal\r\n\r\n");
    expect(await whole(reader)).toMatch(/^HTTP\/1.1 200/);
  });
});
