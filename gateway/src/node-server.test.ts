import { once } from "node:events";
import { get } from "node:http";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { createTestApp, type TestApp } from "../test/app.ts";
import { joinTestHost, type HostRequest, type TestHost } from "../test/host.ts";

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

  test("gives up asking a host for a stream when the reader leaves before the answer", async () => {
    const agent = (await gateway.call("POST", "/v1/agents", { token: user.token, body: { name: "a" } })).json();
    const run = (
      await gateway.call("POST", `/v1/agents/${agent.id}/runs`, { token: user.token, body: { prompt: "x" } })
    ).json();
    const asked = new Promise<HostRequest>((resolve) => {
      host.handle = (request) => resolve(request);
    });
    const request = get(`${server.url}/v1/runs/${run.id}/events`, { headers: headers() });
    request.on("error", () => {});
    const { incoming } = await asked;
    const closed = once(incoming.socket, "close");
    request.destroy();
    await closed;
  });
});
