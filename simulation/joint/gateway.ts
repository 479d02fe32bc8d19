/** The gateway's process: the real app and the real tick, started on its database, killed, ended by a signal, and started again. */
import { type Log, type LogFields, messageOf } from "@berth/shared/log";
import { parseSettings } from "@berth/shared/settings";
import { sleep } from "@berth/shared/wait";
import { storeUses, usesMs } from "../../gateway/src/access/token-uses.ts";
import { releaseLeases } from "../../gateway/src/agents/pending.ts";
import { createApp } from "../../gateway/src/app.ts";
import type { Deps } from "../../gateway/src/deps.ts";
import { askMisfitsAgain } from "../../gateway/src/fleet/reports.ts";
import type { Keyring } from "../../gateway/src/keys/keyring.ts";
import { nodeDigests } from "../../gateway/src/node/digests.ts";
import { repeat } from "../../gateway/src/node/repeat.ts";
import { tick } from "../../gateway/src/tick.ts";
import { gatewayUrl } from "../machine/machine.ts";
import type { Letter } from "../sides/network.ts";
import { carrier, type Outgoing, privateKey, publicJwk, publicKey } from "../world/globals.ts";
import { makeSide, type Side, world } from "../world/world.ts";
import type { GatewayDatabase } from "./d1.ts";

export const settings = parseSettings({ BERTH_PUBLIC_URL: gatewayUrl, BERTH_ALLOW_HTTP_HOSTS: "1" });
const tickMs = 1000;
const graceMs = 5000;
/** A start that was under way when its user was disabled has waited for hosts to speak for so long at most. */
const underWayMs = 13_000;
/** A signal must have ended it by then. */
const promisedExitMs = 10_000;
const kid = "simulated";
const keyring: Keyring = {
  kid,
  privateKey,
  publicKeys: new Map([[kid, publicKey]]),
  sealingKeys: new Map([[kid, privateKey]]),
  jwks: { keys: [publicJwk] },
};

type OnLog = (event: string, fields: LogFields) => void;

export class Gateway {
  side: Side | null = null;
  readonly #database: GatewayDatabase;
  readonly #onLog: OnLog;
  readonly #clock = { offsetMs: 0 };
  #serving: { fetch: ReturnType<typeof createApp>["fetch"]; stop: () => Promise<unknown> } | null = null;
  /** Calls in progress, and what they left behind. */
  readonly #open = new Set<Promise<unknown>>();
  #starts = 0;
  isWanted = false;

  constructor(database: GatewayDatabase, onLog: OnLog) {
    this.#database = database;
    this.#onLog = onLog;
  }

  get isReady(): boolean {
    return this.#serving !== null && this.side !== null && !this.side.isDead;
  }

  readonly address = () =>
    this.isReady ? { side: this.side!, answer: (request: Outgoing) => this.#answer(request) } : null;

  stepClock(ms: number): void {
    this.#clock.offsetMs += ms;
  }

  start(): void {
    this.isWanted = true;
    if (this.side && !this.side.isDead) return;
    const side = makeSide(`gateway${++this.#starts}`, this.#clock);
    // Its supervisor: nobody that shall run stays dead.
    side.onDeath.push(() => void world().after(500, () => this.isWanted && this.start(), world().outside));
    [this.side, this.#serving] = [side, null];
    this.#open.clear();
    world().after(0, () => this.#main(side), side);
  }

  kill(): void {
    this.isWanted = false;
    if (this.side) world().kill(this.side);
  }

  terminate(): void {
    this.isWanted = false;
    const { side } = this;
    if (!side || side.isDead) return;
    world().trace(`SIGTERM to ${side.name}`);
    const isLate = () => {
      if (!side.isDead)
        world().violate("a signal ends the gateway", `${side.name} lives ${promisedExitMs / 1000} s after SIGTERM`);
    };
    world().after(promisedExitMs, isLate, world().outside);
    const stop = async () => {
      await this.#serving?.stop();
      world().kill(side);
    };
    world().after(0, stop, side);
  }

  /** As main.ts does. */
  async #main(side: Side): Promise<void> {
    const deps: Deps = {
      settings,
      ...this.#database.opened,
      // What a process remembers of its keys goes with it.
      keyring: { ...keyring },
      digests: nodeDigests,
      transport: { fetch: (request) => this.#callHost(request) },
      log: this.#log(side),
      now: Date.now,
      uses: new Map(),
      startedAt: Date.now(),
    };
    try {
      await releaseLeases(deps);
      await askMisfitsAgain(deps);
    } catch (error) {
      world().trace(`the gateway did not start: ${messageOf(error)}`);
      return world().kill(side);
    }
    const stopTicking = repeat(
      tickMs,
      () => tick(deps),
      (error) => deps.log.error("tick.failed", { error: messageOf(error) }),
    );
    const stop = async () => {
      this.#serving = null;
      await Promise.all([stopTicking(graceMs), Promise.race([Promise.all(this.#open), sleep(graceMs)])]);
      await Promise.race([storeUses(deps), sleep(usesMs)]);
    };
    this.#serving = { fetch: createApp(deps).fetch, stop };
  }

  async #answer({ url, method, headers, body }: Outgoing): Promise<Letter> {
    const waitUntil = (work: Promise<unknown>) => {
      this.#open.add(work);
      void work.finally(() => this.#open.delete(work));
    };
    const asked = new Request(url, { method, headers, body });
    const answering = Promise.resolve(this.#serving!.fetch(asked, { address: "10.0.0.1", waitUntil }));
    waitUntil(answering);
    const answer = await answering;
    const date: [string, string] = ["date", new Date(Date.now()).toUTCString()];
    return { status: answer.status, headers: [...answer.headers, date], body: await answer.text() };
  }

  /** Over the network, as `fetch` would; with a body that can be read as a stream. */
  async #callHost(request: Request): Promise<Response> {
    const { url, method, headers, signal } = request;
    const body = request.body ? await request.text() : null;
    const since = this.#database.disabledSince.get(userOf(headers));
    if (url.endsWith("/v1/runs") && since !== undefined && world().nowMs - since > underWayMs)
      world().violate("nothing of a disabled user is started", `${userOf(headers)} was disabled at ${since}`);
    const answer = await carrier.send({ url, method, headers, body, signal });
    const isEmpty = answer.status === 204;
    return new Response(isEmpty ? null : await answer.text(), { status: answer.status, headers: answer.headers });
  }

  #log(side: Side): Log {
    const line = (event: string, fields: LogFields = {}) => {
      if (side.isDead) return;
      if (event !== "http") world().trace(`${event} ${JSON.stringify(fields)}`);
      this.#onLog(event, fields);
    };
    return { info: line, warn: line, error: line };
  }
}

/** For whom the gateway calls a host. */
function userOf(headers: Headers): string {
  const [, claims = ""] = headers.get("authorization")!.split(".");
  return (JSON.parse(Buffer.from(claims, "base64url").toString()) as { sub: string }).sub;
}
