/**
 * What every module has without an import, replaced by the world's: timers, clocks, randomness, signatures, fetch.
 * Outside of a schedule the real ones answer. Signatures are constants: who may do what is not what is tried here.
 */
import { createHash, createHmac, generateKeyPairSync } from "node:crypto";
import { type Entry, hasWorld, world } from "./world.ts";

/** 28 November 2026. */
export const startMs = Date.UTC(2026, 10, 28);
const real = { setTimeout, clearTimeout, setImmediate, now: Date.now, random: Math.random, monotonic: performance.now };
const subtle = globalThis.crypto.subtle;

/** A key pair for whoever signs; made once, for real ones need the thread pool. */
const pair = generateKeyPairSync("ed25519");
export const privateJwk = { ...pair.privateKey.export({ format: "jwk" }), kid: "simulated", alg: "EdDSA" };
const keys = {
  private: await subtle.importKey("jwk", privateJwk as JsonWebKey, "Ed25519", true, ["sign"]),
  public: await subtle.importKey("jwk", pair.publicKey.export({ format: "jwk" }), "Ed25519", true, ["verify"]),
};
export const { private: privateKey, public: publicKey } = keys;
export const publicJwk = { ...pair.publicKey.export({ format: "jwk" }), kid: "simulated", alg: "EdDSA", use: "sig" };

export interface Outgoing {
  url: string;
  method: string;
  /** As they were given: a real one costs more than all else about a call. */
  headers: ConstructorParameters<typeof Headers>[0];
  body: string | null;
  signal: AbortSignal | null;
}
/** Who takes the signals that are sent; set by the machine. */
export const signals = { send: (_pid: number, _signal: NodeJS.Signals | 0): void => undefined };
/** Who carries what is fetched; set by the network. */
export const carrier = { send: (_request: Outgoing): Promise<Response> => Promise.reject(new Error("no network")) };

/** Replaces them for good. */
export function replaceGlobals(): void {
  replaceTime();
  replaceRandomness();
  globalThis.fetch = (input, init = {}) =>
    carrier.send({
      url: input instanceof Request ? input.url : String(input),
      method: init.method ?? "GET",
      headers: init.headers,
      body: (init.body as string | null | undefined) ?? null,
      signal: init.signal ?? null,
    });
  const { kill } = process;
  process.kill = (pid, signal = "SIGTERM") => {
    if (!hasWorld()) return kill.call(process, pid, signal);
    world().sync("kill");
    signals.send(pid, signal as NodeJS.Signals);
    return true;
  };
  Object.defineProperty(process, "getuid", { value: () => 0 });
  Object.defineProperty(process, "pid", { value: 4242 });
  process.on("unhandledRejection", (error) => {
    if (!hasWorld()) throw error;
    world().notice(error);
  });
}

/** A real DOMException costs as much as a statement. */
const timeoutError = { name: "TimeoutError", code: 23 };

class Timer {
  entry: Entry;
  constructor(entry: Entry) {
    this.entry = entry;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
  hasRef(): boolean {
    return true;
  }
  [Symbol.toPrimitive](): number {
    return 0;
  }
}

function replaceTime(): void {
  const later = (run: (...values: unknown[]) => void, ms = 0, ...values: unknown[]) => {
    if (!hasWorld()) return real.setTimeout(run, ms, ...values);
    const late = world().draws("timer").between(0, 2);
    return new Timer(world().after(Math.max(1, ms) + late, values.length > 0 ? () => run(...values) : run));
  };
  const forget = (timer: unknown) => {
    if (timer instanceof Timer) world().cancel(timer.entry);
    else real.clearTimeout(timer as NodeJS.Timeout);
  };
  const again = (run: () => void, ms: number) => {
    const turn = () => {
      timer.entry = (later(turn, ms) as Timer).entry;
      run();
    };
    const timer = later(turn, ms) as Timer;
    return timer;
  };
  const atOnce = (run: (...values: unknown[]) => void, ...values: unknown[]) =>
    hasWorld() ? world().after(0, () => run(...values)) : real.setImmediate(run, ...values);
  Object.assign(globalThis, {
    setTimeout: later,
    clearTimeout: forget,
    setInterval: again,
    clearInterval: forget,
    setImmediate: atOnce,
  });
  Date.now = () => (hasWorld() ? Math.floor(startMs + world().nowMs + world().current.clock.offsetMs) : real.now());
  performance.now = () => (hasWorld() ? 1e6 + world().nowMs : real.monotonic.call(performance));
  const { hrtime } = process;
  const elapsed = (): [number, number] =>
    hasWorld() ? [Math.floor(world().nowMs / 1000), (world().nowMs % 1000) * 1e6] : hrtime();
  process.hrtime = Object.assign(elapsed, { bigint: hrtime.bigint });
  AbortSignal.timeout = (ms) => {
    const controller = new AbortController();
    setTimeout(
      () => controller.abort(Object.assign(new Error("The operation was aborted due to timeout"), timeoutError)),
      ms,
    );
    return controller.signal;
  };
}

function replaceRandomness(): void {
  const draw = () => (hasWorld() ? world().draws("random").next() : real.random());
  Math.random = draw;
  const fill = <T extends ArrayBufferView | null>(into: T): T => {
    const draws = world().draws("random");
    const bytes = into as unknown as Uint8Array;
    for (let at = 0; at < bytes.length; at++) bytes[at] = draws.whole(0, 255);
    return into;
  };
  const digest = async (_algorithm: unknown, data: BufferSource) =>
    new Uint8Array(
      createHash("sha256")
        .update(new Uint8Array(data as ArrayBuffer))
        .digest(),
    ).buffer;
  /** Of signing keys there is one; a shared secret is itself. */
  const importKey = async (format: string, key: { d?: string }) =>
    format === "raw" ? { secret: key } : key.d === undefined ? keys.public : keys.private;
  const hmac = (secret: Uint8Array, data: Uint8Array) => createHmac("sha256", secret).update(data).digest();
  const sign = async (_how: unknown, key: { secret?: Uint8Array }, data: Uint8Array) =>
    key.secret ? new Uint8Array(hmac(key.secret, data)).buffer : new ArrayBuffer(64);
  const verify = async (_how: unknown, key: { secret?: Uint8Array }, signature: Uint8Array, data: Uint8Array) =>
    !key.secret || hmac(key.secret, data).equals(new Uint8Array(signature));
  /** Nobody looks into the database here. */
  const copy = async (_how: unknown, _key: unknown, data: Uint8Array) => new Uint8Array(data).buffer;
  Object.defineProperties(globalThis.crypto, {
    getRandomValues: { value: fill },
    randomUUID: { value: randomUUID },
    subtle: { value: { digest, importKey, sign, verify, encrypt: copy, decrypt: copy } },
  });
}

export function randomUUID(): string {
  const draws = world().draws("random");
  return "xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx".replace(/x/g, () => "0123456789abcdef"[draws.whole(0, 15)]!);
}
