import { once } from "node:events";
import { get, type IncomingMessage, type ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createTestApp, type TestApp } from "../../test/app.ts";
import { joinTestHost, type HostRequest, type TestHost } from "../../test/host.ts";

let gateway: TestApp;
let host: TestHost;
let url: string;
let user: Awaited<ReturnType<TestApp["addUser"]>>;
let runId: string;
beforeEach(async () => {
  gateway = await createTestApp();
  host = await joinTestHost(gateway);
  ({ url } = await gateway.listen());
  user = await gateway.addUser("reader");
  const agent = (await gateway.call("POST", "/v1/agents", { token: user.token, body: { name: "a" } })).json();
  runId = (
    await gateway.call("POST", `/v1/agents/${agent.id}/runs`, { token: user.token, body: { prompt: "x" } })
  ).json().id;
});
afterEach(async () => {
  await gateway.close();
  await host.close();
});

async function readEvents(query = "", headers: Record<string, string> = {}): Promise<IncomingMessage> {
  const request = get(`${url}/v1/runs/${runId}/events${query}`, {
    headers: { authorization: `Bearer ${user.token}`, ...headers },
  });
  return ((await once(request, "response")) as [IncomingMessage])[0];
}

/** The host's end of the next stream. */
function nextStream(): Promise<[HostRequest, ServerResponse]> {
  return new Promise((resolve) => {
    host.handle = (request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
      resolve([request, response]);
    };
  });
}

describe("a run's events", () => {
  test("come through as they are written, without buffering or caching", async () => {
    const stream = nextStream();
    const reader = await readEvents();
    expect(reader.headers).toMatchObject({
      "content-type": "text/event-stream",
      "cache-control": "no-store",
      "x-accel-buffering": "no",
    });
    const [request, response] = await stream;
    expect(request.path).toBe(`/v1/runs/${runId}/events?after=0`);
    reader.setEncoding("utf8");
    for (const event of ['id: 5\ndata: {"a":1}\n\n', ": quiet\n\n"]) {
      response.write(event);
      expect((await once(reader, "data"))[0]).toBe(event);
    }
    response.end();
    await once(reader, "end");
  });

  test.each([
    ["?after=12", {}, 12],
    ["?after=12", { "last-event-id": "40" }, 40],
    ["", { "last-event-id": "40" }, 40],
  ])("with %s and %j resume at %i", async (query, headers, after) => {
    const stream = nextStream();
    const reader = await readEvents(query, headers);
    const [request, response] = await stream;
    expect(request.path).toBe(`/v1/runs/${runId}/events?after=${after}`);
    response.end();
    reader.resume();
  });

  test.each([
    ["?after=-1", {}],
    ["?after=x", {}],
    ["", { "last-event-id": "x" }],
  ])("with %s and %j are refused", async (query, headers) => {
    expect((await readEvents(query, headers)).statusCode).toBe(400);
  });

  test("end at the host when the reader goes away", async () => {
    const stream = nextStream();
    const reader = await readEvents();
    const [, response] = await stream;
    response.write(": hello\n\n");
    await once(reader, "data");
    const closed = once(response, "close");
    reader.destroy();
    // As hosts do: Workers notice that a reader has gone when something is written to it.
    const beat = setInterval(() => response.write(": still here\n\n"), 50);
    await closed;
    clearInterval(beat);
  });

  test("asked for with HEAD leave no stream at the host", async () => {
    const stream = nextStream();
    const head = await fetch(`${url}/v1/runs/${runId}/events`, {
      method: "HEAD",
      headers: { authorization: `Bearer ${user.token}` },
    });
    expect(head.status).toBe(200);
    const [, response] = await stream;
    if (!response.closed) await once(response, "close");
  });

  test("that break off at the host break off for the reader, who can tell it from an end", async () => {
    const stream = nextStream();
    const reader = await readEvents();
    const [, response] = await stream;
    response.write(": hello\n\n");
    await once(reader, "data");
    response.destroy();
    await expect(once(reader, "end")).rejects.toThrow("aborted");
  });

  test("stop at the host while a reader stalls, and all of it arrives after", async () => {
    const stream = nextStream();
    const reader = await readEvents();
    const [, response] = await stream;
    reader.pause();
    const event = `data: ${"x".repeat(65_536)}\n\n`;
    let written = 0;
    const writeUntilFull = () => {
      while (response.write(event)) written++;
      written++;
    };
    let isHeldBack = false;
    for (writeUntilFull(); !isHeldBack;) {
      const quiet = new AbortController();
      const drained = once(response, "drain", quiet).then(writeUntilFull, () => {});
      isHeldBack = (await Promise.race([drained, delay(500, "quiet")])) === "quiet";
      quiet.abort();
      expect(written * event.length).toBeLessThan(80_000_000);
    }
    let length = 0;
    reader.on("data", (chunk: Buffer) => (length += chunk.length));
    reader.resume();
    await once(response, "drain");
    response.end();
    await once(reader, "end");
    expect(length).toBe(written * event.length);
  });
});

test("a deletion under a condition is refused, for nobody looks at it: the file stays", async () => {
  const { agentId } = (await gateway.call("GET", `/v1/runs/${runId}`, { token: user.token })).json();
  const before = host.requests.length;
  const headers = { "if-match": '"read-before"' };
  const answer = await gateway.call("DELETE", `/v1/agents/${agentId}/files/notes.md`, { token: user.token, headers });
  expect(answer.json()).toMatchObject({ code: "invalid_request", detail: expect.stringContaining("no If-Match") });
  expect(host.requests).toHaveLength(before);
});
