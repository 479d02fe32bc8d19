/** For tests: a real gateway, and the database and the reports of a real host agent, in this process. No engine, no container. */
import { createServer, type IncomingMessage } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import Database from "better-sqlite3";
import type { ReportAnswer, ReportBody, ReportedWorkspace } from "@berth/shared/host-api";
import { createLog } from "@berth/shared/log";
import { parseSettings } from "@berth/shared/settings";
import { createTestApp, type TestApp } from "../../gateway/test/app.ts";
import { joinTestHost } from "../../gateway/test/host.ts";
import { createAlerts } from "../../host-agent/src/context/alerts.ts";
import { createBus } from "../../host-agent/src/context/bus.ts";
import { createClock } from "../../host-agent/src/context/clock.ts";
import { createTurns } from "../../host-agent/src/context/turns.ts";
import { Reports } from "../../host-agent/src/membership/reports.ts";
import { Store } from "../../host-agent/src/store/store.ts";
import { inMemory } from "../../host-agent/test/memory.ts";

export interface Exchange {
  /** Of the report, as it went over the wire. */
  bytes: number;
  report: ReportBody;
  answer: ReportAnswer;
}

export type Pair = Awaited<ReturnType<typeof startPair>>;

export async function startPair() {
  const gateway = await createTestApp();
  const joined = await joinTestHost(gateway);
  const exchanges: Exchange[] = [];
  const watchers = new Set<() => void>();
  const wire = await openWire(gateway, (exchange) => {
    exchanges.push(exchange);
    watchers.forEach((look) => look());
  });
  const bus = createBus();
  let passedMs = 0;
  const context = {
    turns: createTurns(),
    alerts: createAlerts(() => Date.now() + passedMs),
    hostId: joined.id,
    settings: parseSettings({}),
    settingsOf: () => parseSettings({}),
    dataDir: tmpdir(),
    clock: createClock(),
    log: createLog(() => {}),
    bus,
  };
  const identity = { hostId: joined.id, issuer: "", gatewayUrl: wire.url, sign: () => joined.sign() };
  const workspaces: ReportedWorkspace[] = [];
  let host = startHost(new Database(":memory:"));

  function startHost(db: Database.Database) {
    const store = new Store(inMemory(db), Date.now);
    const ending = new AbortController();
    const reports = new Reports({
      context,
      identity,
      store,
      workspaces: { views: () => workspaces, count: () => 0, problem: null },
      isDemo: true,
      version: "test",
      hasUser: store.hasUser,
      onAnswer: () => {},
      onRemoved: () => {},
    });
    const ended = reports.run(ending.signal);
    const close = async () => (ending.abort(), await ended, store.close());
    return { store, db, close };
  }

  return {
    gateway,
    exchanges,
    context,
    /** For what the host notes of users, so much time passes. */
    pass: (ms: number) => void (passedMs += ms),
    store: () => host.store,
    /** What stands on the host, as its next report has it. */
    workspaces,
    /** The host's database as it is now, for a later `restart`. */
    image: () => host.db.serialize(),
    /** Ends the host agent and starts the next one on that image. */
    async restart(image: Buffer) {
      await host.close();
      host = startHost(new Database(image));
    },
    /** Has the host report, and answers once the gateway has acknowledged all that it has now. */
    async reported(): Promise<void> {
      const { store } = host;
      const rev = store.revision();
      const isHeld = () => {
        const ack = exchanges.at(-1)?.answer.ack;
        return ack?.epoch === store.epoch && ack.rev >= rev;
      };
      const held = new Promise<void>((resolve) => {
        const look = () => isHeld() && (watchers.delete(look), resolve());
        watchers.add(look);
      });
      bus.emit("host", "ended");
      await held;
    },
    async close() {
      await host.close();
      await wire.close();
      await joined.close();
      await gateway.close();
    },
  };
}

/** The way from host to gateway, on which each report and its answer are seen. */
async function openWire(gateway: TestApp, onExchange: (exchange: Exchange) => void) {
  const server = createServer(async (request, response) => {
    const body = await readBody(request);
    const headers = new Headers(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
    const answer = await gateway.app.request(request.url!, { method: "POST", headers, body });
    const text = await answer.text();
    if (answer.ok)
      onExchange({
        bytes: Buffer.byteLength(body),
        report: JSON.parse(body) as ReportBody,
        answer: JSON.parse(text) as ReportAnswer,
      });
    response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(text);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

async function readBody(request: IncomingMessage): Promise<string> {
  let body = "";
  for await (const chunk of request.setEncoding("utf8")) body += chunk;
  return body;
}
