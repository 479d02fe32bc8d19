/**
 * Tells the gateway how this host stands: at each change (gathered for 100 ms; the end of a run at once) and at least every 5 s; all that changed
 * after what the gateway's last answer said it holds. Acts on the answer: time, revocations, deleted agents.
 */
import { statfsSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { messageOf } from "@berth/shared/log";
import { type HostLoad, protocolVersion, protocolHeader, type ReportAnswer, type ReportBody, reportAnswer } from "@berth/shared/host-api";
import { createLatch, type HostContext } from "./host.ts";
import type { Identity } from "./identity.ts";
import type { Store } from "./store.ts";
import type { Workspaces } from "./workspace.ts";

export interface ReportDeps {
  context: HostContext;
  identity: Identity;
  store: Store;
  workspaces: Workspaces;
  demoModel: boolean;
  version: string;
  /** The gateway said something to act upon. */
  onAnswer(answer: ReportAnswer): void;
  /** The gateway has removed this host. */
  onRemoved(): void;
}

const gatherMs = 100;
const everyMs = 5000;
/** How long the end of a run waits for the gateway to know of it. */
const deliveryMs = 1000;
const maxRunBytes = 1_000_000;

/** Reports until the signal ends it. */
export function startReports(deps: ReportDeps, signal: AbortSignal) {
  const { context, store } = deps;
  const latch = createLatch();
  const hurry = createLatch();
  const offs = [context.bus.on("host", latch.set), context.bus.on("ended", hurry.set), context.bus.on("ended", latch.set)];
  const waiting = new Set<() => void>();
  let held = { epoch: "", rev: 0 };
  let seq = 0;
  let answeredAt = performance.now();
  /** Null until the first attempt. */
  let isReaching: boolean | null = null;

  async function reportOnce(): Promise<void> {
    const since = held.epoch === store.epoch ? held.rev : 0;
    const changes = store.changedSince(since, maxRunBytes);
    const body: ReportBody = {
      protocol: protocolVersion,
      version: deps.version,
      epoch: store.epoch,
      seq: ++seq,
      since,
      url: context.settings.BERTH_HOST_URL,
      load: readLoad(deps),
      workspaces: deps.workspaces.views(),
      ...changes,
    };
    const answer = await fetch(`${deps.identity.gatewayUrl}/internal/hosts/report`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        authorization: `Bearer ${await deps.identity.sign(context.clock.now())}`,
        [protocolHeader]: String(protocolVersion),
      },
      body: JSON.stringify(body),
      signal: AbortSignal.any([signal, AbortSignal.timeout(10_000)]),
    });
    if (answer.status === 410) {
      await answer.body?.cancel();
      return deps.onRemoved();
    }
    if (!answer.ok) {
      takeTime(answer);
      throw new Error(`the gateway answered ${answer.status}: ${(await answer.text()).slice(0, 300)}`);
    }
    const said = reportAnswer.parse(await answer.json());
    context.clock.follow(Date.parse(said.time));
    held = said.ack;
    waiting.forEach((check) => check());
    answeredAt = performance.now();
    deps.onAnswer(said);
    if (changes.rev < store.revision() || said.ack.epoch !== store.epoch || said.ack.rev < changes.rev) latch.set();
  }
  /** A gateway that refuses our JWT may do so for our clock: its own is in every answer. */
  function takeTime(answer: Response): void {
    const date = Date.parse(answer.headers.get("date") ?? "");
    if (answer.status === 401 && Math.abs(date - context.clock.now()) > 20_000) context.clock.follow(date);
  }

  const done = (async () => {
    for (let failures = 0; !signal.aborted; ) {
      try {
        await reportOnce();
        if (!isReaching) context.log.info("gateway.reached", {});
        isReaching = true;
        failures = 0;
        if (await latch.next(everyMs, signal)) await hurry.next(gatherMs, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (isReaching !== false) context.log.warn("report.failed", { error: messageOf(error) });
        isReaching = false;
        await createLatch().next(Math.min(5000, 250 * 2 ** failures++) * (0.75 + Math.random() / 2), signal);
      }
    }
  })().finally(() => offs.forEach((off) => off()));

  return {
    /** Resolves once the gateway holds this revision, so that whoever is told then finds it in the API; after 1 s anyhow. */
    delivered(rev: number): Promise<void> {
      const isHeld = () => held.epoch === store.epoch && held.rev >= rev;
      if (isHeld() || isReaching === false) return Promise.resolve();
      return new Promise((resolve) => {
        const end = () => {
          clearTimeout(timer);
          waiting.delete(check);
          resolve();
        };
        const check = () => void (isHeld() && end());
        const timer = setTimeout(end, deliveryMs);
        waiting.add(check);
      });
    },
    /** Milliseconds since the gateway last answered. */
    silentMs: () => performance.now() - answeredAt,
    done,
  };
}

function readLoad({ context, workspaces, store, demoModel }: ReportDeps): HostLoad {
  const memory = readFileSync("/proc/meminfo", "utf8");
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(memory)?.[1] ?? 0) * 1024;
  const disk = statfsSync(context.dataDir);
  return {
    workspaces: workspaces.count(),
    maxWorkspaces: context.settings.BERTH_MAX_WORKSPACES,
    activeRuns: store.countActive(),
    memoryTotalBytes: kib("MemTotal"),
    memoryAvailableBytes: kib("MemAvailable"),
    diskAvailableBytes: disk.bavail * disk.bsize,
    cpus: availableParallelism(),
    demoModel,
  };
}
