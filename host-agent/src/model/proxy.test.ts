import http from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test, vi } from "vitest";
import { messagesApi } from "./messages.ts";
import { createModelProxy } from "./proxy.ts";
import type { Usage } from "@berth/shared/resources";
import type { ModelProxyDeps } from "./proxy.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function listen(listener: http.RequestListener): Promise<string> {
  const server = http.createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

type CallInit = Omit<RequestInit, "headers"> & { headers?: Record<string, string>; duplex?: "half" };

/** A proxy before `upstream`, with what it told its owner. */
async function startProxy(upstream: http.RequestListener | string, options: Partial<ModelProxyDeps> = {}) {
  const told = { usage: [] as Usage[], statuses: [] as number[], spent: [] as string[], log: [] as string[] };
  const url = typeof upstream === "string" ? upstream : await listen(upstream);
  const write = (event: string, fields?: object) => void told.log.push(JSON.stringify({ event, ...fields }));
  const proxy = createModelProxy({
    findRun: (agentId, token) => (agentId === "agent1" && token === "run-token" ? { runId: "run1" } : null),
    budgetsOf: (of) => [{ of, leftUsd: Infinity }],
    onUsage: (_runId, delta) => told.usage.push(delta),
    onSpent: (runId) => told.spent.push(runId),
    onStatus: (_runId, status) => told.statuses.push(status),
    apiOf: () => messagesApi,
    targetOf: () => ({ url, apiKey: "real-key" }),
    log: { info: write, warn: write, error: write },
    ...options,
  });
  closers.push(() => proxy.close());
  const base = await listen((req, res) => proxy.handle("agent1", req, res));
  const call = (path = "/v1/messages?beta=true", init: CallInit = {}) =>
    fetch(base + path, { method: "POST", body: "{}", ...init, headers: { "x-api-key": "run-token", ...init.headers } });
  return { base, call, proxy, told };
}

const event = (data: { type: string } & Record<string, unknown>) =>
  `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;
const start = event({
  type: "message_start",
  message: { model: "claude-opus-5-5", usage: { input_tokens: 100, output_tokens: 1, cache_read_input_tokens: 10 } },
});
const delta = (output: number) => event({ type: "message_delta", delta: {}, usage: { output_tokens: output } });
const total = (usage: Usage[], key: keyof Usage) => usage.reduce((sum, one) => sum + one[key], 0);

function answerStream(...parts: string[]): http.RequestListener {
  return (req, res) => {
    req.resume();
    res.writeHead(200, { "content-type": "text/event-stream", "set-cookie": "a=b" });
    for (const part of parts) res.write(part);
    res.end();
  };
}

test("an answer comes through when what is told of it cannot be stored", async () => {
  const fail = () => {
    throw new Error("database or disk is full");
  };
  const { call, told } = await startProxy(answerStream(start, delta(5)), { onStatus: fail, onUsage: fail });
  expect(await (await call()).text()).toBe(start + delta(5));
  expect(told.log.filter((line) => line.includes("model.unstored")).length).toBeGreaterThan(1);
});

test("the key goes down in no answer: not in a body, however it is cut, not in a header, not encoded; nor does the account", async () => {
  const { call } = await startProxy((req, res) => {
    req.resume();
    const said = `no such key: ${String(req.headers["x-api-key"])}!`;
    res.writeHead(req.url!.includes("gzip") ? 200 : 400, {
      "x-refused": said,
      [`x-${String(req.headers["x-api-key"])}`]: "named",
      "anthropic-organization-id": "org_1",
      ...(req.url!.includes("gzip") && { "content-encoding": "gzip" }),
    });
    for (const letter of said) res.write(letter);
    res.end();
  });
  const refused = await call();
  expect([refused.status, await refused.text()]).toEqual([400, "no such key: ********!"]);
  expect(refused.headers.get("x-refused")).toBe("no such key: ********!");
  expect(refused.headers.get("anthropic-organization-id")).toBeNull();
  expect([...refused.headers].flat()).not.toContain("named");
  const encoded = await call("/v1/messages?gzip");
  expect(encoded.status).toBe(502);
  expect(await encoded.text()).not.toContain("real-key");
});

test("a streamed answer comes through unchanged and its tokens are counted once", async () => {
  const text = start + event({ type: "content_block_delta", delta: { text: 'the "usage" ✓' } }) + delta(5) + delta(20);
  const bytes = Buffer.from(text);
  const { call, told } = await startProxy((req, res) => {
    req.resume();
    res.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "set-cookie": "a=b" });
    for (const byte of bytes) res.write(Buffer.of(byte));
    res.end();
  });
  const answer = await call();
  expect(await answer.text()).toBe(text);
  expect(answer.headers.get("set-cookie")).toBeNull();
  expect(told.usage[0]).toMatchObject({ inputTokens: 100, outputTokens: 1, cacheReadTokens: 10 });
  expect(total(told.usage, "outputTokens")).toBe(20);
  expect(total(told.usage, "inputTokens")).toBe(100);
  expect(total(told.usage, "costUsd")).toBeCloseTo((100 * 4 + 10 * 0.2 + 20 * 20) / 1e6, 9);
  expect(told.statuses).toEqual([200]);
});

test("a plain answer is counted", async () => {
  const body = {
    model: "claude-sonnet-5-5",
    usage: { input_tokens: 7, output_tokens: 3, cache_creation_input_tokens: 2 },
  };
  const { call, told } = await startProxy((_req, res) => {
    res.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
  });
  expect(await (await call()).json()).toEqual(body);
  expect(told.usage).toEqual([
    {
      inputTokens: 7,
      outputTokens: 3,
      cacheReadTokens: 0,
      cacheWriteTokens: 2,
      costUsd: expect.closeTo(49e-6),
    },
  ]);
});

test("a plain answer too large to parse comes through whole, uncounted and logged", async () => {
  const body = JSON.stringify({ usage: { input_tokens: 1 }, text: "x".repeat(17 * 1024 * 1024) });
  const { call, told } = await startProxy((_req, res) => {
    res.writeHead(200, { "content-type": "application/json" }).end(body);
  });
  expect((await (await call()).text()).length).toBe(body.length);
  expect(told.usage).toEqual([]);
  expect(told.log.join()).toContain("model.usage_unread");
});

test("a stream that is cut is counted up to the cut", async () => {
  const { call, told } = await startProxy((req, res) => {
    req.resume();
    res.writeHead(200, { "content-type": "text/event-stream" });
    res.write(start + delta(4), () => res.destroy());
  });
  await expect(call().then((answer) => answer.text())).rejects.toThrow();
  expect(total(told.usage, "outputTokens")).toBe(4);
});

test.each([
  ["overloaded_error", 529],
  ["rate_limit_error", 429],
  ["authentication_error", 401],
])("an %s inside a stream is told as status %d", async (type, status) => {
  const { call, told } = await startProxy(
    answerStream(start, event({ type: "error", error: { type, message: "no" } })),
  );
  await (await call()).text();
  expect(told.statuses).toEqual([200, status]);
});

test("the upstream gets the real key and the container's own headers, but no credential of it", async () => {
  let seen: http.IncomingMessage | undefined;
  const { call } = await startProxy((req, res) => {
    seen = req;
    res.end("{}");
  });
  await call(undefined, {
    headers: {
      authorization: "Bearer run-token",
      cookie: "c=1",
      "anthropic-version": "2023-06-01",
      "anthropic-beta": "a,b",
      "content-type": "application/json",
      "x-forwarded-for": "10.0.0.1",
    },
  });
  expect(seen?.url).toBe("/v1/messages?beta=true");
  expect(seen?.headers).toMatchObject({
    "x-api-key": "real-key",
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "a,b",
    "content-type": "application/json",
    "accept-encoding": "identity",
  });
  expect(JSON.stringify(seen?.rawHeaders)).not.toMatch(/run-token|cookie|forwarded/i);
});

test("a token also comes as a bearer token", async () => {
  const { call, told } = await startProxy(answerStream(start));
  expect((await call(undefined, { headers: { "x-api-key": "", authorization: "Bearer run-token" } })).status).toBe(200);
  expect(told.statuses).toEqual([200]);
});

test.each([
  ["GET", "/v1/messages"],
  ["POST", "/v1/messages/"],
  ["POST", "/v1/messages/batches"],
  ["POST", "/v1/files"],
  ["POST", "/v1/messages/../files"],
  ["POST", "/v1//messages"],
  ["GET", "/"],
])("%s %s is not passed on", async (method, path) => {
  const { base, told } = await startProxy(() => expect.unreachable());
  const { hostname, port } = new URL(base);
  const status = await new Promise((resolve) => {
    const headers = { "x-api-key": "run-token" };
    http.request({ hostname, port, method, path, headers }, (res) => resolve(res.resume().statusCode)).end();
  });
  expect(status).toBe(404);
  expect(told.statuses).toEqual([]);
});

test("HEAD / is answered here", async () => {
  const { base } = await startProxy(() => expect.unreachable());
  expect((await fetch(base, { method: "HEAD" })).status).toBe(200);
});

test("an unknown token gets the API's own kind of 401, and the run's status is left alone", async () => {
  const { call, told } = await startProxy(() => expect.unreachable());
  const answer = await call(undefined, { headers: { "x-api-key": "stolen" } });
  expect(answer.status).toBe(401);
  expect(await answer.json()).toMatchObject({ type: "error", error: { type: "authentication_error" } });
  expect(told.statuses).toEqual([]);
});

test("a run at its budget gets 402, not retried, without a call", async () => {
  const { call, told } = await startProxy(() => expect.unreachable(), {
    budgetsOf: (of) => [{ of, leftUsd: 0 }],
  });
  const answer = await call();
  expect(answer.status).toBe(402);
  expect(answer.headers.get("x-should-retry")).toBe("false");
  expect((await answer.json()).error.type).toBe("billing_error");
  expect([told.statuses, told.spent]).toEqual([[], ["run1"]]);
  // What costs nothing is refused as well: it prepares for what does.
  expect((await call("/v1/messages/count_tokens")).status).toBe(402);
  expect(told.spent).toEqual(["run1", "run1"]);
});

test("a refused key is told in our words, whatever the upstream repeats", async () => {
  const { call, told } = await startProxy((req, res) => {
    res.writeHead(401, { "x-key": "no" }).end(`bad key ${String(req.headers["x-api-key"])}`);
  });
  const answer = await call();
  expect(answer.status).toBe(401);
  expect(answer.headers.get("x-should-retry")).toBe("false");
  expect(await answer.text()).not.toContain("real-key");
  expect(told.statuses).toEqual([401]);
});

test.each([403, 429, 529])("status %d comes through with its body and its retry-after", async (status) => {
  const { call, told } = await startProxy((_req, res) => res.writeHead(status, { "retry-after": "7" }).end("why"));
  const answer = await call();
  expect([answer.status, answer.headers.get("retry-after"), await answer.text()]).toEqual([status, "7", "why"]);
  expect(told.statuses).toEqual([status]);
});

test("count_tokens goes through and counts as no call", async () => {
  const { call, told } = await startProxy((req, res) => res.end(JSON.stringify({ input_tokens: 5, url: req.url })));
  expect(await (await call("/v1/messages/count_tokens")).json()).toEqual({
    input_tokens: 5,
    url: "/v1/messages/count_tokens",
  });
  expect(told).toMatchObject({ usage: [], statuses: [] });
});

test("an upstream that refuses connections is 502 with retry-after", async () => {
  const { call, told } = await startProxy("http://127.0.0.1:1");
  const answer = await call(undefined, { body: "x".repeat(1024 * 1024) });
  expect([answer.status, answer.headers.get("retry-after")]).toEqual([502, "2"]);
  expect((await answer.json()).error.type).toBe("api_error");
  expect(told.statuses).toEqual([]);
});

test.each([
  "HTTP/1.1 099 Odd\r\n\r\n",
  "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
  "rubbish\r\n\r\n",
])("an upstream that answers %j is 502", async (bytes) => {
  const { call, told } = await startProxy((req) => void req.resume().socket.end(bytes));
  expect((await call()).status).toBe(502);
  expect(told.statuses).toEqual([]);
});

test("an upstream that stays silent is 502", async () => {
  const { call } = await startProxy((req) => void req.resume(), { limits: { silenceMs: 50 } });
  expect((await call()).status).toBe(502);
});

test("a body beyond the limit is 413, announced or not", async () => {
  const { call } = await startProxy((req) => void req.resume(), { limits: { bodyBytes: 1000 } });
  expect((await call(undefined, { body: "x".repeat(1001) })).status).toBe(413);
  const stream = new Blob(["x".repeat(600), "x".repeat(600)]).stream();
  expect((await call(undefined, { body: stream, duplex: "half" })).status).toBe(413);
});

test("a client that goes away before it has said all ends the upstream call", async () => {
  const ended = vi.fn();
  const { base } = await startProxy((req) => void req.on("close", ended).resume());
  const sent = http.request(`${base}/v1/messages`, { method: "POST", headers: { "x-api-key": "run-token" } });
  sent.on("error", () => undefined).write("half");
  await vi.waitFor(() => expect(sent.socket?.bytesWritten).toBeGreaterThan(0), 100_000);
  sent.destroy();
  await vi.waitFor(() => expect(ended).toHaveBeenCalled(), 100_000);
});

test.each(["its client goes away", "its run is closed", "its client goes away before a word"])(
  "a call is counted to its end when %s",
  async (what) => {
    const asked = Promise.withResolvers<http.ServerResponse>();
    const { call, proxy, told } = await startProxy((req, res) => {
      req.resume().on("end", () => asked.resolve(res));
      if (!what.endsWith("word")) res.writeHead(200, { "content-type": "text/event-stream" }).write(start);
    });
    const gone = new AbortController();
    const answer = call(undefined, { signal: gone.signal }).then((begun) => begun.text());
    answer.catch(() => undefined);
    const res = await asked.promise;
    if (!what.endsWith("word")) await vi.waitFor(() => expect(told.usage.length).toBe(1), 100_000);
    if (what === "its run is closed") proxy.closeRun("run1");
    else gone.abort();
    await expect(answer).rejects.toThrow();
    if (!res.headersSent) res.writeHead(200, { "content-type": "text/event-stream" }).write(start);
    res.end(delta(77));
    await vi.waitFor(() => expect(total(told.usage, "outputTokens")).toBe(77), 100_000);
  },
);

test("closeRun ends the answers of that run alone", async () => {
  const { call, proxy } = await startProxy((req, res) => {
    req.resume();
    res.writeHead(200, { "content-type": "text/event-stream" }).write(start);
  });
  const answer = await call();
  proxy.closeRun("another");
  const text = answer.text();
  proxy.closeRun("run1");
  await expect(text).rejects.toThrow();
});

test("of many calls at once a budget is exceeded by one at most", async () => {
  let left = 1;
  let calls = 0;
  const { call, told } = await startProxy(
    (req, res) => {
      calls++;
      req.resume().on("end", () => answerStream(start, delta(100_000))(req, res));
    },
    {
      budgetsOf: (of) => [{ of, leftUsd: left }],
      onUsage: (_runId, usage) => void ((left -= usage.costUsd), told.usage.push(usage)),
    },
  );
  const statuses = await Promise.all(Array.from({ length: 40 }, async () => (await call()).status));
  expect(calls).toBe(1);
  expect(statuses.toSorted()).toEqual([200, ...Array.from({ length: 39 }, () => 402)]);
});

test("a call that names the fast mode counts for what that may cost", async () => {
  const waiting = Promise.withResolvers<void>();
  let calls = 0;
  const { base, call } = await startProxy(
    (req, res) => {
      calls++;
      req.resume();
      void waiting.promise.then(() => answerStream(start, delta(1))(req, res));
    },
    { budgetsOf: (of) => [{ of, leftUsd: 100 }] },
  );
  const fast = { method: "POST", headers: { "x-api-key": "run-token", "anthropic-beta": "a,fast-mode-2026-02-01" } };
  const first = fetch(`${base}/v1/messages`, { ...fast, body: "{}" });
  await vi.waitFor(() => expect(calls).toBe(1), 100_000);
  // Were one of them let through beside it, the last one could wait too.
  const others = Array.from({ length: 65 }, () => call());
  expect((await Promise.race(others)).status).toBe(429);
  waiting.resolve();
  const statuses = (await Promise.all([first, ...others])).map(({ status }) => status);
  expect(statuses.filter((status) => status === 200)).toHaveLength(65);
});

test("a client that reads slowly holds the upstream back", async () => {
  const big = Buffer.alloc(64 * 1024, "x");
  let written = 0;
  const { base } = await startProxy((req, res) => {
    req.resume();
    res.writeHead(200, { "content-type": "text/event-stream" });
    const more = () => {
      while (written < 1024 && res.write(big)) written++;
      if (written < 1024) res.once("drain", () => (written++, more()));
      else res.end();
    };
    more();
  });
  const res = await new Promise<http.IncomingMessage>((resolve) => {
    http.request(base + "/v1/messages", { method: "POST", headers: { "x-api-key": "run-token" } }, resolve).end("{}");
  });
  let last = -1;
  await vi.waitFor(
    () => {
      const still = written === last;
      last = written;
      expect(still).toBe(true);
    },
    { interval: 100, timeout: 100_000 },
  );
  expect(written).toBeLessThan(512);
  let size = 0;
  for await (const chunk of res) size += (chunk as Buffer).length;
  expect(size).toBe(1024 * big.length);
});

test("an upstream below a path gets that path", async () => {
  let url = "";
  const upstream = await listen((req, res) => {
    url = req.url ?? "";
    res.end("{}");
  });
  const { call } = await startProxy(upstream + "/gateway/");
  await call();
  expect(url).toBe("/gateway/v1/messages?beta=true");
});
