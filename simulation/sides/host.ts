/** The host agent's process: the real one, started on a machine, killed, ended by a signal, and started again by its supervisor. */
import { type Log, type LogFields, messageOf } from "@berth/shared/log";
import { parseSettings, type Settings, SettingsError } from "@berth/shared/settings";
import { type HostAgent, startHostAgent } from "../../host-agent/src/host-agent.ts";
import { listening } from "../substitutes/http.ts";
import { dataDir, gatewayUrl, type Machine, type Place } from "../machine/machine.ts";
import { byFetch } from "./network.ts";
import { mark, makeSide, type Side, world } from "../world/world.ts";

const common = {
  BERTH_GATEWAY_URL: gatewayUrl,
  BERTH_HOST_DATA_DIR: dataDir,
  BERTH_MODEL_URL: "http://model",
  BERTH_EGRESS: "none",
  BERTH_DISK_BYTES: String(2 ** 26),
  BERTH_LOG_BYTES: "100000",
  BERTH_IDLE_SECONDS: "8",
  // The number of runs is what limits them here.
  BERTH_RUN_MEMORY_BYTES: String(2 ** 26),
  BERTH_RUN_TIMEOUT_SECONDS: "60",
};
/** main.ts ends its process so long after a signal at the latest. */
const forcedExitMs = 8000;
/** A signal must have ended it by then. */
const promisedExitMs = 10_000;

const known = new Map<string, Settings>();
/** Parsed once. */
function settingsOf(given: Record<string, string>): Settings {
  const key = JSON.stringify(given);
  const parsed = known.get(key) ?? parseSettings(given);
  known.set(key, parsed);
  return parsed;
}

type OnLog = (event: string, fields: LogFields) => void;

export class Host {
  side: Side | null = null;
  readonly #onLog: OnLog;
  readonly #clock = { offsetMs: 0 };
  #agent: HostAgent | null = null;
  #starts = 0;
  /** Whether its supervisor starts it again. */
  isWanted = false;
  readonly #machine: Machine;
  readonly #settings: Settings;

  constructor(machine: Machine, onLog: OnLog) {
    this.#machine = machine;
    this.#onLog = onLog;
    const { url, port } = machine.place;
    this.#settings = settingsOf({
      ...common,
      ...machine.settings,
      BERTH_HOST_URL: url,
      BERTH_HOST_PORT: String(port),
    });
  }

  get #place(): Place {
    return this.#machine.place;
  }

  /** How much a run may say. */
  get logBytes(): number {
    return this.#settings.BERTH_LOG_BYTES;
  }

  get isReady(): boolean {
    return (
      this.#agent !== null &&
      this.side !== null &&
      !this.side.isDead &&
      listening.get(this.#place.port)?.side === this.side
    );
  }

  readonly address = () => {
    const there = this.isReady ? listening.get(this.#place.port)! : null;
    return there && { side: there.side, answer: byFetch(there.fetch) };
  };

  stepClock(ms: number): void {
    this.#clock.offsetMs += ms;
  }

  /** `badCall`: which call of its first ones fails, if any. */
  start(badCall: number | null = null): void {
    this.isWanted = true;
    if (this.side && !this.side.isDead) return;
    const side = makeSide(`${this.#place.name}${++this.#starts}`, this.#clock, this.#machine.side ?? undefined);
    side.badCall = badCall;
    // What it had open is closed: a volume that is mended must be let go.
    side.onDeath.push(() => this.#machine.files.descriptors.clear());
    // Its supervisor: nobody that shall run stays dead.
    side.onDeath.push(() => void world().after(500, () => this.isWanted && this.start(), world().outside));
    [this.side, this.#agent] = [side, null];
    world().trace(`starts ${side.name}`);
    world().after(0, () => this.#main(side), side);
  }

  kill(): void {
    this.isWanted = false;
    if (this.side) world().kill(this.side);
  }

  /** As main.ts: lets go of all, and exits in 8 s at the latest. */
  terminate(): void {
    this.isWanted = false;
    const { side } = this;
    if (!side || side.isDead) return;
    world().trace(`SIGTERM to ${side.name}`);
    world().after(
      promisedExitMs,
      () => {
        if (!side.isDead)
          world().violate(
            "a signal ends the host agent",
            `${side.name} lives ${promisedExitMs / 1000} s after SIGTERM`,
          );
      },
      world().outside,
    );
    world().after(
      0,
      () => {
        world().after(forcedExitMs, () => this.#exit(side));
        void (this.#agent?.close() ?? Promise.resolve()).finally(() => this.#exit(side));
      },
      side,
    );
  }

  /** As main.ts: no supervisor starts it again. */
  async #leave(side: Side): Promise<void> {
    this.isWanted = false;
    await this.#agent?.close();
    this.#exit(side);
  }

  #exit(side: Side): void {
    world().kill(side);
  }

  async #main(side: Side): Promise<void> {
    try {
      this.#agent = await startHostAgent({
        settings: this.#settings,
        dataDir,
        version: "simulated",
        log: this.#log(side),
      });
      void this.#agent.removed.then(() => this.#leave(side));
    } catch (error) {
      if (side.isDead) return;
      world().trace(`did not start: ${messageOf(error)}`);
      if (error instanceof SettingsError || !isCaused(error))
        world().violate("the host agent starts", messageOf(error));
      this.#exit(side);
    }
  }

  #log(side: Side): Log {
    const line = (event: string, fields: LogFields = {}) => {
      if (side.isDead) return;
      world().trace(`${event} ${JSON.stringify(fields)}`);
      this.#onLog(event, fields);
    };
    return { info: line, warn: line, error: line };
  }
}

/** Whether this world made it fail: directly, by what did not come in time, or as a person who removes a container. */
export function isCaused(error: unknown): boolean {
  const text = messageOf(error);
  return (
    text.includes(mark) ||
    /did not answer "|database is locked|timeout|ECONNRE|survive SIGKILL|ended just after its start/.test(text)
  );
}
