/**
 * One host agent: builds its parts, takes up what it finds (containers, runs, volumes), serves, keeps the loops going,
 * and lets go without ending anything. The only file that knows all parts.
 */
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { getRequestListener } from "@hono/node-server";
import { WebSocketServer } from "ws";
import { toProblem } from "@berth/shared/errors";
import { type Log, messageOf } from "@berth/shared/log";
import { type Settings, SettingsError } from "@berth/shared/settings";
import { deleteAgent } from "./agents.ts";
import { checkCgroups } from "./cgroup.ts";
import { createDemoModel } from "./demo-model.ts";
import { connectEngine, type Engine } from "./docker.ts";
import { createEgressProxy } from "./egress.ts";
import { endForgotten } from "./entry.ts";
import { createFiles } from "./files.ts";
import { createGatewayVerifier } from "./gateway-keys.ts";
import { createBus, createClock, createLatch, type HostContext } from "./host.ts";
import { openIdentity } from "./identity.ts";
import { createModelProxy } from "./model.ts";
import { createOomWatch } from "./oom.ts";
import { startReports } from "./report.ts";
import { Runs } from "./run.ts";
import { createServerApp } from "./server.ts";
import { serveSocket } from "./socket.ts";
import { openSockets } from "./sockets.ts";
import { Store } from "./store.ts";
import { createStreams } from "./streams.ts";
import { createTerminals } from "./terminal.ts";
import { Volumes } from "./volume.ts";
import { Workspaces } from "./workspace.ts";

/** What a test may replace: how names are resolved and dialled by the egress proxy, and the engine. */
export interface HostOptions {
  settings: Settings;
  /** Absolute path. */
  dataDir: string;
  version: string;
  log: Log;
  egress?: Pick<Parameters<typeof createEgressProxy>[0], "lookup" | "connect">;
  wrapEngine?: (engine: Engine) => Engine;
}
const reconcileMs = 15_000;
const unvouchedMs = 10_000;

/** Starts it; resolves once it serves. `close` leaves runs and containers going. */
export async function startHostAgent(options: HostOptions): Promise<{ close(): Promise<void> }> {
  const { settings, dataDir, log } = options;
  checkCgroups();
  if (process.getuid?.() !== 0) throw new SettingsError("The host agent must run as root: it mounts the users' volumes and ends runs by their uid.");
  const closing = new AbortController();
  const engine = await connectPatiently(options, closing.signal);
  if (!(await engine.imageExists(settings.BERTH_IMAGE)))
    throw new SettingsError(`The image ${settings.BERTH_IMAGE} does not exist on this engine: npm start builds it.`);
  const identity = await openIdentity(settings, dataDir, log, closing.signal);
  const context: HostContext = { hostId: identity.hostId, settings, dataDir, clock: createClock(), log, bus: createBus() };
  const store = new Store(join(dataDir, "host.db"), context.clock.now);
  const volumes = new Volumes(dataDir, settings.BERTH_DISK_BYTES);
  if (store.isNew) store.reserveUids((await volumes.highestUid()) + 1);

  const upstream = await openModel(settings);
  const model = createModelProxy({
    upstream: upstream.target,
    log,
    findRun: (agentId, token) => findRun(store, agentId, token),
    mayCall: (runId) => (runs.isOverBudget(runId) ? "budget" : "ok"),
    onUsage: (runId, { model: _model, ...usage }) => runs.addUsage(runId, usage),
    onStatus: (runId, status) => void store.updateRun(runId, { modelStatus: status }),
  });
  const egress = openEgress(options);
  const sockets = openSockets(dataDir, {
    modelFor: (agentId) => (req, res) => model.handle(agentId, req, res),
    egressFor: (userId) => egress.serverFor(userId),
  });
  const workspaces = new Workspaces({ context, engine, store, volumes, sockets });
  const countKills = createOomWatch(context, store);
  const runs = new Runs({ context, engine, store, volumes, workspaces, countKills, closeModel: model.closeRun });
  const streams = createStreams(context.clock);
  const agentDeps = { context, store, runs, workspaces, volumes, sockets };
  const entryDeps = { context, engine, store, runs, workspaces, streams };
  const files = createFiles(entryDeps);
  const terminals = createTerminals(entryDeps);
  const verify = createGatewayVerifier(context, identity, store);

  await reconcilePatiently(() => workspaces.reconcile(), log, closing.signal);
  await endForgotten(workspaces);
  runs.resume();
  const delivered = (rev: number) => reports.delivered(rev);
  const app = createServerApp({ ...agentDeps, verify, streams, files, delivered });
  const server = createServer(getRequestListener(app.fetch, { overrideGlobalObjects: false }));
  const socketDeps = { context, store, volumes, bus: context.bus, logBytes: settings.BERTH_LOG_BYTES, workspaces, streams, delivered };
  acceptSockets(server, (request, socket, head, terminal) => {
    const maxPayload = terminal ? 2 ** 20 : 64 * 1024;
    const ws = new WebSocketServer({ noServer: true, maxPayload, handleProtocols: () => "berth.v1" });
    verify(request.headers.authorization).then(
      (claims) =>
        ws.handleUpgrade(request, socket, head, (client) => {
          const served = terminal ? terminals.serve(claims, terminal.agentId, terminal.query, client) : serveSocket(socketDeps, claims, client);
          served.catch((error: unknown) => {
            log.error("socket.failed", { userId: claims.sub, error: messageOf(error) });
            client.terminate();
          });
        }),
      (error: unknown) => refuseUpgrade(socket, error),
    );
  });
  await listen(server, settings);

  const reports = startReports(
    {
      context, identity, store, workspaces, version: options.version, demoModel: upstream.isDemo,
      onRemoved: () => log.error("host.removed", { hostId: identity.hostId }),
      onAnswer: (answer) => {
        streams.closeRevoked(new Set(answer.revokedTokens), new Set(answer.disabledUsers));
        for (const userId of answer.stoppedUsers) {
          if (store.activeRuns(userId).length > 0)
            workspaces.stop(userId, () => runs.cancelAll(userId)).catch((error: unknown) => log.warn("user.stop_failed", { userId, error: messageOf(error) }));
        }
        for (const agentId of answer.deletedAgents) {
          const agent = store.getAgent(agentId);
          if (agent && agent.deleted !== "gone")
            deleteAgent(agentDeps, agent.userId, agentId).catch((error: unknown) => log.warn("agent.delete_failed", { agentId, error: messageOf(error) }));
        }
      },
    },
    closing.signal,
  );
  const lookAgain = async () => {
    await workspaces.reconcile();
    runs.wakeAll();
  };
  const loops = [
    every(settings.BERTH_POLL_SECONDS * 1000, async () => workspaces.sample()),
    every(Math.min(1000, (settings.BERTH_IDLE_SECONDS * 1000) / 4), async () => {
      await workspaces.removeIdle();
      streams.closeExpired();
      if (reports.silentMs() > unvouchedMs) streams.closeAll("unvouched");
    }),
    every(reconcileMs, lookAgain),
    every(Math.min(60_000, settings.BERTH_IDLE_SECONDS * 1000), () => workspaces.unmountUnused()),
    every(3_600_000, () => runs.removeExpired()),
    watchEngine(engine, identity.hostId, lookAgain),
  ];
  log.info("host.ready", { hostId: identity.hostId, url: settings.BERTH_HOST_URL, demoModel: upstream.isDemo });

  /** Calls a job again and again; a failure is logged once until it heals. */
  async function every(ms: number, job: () => Promise<void>): Promise<void> {
    for (let isWell = true; !closing.signal.aborted; await createLatch().next(ms, closing.signal)) {
      try {
        await job();
        isWell = true;
      } catch (error) {
        if (closing.signal.aborted) return;
        if (isWell) log.warn("loop.failed", { job: job.name, error: messageOf(error) });
        isWell = false;
      }
    }
  }
  async function watchEngine(watched: Engine, hostId: string, look: () => Promise<void>): Promise<void> {
    await every(1000, async () => {
      await watched.watchEvents(`berth.host=${hostId}`, closing.signal, ({ action }) => {
        if (action === "oom") return countKills();
        look().catch((error: unknown) => log.warn("look.failed", { error: messageOf(error) }));
      });
    });
  }

  return {
    async close() {
      closing.abort();
      streams.closeAll("closing");
      await Promise.race([Promise.all([terminals.close(), files.close()]), createLatch().next(4000)]);
      runs.close();
      server.close();
      await createLatch().next(200);
      server.closeAllConnections();
      await Promise.allSettled([...loops, reports.done]);
      await sockets.close();
      model.close();
      upstream.close();
      store.close();
    },
  };
}

function openEgress({ settings, log, egress }: HostOptions) {
  try {
    return createEgressProxy({ mode: settings.BERTH_EGRESS, allow: settings.BERTH_EGRESS_ALLOW, log, ...egress });
  } catch (error) {
    throw new SettingsError(`BERTH_EGRESS_ALLOW does not fit: ${messageOf(error)}`, { cause: error });
  }
}

/** The token stands for one run of one agent, as long as that run is in progress. */
function findRun(store: Store, agentId: string, token: string): { runId: string } | null {
  const agent = store.getAgent(agentId);
  const run = agent && store.activeRuns(agent.userId).find((other) => other.agentId === agentId);
  return run && isSameSecret(run.token, token) ? { runId: run.id } : null;
}

function isSameSecret(known: string, given: string): boolean {
  let difference = known.length ^ given.length;
  for (let at = 0; at < known.length; at++) difference |= known.charCodeAt(at) ^ (given.charCodeAt(at) || 0);
  return difference === 0;
}

/** The model API to use: the one that is set, else the built-in demo model on a loopback port of its own. */
async function openModel(settings: Settings) {
  const { ANTHROPIC_API_KEY: apiKey, BERTH_MODEL_URL: url } = settings;
  if (apiKey || url) return { target: { url: url ?? "https://api.anthropic.com", apiKey: apiKey ?? null }, isDemo: false, close: () => {} };
  const demo = createServer(createDemoModel());
  await new Promise<void>((resolve) => demo.listen(0, "127.0.0.1", resolve));
  const address = demo.address() as { port: number };
  return {
    target: { url: `http://127.0.0.1:${address.port}`, apiKey: null },
    isDemo: true,
    close: () => {
      demo.close();
      demo.closeAllConnections();
    },
  };
}

async function connectPatiently({ settings, wrapEngine, log }: HostOptions, signal: AbortSignal): Promise<Engine> {
  for (let attempt = 0; ; attempt++) {
    try {
      const engine = await connectEngine(settings.DOCKER_HOST);
      return wrapEngine ? wrapEngine(engine) : engine;
    } catch (error) {
      if (attempt === 0) log.warn("engine.unreachable", { error: messageOf(error) });
      await createLatch().next(1000, signal);
      signal.throwIfAborted();
    }
  }
}

async function reconcilePatiently(reconcile: () => Promise<void>, log: Log, signal: AbortSignal): Promise<void> {
  for (;;) {
    try {
      return await reconcile();
    } catch (error) {
      log.warn("reconcile.retry", { error: messageOf(error) });
      await createLatch().next(1000, signal);
      signal.throwIfAborted();
    }
  }
}

async function listen(server: Server, settings: Settings): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      reject(
        error.code === "EADDRINUSE"
          ? new SettingsError(`Port ${settings.BERTH_HOST_PORT} is in use: set BERTH_HOST_PORT to a free one.`)
          : error,
      ),
    );
    server.listen(settings.BERTH_HOST_PORT, settings.BERTH_HOST_LISTEN, resolve);
  });
}

type Upgrade = Parameters<WebSocketServer["handleUpgrade"]>;
type Terminal = { agentId: string; query: URLSearchParams };
function acceptSockets(server: Server, onConnect: (...upgrade: [Upgrade[0], Upgrade[1], Upgrade[2], Terminal | null]) => void): void {
  server.on("upgrade", (request, socket, head) => {
    socket.on("error", () => socket.destroy());
    const [path = "", query] = (request.url ?? "").split("?");
    const agentId = /^\/v1\/agents\/([\w-]{1,40})\/terminal$/.exec(path)?.[1];
    if (agentId !== undefined) onConnect(request, socket, head, { agentId, query: new URLSearchParams(query) });
    else if (path === "/v1/connect") onConnect(request, socket, head, null);
    else socket.end("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
  });
}

function refuseUpgrade(socket: Upgrade[1], error: unknown): void {
  const { status, body } = toProblem(error, crypto.randomUUID());
  const text = JSON.stringify(body);
  socket.end(
    `HTTP/1.1 ${status} Refused\r\ncontent-type: application/problem+json\r\ncontent-length: ${Buffer.byteLength(text)}\r\nconnection: close\r\n\r\n${text}`,
  );
}
