/**
 * Reports to the gateway: on change (debounced by 100 ms, or as a busy gateway asks, the end of a run at once), else as a heartbeat
 * every 5 s, or as rarely as a busy gateway asks. After failures backoff with full jitter, and no sooner than the gateway asks for: all its hosts lose it at once. The
 * cursor is what its last answer said it holds. The answer brings time, revocations, orders.
 */
import { statfsSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { problemSchema } from "@berth/shared/errors";
import { messageOf } from "@berth/shared/log";
import {
  type HostLoad,
  protocolVersion,
  protocolHeader,
  type ReportAnswer,
  type ReportBody,
  reportAnswer,
} from "@berth/shared/host-api";
import { sleep } from "@berth/shared/wait";
import { type HostContext } from "../context/context.ts";
import { createLatch } from "../context/wait.ts";
import type { Identity } from "./identity.ts";
import type { Store } from "../store/store.ts";
import { keepGatewayKeys } from "./verify.ts";
import type { Workspaces } from "../workspace/workspaces.ts";
import { createWorkspaceNews } from "./workspace-news.ts";

export interface ReportDeps {
  context: HostContext;
  identity: Identity;
  store: Pick<
    Store,
    | "epoch"
    | "earlierRevision"
    | "revision"
    | "renewEpoch"
    | "changedSince"
    | "countActive"
    | "getRun"
    | "synced"
    | "getMeta"
    | "setMeta"
  >;
  workspaces: Pick<Workspaces, "views" | "count" | "problem">;
  /** Whether the built-in demo model answers here. */
  isDemo: boolean;
  version: string;
  /** Whether anything of the user is here. */
  hasUser(userId: string): boolean;
  /** The gateway said something to act upon. */
  onAnswer(answer: ReportAnswer): void;
  /** The gateway has removed this host. */
  onRemoved(): void;
}

const leastGatherMs = 100;
const everyMs = 5000;
/** A host that is silent for 30 s is taken for down. */
const mostGatherMs = 8000;
const firstPauseMs = 500;
const longestPauseMs = 5000;
const longestRetryAfterMs = 10_000;
/** How long the end of a run waits for the gateway to know of it. */
const deliveryMs = 1000;
const maxRunBytes = 1_000_000;
const unknownAdvice =
  "If that goes on, the gateway does not know this host, as after its database was restored from before the join: move host.json away and join again.";

/** The gateway's view of this host, kept up to date while `run` goes on. */
export class Reports {
  readonly #deps: ReportDeps;
  readonly #changed = createLatch();
  readonly #hurry = createLatch();
  readonly #waiting = new Set<() => void>();
  #isRemoved = false;
  readonly #news = createWorkspaceNews();
  #held = { epoch: "", rev: 0 };
  /** Above those of earlier processes, so that it tells the age of a copy. */
  #seq = Date.now();
  /** The number of the report that the gateway took last and of which nothing was lost; 0 without one. */
  #after = 0;
  #answeredAt = performance.now();
  /** Debounce, as the gateway asks: longer where it is busy. */
  #gatherMs = leastGatherMs;
  /** How long the last answer took. */
  #answerMs: number | null = null;
  /** Users whom the last answer named as deleted. */
  #deletedUsers: string[] = [];
  /** How long the gateway asked to be left alone. */
  #retryAfterMs = 0;
  /** Why the last attempt failed; empty where it did not, null before the first one. */
  #failure: string | null = null;

  constructor(deps: ReportDeps) {
    this.#deps = deps;
  }

  /** Reports until the signal ends it. */
  async run(signal: AbortSignal): Promise<void> {
    const { bus, log } = this.#deps.context;
    const offs = [
      bus.on("host", this.#changed.set),
      bus.on("ended", this.#hurry.set),
      bus.on("ended", this.#changed.set),
    ];
    for (let failures = 0; !signal.aborted;) {
      try {
        await this.#report(signal);
        if (this.#failure !== "") log.info("gateway.reached", {});
        this.#failure = "";
        failures = 0;
        if (await this.#changed.next(Math.max(everyMs, this.#gatherMs), signal))
          await this.#hurry.next(this.#gatherMs, signal);
      } catch (error) {
        if (signal.aborted) break;
        const failure = messageOf(error);
        if (this.#failure !== failure) log.warn("report.failed", { error: failure });
        this.#failure = failure;
        const jitterMs = Math.random() * Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(failures++, 10));
        await sleep(this.#retryAfterMs + jitterMs, signal);
      }
    }
    offs.forEach((off) => off());
  }

  /**
   * Resolves with true once the gateway holds this revision, so that whoever is told then finds it in the API; after 1 s anyhow. With
   * false once it has removed this host: what it knows of the runs is what holds.
   */
  delivered(rev: number): Promise<boolean> {
    const isHeld = () => this.heldRev() >= rev;
    if (isHeld() || this.#isRemoved || this.#failure) return Promise.resolve(!this.#isRemoved);
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#waiting.delete(check);
        resolve(!this.#isRemoved);
      };
      const check = () => void ((isHeld() || this.#isRemoved) && end());
      const timer = setTimeout(end, deliveryMs);
      this.#waiting.add(check);
    });
  }

  /** The revision up to which the gateway holds all of this database; 0 before it has said so. */
  heldRev(): number {
    return this.#held.epoch === this.#deps.store.epoch ? this.#held.rev : 0;
  }

  /** Milliseconds since the gateway last answered. */
  silentMs(): number {
    return performance.now() - this.#answeredAt;
  }

  async #report(signal: AbortSignal): Promise<void> {
    const { context, store, onAnswer, onRemoved } = this.#deps;
    const { body, taken } = this.#body();
    const askedAt = context.clock.machine();
    const began = performance.now();
    this.#retryAfterMs = 0;
    // What a power cut can take back is not told.
    await store.synced();
    const answer = await this.#post(body, signal);
    this.#answerMs = Math.round(performance.now() - began);
    if (answer.status === 410) {
      await answer.body?.cancel();
      this.#answeredAt = performance.now();
      this.#isRemoved = true;
      this.#waiting.forEach((check) => check());
      return onRemoved();
    }
    if (!answer.ok) {
      this.#takeTime(answer, askedAt);
      const retryAfter = Number(answer.headers.get("retry-after"));
      if (retryAfter > 0) this.#retryAfterMs = Math.min(longestRetryAfterMs, retryAfter * 1000);
      const advice = answer.status === 401 ? ` ${unknownAdvice}` : "";
      throw new Error(`the gateway answered ${answer.status}: ${sentenceIn(await answer.text())}${advice}`);
    }
    const said = reportAnswer.parse(await answer.json());
    if (said.jwks) keepGatewayKeys(store, JSON.stringify(said.jwks));
    context.clock.follow(Date.parse(said.time), askedAt);
    if (isRolledBack(store, this.#held.epoch === store.epoch, said)) {
      context.log.error("database.restored", { held: said.ack.rev, own: store.revision() });
      store.renewEpoch();
    }
    const isBehind = said.ack.epoch !== store.epoch || said.ack.rev < body.rev;
    taken();
    // Of workspaces an older copy of the gateway's database is told all again.
    this.#after = said.ack.epoch === store.epoch && (said.ack.seq ?? body.seq) >= body.seq ? body.seq : 0;
    this.#held = said.ack;
    this.#deletedUsers = said.deletedUsers;
    this.#gatherMs = Math.min(mostGatherMs, Math.max(leastGatherMs, said.gatherMs ?? leastGatherMs));
    this.#waiting.forEach((check) => check());
    this.#answeredAt = performance.now();
    onAnswer(said);
    if (body.rev < store.revision() || isBehind || this.#after === 0) this.#changed.set();
  }

  #body(): { body: ReportBody; taken(): void } {
    const { context, store, workspaces, version, hasUser } = this.#deps;
    const isKnown = this.#held.epoch === store.epoch;
    const since = isKnown ? this.#held.rev : 0;
    const changes = store.changedSince(since, maxRunBytes);
    const rev = isKnown ? changes.rev : Math.min(changes.rev, store.earlierRevision);
    if (this.#after === 0 || since === 0) this.#news.forget();
    const { workspaces: told, taken } = this.#news.of(workspaces.views());
    const body = {
      protocol: protocolVersion,
      version,
      epoch: store.epoch,
      seq: ++this.#seq,
      since,
      after: since === 0 ? 0 : this.#after,
      url: context.settings.BERTH_HOST_URL,
      load: readLoad(this.#deps),
      workspaces: told,
      ...changes,
      rev,
      complete: rev >= store.revision(),
      answerMs: this.#answerMs,
      goneUsers: this.#deletedUsers.filter((id) => !hasUser(id)),
    };
    return { body, taken };
  }

  async #post(body: ReportBody, signal: AbortSignal): Promise<Response> {
    const { identity, context } = this.#deps;
    return fetch(`${identity.gatewayUrl}/internal/hosts/report`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        authorization: `Bearer ${await identity.sign(context.clock.now())}`,
        [protocolHeader]: String(protocolVersion),
      },
      body: JSON.stringify(body),
      signal: AbortSignal.any([signal, AbortSignal.timeout(10_000)]),
    });
  }

  /** A gateway that refuses our JWT may do so for our clock: its own is in every answer. */
  #takeTime(answer: Response, askedAt: number): void {
    const { clock } = this.#deps.context;
    const date = Date.parse(answer.headers.get("date") ?? "");
    if (answer.status === 401 && Math.abs(date - clock.now()) > 20_000) clock.follow(date, askedAt);
  }
}

/**
 * Whether the gateway holds more of this database than the database has: then this is an older copy of it. The first report
 * of a process claims nothing beyond what earlier ones can have told, so that the answer to it shows that for certain. What
 * was told by an answer to a start, and by no report, shows by the run that is not known.
 */
export function isRolledBack(
  own: Pick<Store, "epoch" | "earlierRevision" | "getRun"> & { revision(): number },
  isKnown: boolean,
  { ack, heldRuns }: Pick<ReportAnswer, "ack" | "heldRuns">,
): boolean {
  if (ack.epoch !== own.epoch) return false;
  return ack.rev > (isKnown ? own.revision() : own.earlierRevision) || heldRuns.some((id) => own.getRun(id) === null);
}

/** What a problem says to a person, or the beginning of whatever else it is. */
function sentenceIn(text: string): string {
  try {
    return problemSchema.parse(JSON.parse(text)).detail;
  } catch {
    return text.slice(0, 300);
  }
}

function readLoad({ context, workspaces, store, isDemo }: ReportDeps): HostLoad {
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
    demoModel: isDemo,
    problem: workspaces.problem,
    alerts: context.alerts.list(),
  };
}
