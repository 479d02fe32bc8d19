/** Everything a host agent is made of, put together and taken apart in order. The only file that knows all parts. */
import { join } from "node:path";
import type { Log } from "@berth/shared/log";
import { messageOf } from "@berth/shared/log";
import { type Settings, SettingsError } from "@berth/shared/settings";
import { sleep } from "@berth/shared/wait";
import { connectEngine, type Engine } from "./machine/engine.ts";
import { createEgressProxy } from "./egress/proxy.ts";
import { takeUp } from "./inside/take-up.ts";
import { createFiles } from "./inside/files.ts";
import { createGatewayVerifier, type VerifyGateway } from "./membership/verify.ts";
import { type HostContext } from "./context/context.ts";
import { createAlerts, windowMs } from "./context/alerts.ts";
import { createBus } from "./context/bus.ts";
import { createClock } from "./context/clock.ts";
import { createLocks } from "./context/wait.ts";
import { createTurns } from "./context/turns.ts";
import { ifMissing } from "./machine/missing.ts";
import { openIdentity } from "./membership/identity.ts";
import { createModelProxy } from "./model/proxy.ts";
import { createModelList } from "./model/list.ts";
import { openModelTargets } from "./model/targets.ts";
import { createKeep } from "./origins/keep.ts";
import { createOrigins, type Origins } from "./origins/origins.ts";
import { gitRewrites } from "./origins/rules.ts";
import { createOomWatch } from "./run/oom.ts";
import { Runs } from "./run/runs.ts";
import { createCredentials, type Credentials } from "./store/credentials.ts";
import { createLimits, endsAtLimits, type Limits } from "./store/limits.ts";
import { isSameSecret } from "./store/secret.ts";
import { reserveUids } from "./workspace/reserve-uids.ts";
import { createGitIdentities } from "./workspace/git-identities.ts";
import { runtimes } from "./runtimes/runtimes.ts";
import { openSockets, type Sockets } from "./workspace/unix-sockets.ts";
import { openDatabase } from "./store/open.ts";
import { Store } from "./store/store.ts";
import { createStreams } from "./output/open-streams.ts";
import { createTerminals } from "./inside/terminals.ts";
import { Volumes } from "./workspace/volumes.ts";
import type { RunningContainer } from "./workspace/container.ts";
import { noImage } from "./workspace/image.ts";
import { giveUpUnended } from "./workspace/unended.ts";
import { Workspaces } from "./workspace/workspaces.ts";

/** What a test may replace: how names are resolved and dialled by the egress proxy, and the engine. */
export interface HostOptions {
  settings: Settings;
  /** Absolute path. */
  dataDir: string;
  version: string;
  log: Log;
  egress?: Pick<Parameters<typeof createEgressProxy>[0], "lookup" | "connect">;
  wrapEngine?: (engine: Engine) => Engine;
  /** The machine's clock, in milliseconds since 1970. */
  machineNow?: () => number;
}
export type Parts = Awaited<ReturnType<typeof openParts>>;

/** Opens all parts; nothing is taken up or served yet. Throws a SettingsError where a person must act. */
export async function openParts(options: HostOptions, signal: AbortSignal) {
  const { settings, dataDir, log } = options;
  const engine = await openEngine(options, signal);
  const identity = await openIdentity(settings, dataDir, log, signal);
  const { context, store, credentials, limits } = openStore(options, identity.hostId);
  const volumes = await openVolumes(options, context, store);

  const targets = await openModelTargets(settings);
  const model = createModelProxy({
    apiOf: (agentId) => runtimes[store.getAgent(agentId)!.runtime].modelApi,
    targetOf: targets.of,
    log,
    findRun: (agentId, token) => findRun(store, agentId, token),
    budgetsOf: (runId) => runs.budgetsOf(runId),
    onUsage: (runId, usage) => runs.addUsage(runId, usage),
    // Another run of the user may have spent the day.
    onSpent: (runId) => runs.intend(runId, "budget_reached"),
    // Each change of a row is a flush to the disk, on the loop that all share.
    onStatus: (runId, status) =>
      void (store.getRun(runId)?.modelStatus === status || store.updateRun(runId, { modelStatus: status })),
  });
  const outside = openOutside(options, { store, credentials }, (userId) => sockets.directoryOf(userId));
  const { egress, gitIdentities } = outside;
  const sockets = openSockets(dataDir, {
    prepare: (userId, directory) => gitIdentities.write(userId, directory),
    modelFor: (agentId) => (req, res) => model.handle(agentId, req, res),
    egressFor: (userId) => egress.serversFor(userId),
  });
  const takeUpFound = async (userId: string, container: RunningContainer, isNew: boolean) => {
    const found = takeUp({ context, store }, userId, container, isNew);
    await found.catch((error: unknown) => giveUpUnended({ context, engine }, userId, container.id, error));
  };
  const workspaces = new Workspaces({ context, engine, store, volumes, sockets, takeUp: takeUpFound });
  const { countKills, beginKills, close: closeKillLog } = createOomWatch(context, store);
  const runs = new Runs({ context, engine, store, volumes, workspaces, countKills, closeModel: model.closeRun });
  const streams = createStreams(context.clock);
  const locks = { deletions: createLocks(), programs: createLocks() };
  const entry = { context, engine, store, runs, workspaces, streams, ...locks };
  const verifier = createGatewayVerifier(context, identity, store);
  const verify = noteClaims(verifier, { limits, workspaces, gitIdentities, sockets });
  const [files, terminals] = [createFiles(entry), createTerminals(entry)];

  return {
    ...entry,
    identity,
    volumes,
    sockets,
    files,
    terminals,
    ...outside,
    verify,
    countKills,
    beginKills,
    isDemo: targets.isDemo,
    listModels: createModelList(targets),
    /** Closes what is open; runs and containers go on. */
    async close(): Promise<void> {
      await sockets.close();
      model.close();
      closeKillLog();
      targets.close();
      store.close();
    },
  };
}

interface Noting {
  limits: Limits;
  workspaces: Workspaces;
  gitIdentities: ReturnType<typeof createGitIdentities>;
  sockets: Sockets;
}

/** Verifies, and notes what the claims tell of their user. */
function noteClaims(verify: VerifyGateway, { limits, workspaces, gitIdentities, sockets }: Noting): VerifyGateway {
  return async (authorization, call) => {
    const claims = await verify(authorization, call);
    if (limits.note(claims)) workspaces.outdate(claims.sub);
    await gitIdentities.note(claims, sockets.directoryOf(claims.sub));
    return claims;
  };
}

/** The way out, and what goes out with a credential of the user's. */
function openOutside(
  options: HostOptions,
  { store, credentials }: { store: Store; credentials: Credentials },
  directoryOf: (userId: string) => string,
) {
  const origins = createOrigins({ credentials, log: options.log });
  const egress = openEgress(options, origins);
  const keep = createKeep({
    credentials,
    origins,
    onGitChanged: (userId) => gitIdentities.write(userId, directoryOf(userId)).catch(ifMissing(undefined)),
  });
  const gitIdentities = createGitIdentities(store, (userId) => keep.gitCredentials(userId).flatMap(gitRewrites));
  return { egress, keep, gitIdentities, forge: { credentials, origins, egress } };
}

/** The volumes, with every uid that they have reserved. */
async function openVolumes(
  { settings, dataDir, log }: HostOptions,
  { settingsOf }: HostContext,
  store: Store,
): Promise<Volumes> {
  const bytesOf = (userId: string) => settingsOf(userId).BERTH_DISK_BYTES;
  const volumes = new Volumes(dataDir, settings.BERTH_DISK_BYTES, (uid) => store.reserveUids(uid + 1), bytesOf);
  volumes.start();
  await reserveUids(store, volumes, log);
  return volumes;
}

/** The host's database, and the clock that goes by the gateway's time as it was known last. */
function openStore({ settings, dataDir, log, machineNow }: HostOptions, hostId: string) {
  let kept = 0;
  const keepOffset = (offsetMs: number) => store.setMeta("clock_offset", String(offsetMs));
  const clock = createClock(machineNow, () => kept, keepOffset);
  const database = openDatabase(join(dataDir, "host.db"));
  const store = new Store(database, clock.now);
  const credentials = createCredentials(database, clock.now);
  kept = Number(store.getMeta("clock_offset") ?? 0);
  const [bus, turns, alerts] = [createBus(), createTurns(), createAlerts(clock.now)];
  for (const { reason, userId, endedAt } of endsAtLimits(database, clock.now() - windowMs))
    alerts.note(reason, userId, Date.parse(endedAt));
  const limits = createLimits(store, settings);
  const { settingsOf } = limits;
  const context: HostContext = { hostId, settings, settingsOf, dataDir, clock, log, bus, turns, alerts };
  return { context, store, credentials, limits };
}

/** An engine that has the workspaces' image and runtime. */
async function openEngine(options: HostOptions, signal: AbortSignal): Promise<Engine> {
  const engine = await connectPatiently(options, signal);
  const { BERTH_IMAGE: image, BERTH_RUNTIME: runtime } = options.settings;
  const known = runtime === undefined ? null : await engine.runtimes();
  if (known && !known.includes(runtime!))
    throw new SettingsError(
      `BERTH_RUNTIME is ${runtime}, and the engine knows ${known.join(", ")} alone: add it to the engine's configuration ("runtimes" in daemon.json), or name one of these.`,
    );
  if ((await engine.imageId(image)) === null) throw new SettingsError(noImage(image));
  return engine;
}

async function connectPatiently({ settings, wrapEngine, log }: HostOptions, signal: AbortSignal): Promise<Engine> {
  for (let attempt = 0; ; attempt++) {
    try {
      const engine = await connectEngine(settings.DOCKER_HOST);
      return wrapEngine ? wrapEngine(engine) : engine;
    } catch (error) {
      if (attempt === 0) log.warn("engine.unreachable", { error: messageOf(error) });
      await sleep(1000, signal);
      signal.throwIfAborted();
    }
  }
}

function openEgress({ settings, log, egress }: HostOptions, origins: Origins) {
  const { BERTH_EGRESS: mode, BERTH_EGRESS_ALLOW: allow, BERTH_EGRESS_PRIVATE: privateNames } = settings;
  try {
    return createEgressProxy({ mode, allow, privateNames, origins, log, ...egress });
  } catch (error) {
    throw new SettingsError(messageOf(error), { cause: error });
  }
}

/** The token stands for one run of one agent, as long as that run is in progress; one that is not taken up yet may have another. */
function findRun(store: Store, agentId: string, token: string): { runId: string } | "starting" | null {
  const agent = store.getAgent(agentId);
  const run = agent && store.activeRunOf(agent);
  if (run && isSameSecret(store.tokenOf(run.id), token)) return { runId: run.id };
  return run?.startedAt === null ? "starting" : null;
}
