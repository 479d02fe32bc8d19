/**
 * One host agent: opens its parts, takes up what it finds (containers, runs, volumes), serves, keeps the loops going, and
 * lets go without ending anything.
 */
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { getRequestListener } from "@hono/node-server";
import type { ReportAnswer } from "@berth/shared/host-api";
import { messageOf } from "@berth/shared/log";
import { descriptorLimit, tellFewDescriptors } from "@berth/shared/node/descriptors";
import { NotNowError } from "@berth/shared/node/exit-code";
import { holdOpenServer } from "@berth/shared/node/share-out";
import { type Settings, SettingsError } from "@berth/shared/settings";
import { sleep } from "@berth/shared/wait";
import { deleteAgent } from "./inside/agents.ts";
import { checkCgroups } from "./machine/cgroup.ts";
import { deleteUser, hasAnythingOf } from "./inside/users.ts";
import { leave } from "./membership/leave.ts";
import { createOrders, type Order } from "./membership/orders.ts";
import { runLoops } from "./loops.ts";
import { type HostOptions, openParts, type Parts } from "./parts.ts";
import { Reports } from "./membership/reports.ts";
import { claimedSubject } from "./membership/verify.ts";
import { createServerApp } from "./http/app.ts";
import { serveSocket } from "./output/live-socket.ts";
import { acceptSockets } from "./http/upgrades.ts";

export type HostAgent = Awaited<ReturnType<typeof startHostAgent>>;

/** Starts it; resolves once it serves. `close` leaves runs and containers going. */
export async function startHostAgent(options: HostOptions) {
  const { settings, log } = options;
  checkCgroups();
  if (process.getuid?.() !== 0)
    throw new SettingsError(
      "The host agent must run as root: it mounts the users' volumes and ends runs by their uid.",
    );
  const few = tellFewDescriptors(descriptorLimit(), settings.BERTH_MAX_WORKSPACES);
  if (few !== null) log.warn("descriptors.few", { advice: few });
  const closing = new AbortController();
  const parts = await openParts(options, closing.signal);
  const { context, streams, runs, terminals, files } = parts;
  await reconcilePatiently(parts, closing.signal);
  runs.resume();
  const removed = Promise.withResolvers<string>();
  let leaving: Promise<void> | null = null;
  const stop = () => {
    streams.closeAll();
    server.close();
  };
  const hasUser = (userId: string) => hasAnythingOf(parts, userId);
  const reports = new Reports({
    ...parts,
    hasUser,
    version: options.version,
    onRemoved: () => void (leaving ??= leave({ ...parts, stop }, closing.signal).then(removed.resolve, removed.reject)),
    onAnswer: createObedience(parts, hasUser),
  });
  const server = await serve(parts, reports);
  const loops = [reports.run(closing.signal), runLoops(parts, reports, closing.signal)];
  log.info("host.ready", { hostId: context.hostId, url: settings.BERTH_HOST_URL, demoModel: parts.isDemo });

  return {
    /** Resolves with one sentence once the gateway has removed this host and all that it ran is ended. */
    removed: removed.promise,
    async close(): Promise<void> {
      closing.abort();
      streams.closeAll();
      await Promise.race([Promise.all([terminals.close(), files.close()]), sleep(4000)]);
      runs.close();
      server.close();
      await sleep(200);
      server.closeAllConnections();
      await Promise.allSettled(loops);
      await parts.close();
    },
  };
}

/** Does what the gateway's answer to a report asks for. */
function createObedience(parts: Parts, hasUser: (userId: string) => boolean): (answer: ReportAnswer) => void {
  const { streams, store, workspaces, runs } = parts;
  const carryOut = ({ kind, id }: Order) => {
    if (kind === "stop_user") return workspaces.stop(id, () => runs.endAll("cancelled", id));
    return kind === "delete_user" ? deleteUser(parts, id) : deleteAgent(parts, store.getAgent(id)!.userId, id);
  };
  const obey = createOrders({ ...parts, hasUser, carryOut });
  return (answer) => {
    streams.closeRevoked(new Set(answer.revokedTokens), new Set([...answer.disabledUsers, ...answer.deletedUsers]));
    obey(answer);
    // An older copy of the database has brought them back.
    for (const id of answer.cancelledRuns) runs.intend(id, "cancelled");
  };
}

async function serve(parts: Parts, reports: Reports): Promise<Server> {
  const { context, verify, terminals, streams } = parts;
  const reading = { ...parts, delivered: (rev: number) => reports.delivered(rev) };
  const server = openServer(
    context.settings,
    getRequestListener(createServerApp(reading).fetch, { overrideGlobalObjects: false }),
  );
  holdOpenServer(server, ({ headers }) => claimedSubject(headers.authorization));
  acceptSockets(
    server,
    async (authorization, call) => {
      streams.refuseUnvouched();
      const claims = await verify(authorization, call);
      streams.refuseFull(claims.sub);
      return claims;
    },
    [
      { path: /^\/v1\/connect$/, maxPayload: 64 * 1024, serve: (claims, ws) => serveSocket(reading, claims, ws) },
      {
        path: /^\/v1\/agents\/([\w-]{1,40})\/terminal$/,
        maxPayload: 2 ** 20,
        serve: (claims, ws, [, agentId], query) => terminals.serve(claims, agentId!, query, ws),
      },
    ],
    context.log,
  );
  await listen(server, context.settings);
  return server;
}

/** The engine may not be there yet: nothing is taken up before it has said what runs. */
async function reconcilePatiently(parts: Parts, signal: AbortSignal): Promise<void> {
  const { workspaces, context } = parts;
  for (;;) {
    try {
      await endEarlierName(parts);
      return await workspaces.reconcile();
    } catch (error) {
      context.log.warn("reconcile.retry", { error: messageOf(error) });
      await sleep(1000, signal);
      signal.throwIfAborted();
    }
  }
}

/**
 * Ends what ran, or was to begin, before this host joined anew: its end was told with the removal, and nothing of it goes on in another
 * container. Containers have the name that it had then, and nobody would find them.
 */
export async function endEarlierName({
  context,
  store,
  engine,
}: Pick<Parts, "context" | "store" | "engine">): Promise<void> {
  const earlier = store.getMeta("host_id") ?? context.hostId;
  if (earlier !== context.hostId) {
    for (const { id } of store.activeRuns()) store.intend(id, "host_lost");
    for (const { id } of await engine.listContainers(`berth.host=${earlier}`)) await engine.removeContainer(id);
  }
  store.setMeta("host_id", context.hostId);
}

/** Milliseconds: longer than gateways and proxies keep an idle connection, so that it is not closed under a call that just sets out. */
const keepAliveTimeout = 75_000;
/** An upload may take as long as it moves; headers may not. */
const timeouts = { keepAliveTimeout, requestTimeout: 0, headersTimeout: 60_000 };

/** https where a certificate is given. */
export function openServer(
  { BERTH_HOST_TLS_CERT: cert, BERTH_HOST_TLS_KEY: key }: Settings,
  listener: ReturnType<typeof getRequestListener>,
): Server {
  if (cert === undefined || key === undefined) return createServer({ ...timeouts }, listener);
  try {
    return createTlsServer({ cert: readFileSync(cert), key: readFileSync(key), ...timeouts }, listener);
  } catch (error) {
    throw new SettingsError(`BERTH_HOST_TLS_CERT and BERTH_HOST_TLS_KEY cannot be used: ${messageOf(error)}.`, {
      cause: error,
    });
  }
}

async function listen(server: Server, { BERTH_HOST_PORT: port, BERTH_HOST_LISTEN: address }: Settings): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const isTaken = error.code === "EADDRINUSE";
      const other = `The host agent cannot listen on ${address} port ${port} (${messageOf(error)}); see BERTH_HOST_LISTEN and BERTH_HOST_PORT.`;
      // An address too: its network may come later than this process.
      reject(new NotNowError(isTaken ? `Port ${port} is in use: set BERTH_HOST_PORT to a free one.` : other));
    });
    server.listen(port, address, resolve);
  });
}
