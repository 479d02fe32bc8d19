import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { createLog } from "@berth/shared/log";
import { clientFrame, describeWorkspace, type ServerFrame } from "@berth/shared/resources";
import { parseSettings } from "@berth/shared/settings";
import { unseenAgent } from "@berth/shared/host-api";
import { createAlerts } from "../context/alerts.ts";
import { createBus } from "../context/bus.ts";
import { createTurns } from "../context/turns.ts";
import { createClock } from "../context/clock.ts";
import { Store } from "../store/store.ts";
import { attend, serveSocket, type SocketDeps } from "./live-socket.ts";
import { createStreams } from "./open-streams.ts";
import { inMemory } from "../../test/memory.ts";
import { threeRuns } from "../../test/room.ts";

const settings = parseSettings({});
const userId = "usr_1";
const trigger = { kind: "api", triggerId: null } as const;
const prompt = "p".repeat(2 ** 16);
let dir: string;
let store: Store;
let server: Server;
let client: WebSocket;
let served: WebSocket;
const frames: ServerFrame[] = [];

/** A socket of a user with one run, whose volume is not there. */
beforeEach(async () => {
  store = new Store(inMemory(), Date.now);
  const spec = { ...unseenAgent("agt_1"), version: 1 };
  store.learnAgent(userId, spec, null);
  store.admit({ id: "run_1", agentId: spec.id, userId, trigger, prompt, payload: null }, threeRuns);
  const clock = createClock();
  const bus = createBus();
  const turns = createTurns();
  const alerts = createAlerts(clock.now);
  const context = {
    alerts,
    turns,
    hostId: "hst_1",
    settings,
    settingsOf: () => settings,
    dataDir: "/nonexistent",
    clock,
    log: createLog(() => {}),
    bus,
  };
  const deps: SocketDeps = {
    context,
    store,
    bus,
    turns,
    logBytes: 1,
    delivered: async () => true,
    volumes: { exists: () => false, ensure: () => Promise.reject(new Error("there is none")) },
    streams: createStreams(clock),
    workspaces: {
      start: () => new Promise(() => {}),
      view: () => describeWorkspace(settings, "hst_1"),
      connect: () => () => {},
    },
  };
  // The kernel holds little of a Unix socket: who does not read is noticed soon.
  dir = mkdtempSync(join(tmpdir(), "berth-live-"));
  server = createServer().listen(join(dir, "socket"));
  new WebSocketServer({ server }).on("connection", (ws) => {
    served = ws;
    void serveSocket(deps, { sub: userId, tid: null, texp: Infinity }, ws);
  });
  await once(server, "listening");
  client = new WebSocket(`ws+unix:${join(dir, "socket")}`);
  frames.length = 0;
  client.on("message", (data: Buffer) => frames.push(JSON.parse(data.toString()) as ServerFrame));
  await once(client, "open");
});
afterEach(async () => {
  client.terminate();
  if (served.readyState !== WebSocket.CLOSED) await once(served, "close");
  server.close();
  store.close();
  rmSync(dir, { recursive: true });
});

test("whatever a client sends is answered, each frame once and in order, and the socket stays", async () => {
  const json = fc.oneof(
    fc.jsonValue().map((value) => JSON.stringify(value)),
    fc.string({ unit: "binary" }),
    fc
      .record({
        type: fc.constantFrom("subscribe", "output", null),
        runId: fc.constantFrom("run_absent", "__proto__", "", 1, "x".repeat(41)),
        after: fc.constantFrom(0, 2 ** 31, 2 ** 53, -1, 0.5, "0", null),
      })
      .map((value) => JSON.stringify(value)),
  );
  const frame = fc.oneof(json, fc.uint8Array());
  await fc.assert(
    fc.asyncProperty(fc.array(frame, { minLength: 1, maxLength: 20 }), async (sent) => {
      frames.length = 0;
      for (const one of sent) client.send(one);
      await expect.poll(() => frames.length).toBe(sent.length);
      const codes = frames.map((one) => (one.type === "error" ? one.code : one.type));
      expect(codes).toEqual(sent.map((one) => (isSubscription(one) ? "not_found" : "invalid_request")));
      expect(served.readyState).toBe(WebSocket.OPEN);
    }),
    { numRuns: 60 },
  );
});

test.each([
  ["frames that do not fit", "{}", 20_000],
  ["frames that ask for a run with a long prompt", JSON.stringify({ type: "subscribe", runId: "run_1" }), 200],
])("a client that sends %s and takes no answer is not read before it does", async (_what, text, count) => {
  client.pause();
  for (let sent = 0; sent < count; sent++) client.send(text);
  await expect.poll(() => served.isPaused && served.bufferedAmount > 0).toBe(true);
  client.resume();
  await expect.poll(() => frames.length).toBe(count);
  await expect.poll(() => served.isPaused).toBe(false);
});

/** Another client in place of the first, whose heartbeat goes by a clock that the test moves. */
async function connectAnew(options: { autoPong?: boolean } = {}): Promise<(ms: number) => void> {
  client.terminate();
  await once(served, "close");
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] });
  onTestFinished(() => void vi.useRealTimers());
  client = new WebSocket(`ws+unix:${join(dir, "socket")}`, options);
  await once(client, "open");
  return (ms) => void vi.advanceTimersByTime(ms);
}

test("a client is asked each 10 s whether it is there, and one that answers stays", async () => {
  const advance = await connectAnew();
  for (let beat = 0; beat < 6; beat++) {
    const heard = Promise.all([once(client, "ping"), once(served, "pong")]);
    advance(10_000);
    await heard;
  }
  expect(served.readyState).toBe(WebSocket.OPEN);
});

test("a client of which nothing was heard for 30 s is closed, whatever it takes; a frame is a word too", async () => {
  const advance = await connectAnew({ autoPong: false });
  const askFor = async (beats: number) => {
    for (let beat = 0; beat < beats; beat++) {
      const asked = once(client, "ping");
      advance(10_000);
      await asked;
    }
  };
  await askFor(2);
  const answered = once(client, "message");
  client.send("{}");
  await answered;
  // Whom we do not read is not told to be silent.
  while (served.isPaused || served.bufferedAmount > 0) await new Promise(setImmediate);
  await askFor(3);
  expect(served.readyState).toBe(WebSocket.OPEN);
  const closed = once(client, "close");
  advance(10_000);
  expect((await closed)[0]).toBe(1006);
});

function isSubscription(sent: string | Uint8Array): boolean {
  if (typeof sent !== "string") return false;
  try {
    return clientFrame.safeParse(JSON.parse(sent)).success;
  } catch {
    return false;
  }
}

test("a socket for which there is no room any more counts for nobody who is there", () => {
  const streams = createStreams(createClock());
  const claims = { sub: userId, tid: null, texp: 2 ** 33, limits: {} };
  for (let count = 0; count < 100; count++) streams.add(claims, () => {});
  let there = 0;
  const connect = () => {
    there += 1;
    return () => void (there -= 1);
  };
  expect(() => attend({ workspaces: { connect }, streams }, claims, served)).toThrow("100 sockets");
  expect(there).toBe(0);
});
