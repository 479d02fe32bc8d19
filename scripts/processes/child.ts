/** One process that is kept running: its output line by line, its end, and a new start after a growing pause. */
import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { personMustAct, tryLater } from "@berth/shared/node/exit-code";
import { nodeFlags } from "../build/bundle.ts";

const firstPauseMs = 500;
const longestPauseMs = 30_000;
/** Who ran for so long is healthy again: the next pause is the first one. */
const healthyMs = 60_000;
/** Longer than a process takes that ends by itself. */
const stopDeadlineMs = 20_000;
/** A new start would not help, or somebody at a terminal knows better when to try again. */
const lastCodes = [personMustAct, tryLater];

interface ChildOptions {
  file: string;
  env: NodeJS.ProcessEnv;
  /** Each line of its standard output and standard error. */
  onLine(line: string): void;
  /** It ended unasked; it starts again after `pauseMs`, or never when that is null. */
  onEnd(how: string, pauseMs: number | null): void;
}

/** Runs `node FILE` until `close()`, again and again. `settled` resolves when it ended for good, with its exit code. */
export class Child {
  readonly settled: Promise<number>;
  readonly #options: ChildOptions;
  readonly #settle: (code: number) => void;
  #process: ChildProcess | null = null;
  #isClosing = false;
  #isRestarting = false;
  #pauseMs = firstPauseMs;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ChildOptions) {
    this.#options = options;
    const { promise, resolve } = Promise.withResolvers<number>();
    this.settled = promise;
    this.#settle = resolve;
    this.#start();
  }

  get pid(): number | null {
    return this.#process?.pid ?? null;
  }

  /** Asks it to end and waits; after 20 s it is killed. */
  async close(): Promise<void> {
    this.#isClosing = true;
    clearTimeout(this.#timer);
    if (!this.#process) return this.#settle(0);
    this.#askToEnd(this.#process);
    await this.settled;
  }

  /** Asks it to end, and starts it anew without a pause; what waited for its next start starts now. */
  restart(): void {
    if (this.#isClosing) return;
    this.#pauseMs = firstPauseMs;
    this.#isRestarting = this.#process !== null;
    if (this.#process) this.#askToEnd(this.#process);
    else this.#start();
  }

  #askToEnd(child: ChildProcess): void {
    child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), stopDeadlineMs);
    child.once("close", () => clearTimeout(late));
  }

  #start(): void {
    clearTimeout(this.#timer);
    const { file, env, onLine } = this.#options;
    const startedAt = performance.now();
    // A process group of its own: Ctrl-C on the terminal reaches this process alone, which ends its children in order.
    const child = spawn(process.execPath, [...nodeFlags, file], {
      env,
      detached: true,
      // The fourth tells it when this process is gone, however it ends: it ends too, and the next start finds its place free.
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    this.#process = child;
    // Where no descriptor was left there are no streams.
    for (const stream of [child.stdout, child.stderr])
      if (stream) createInterface({ input: stream }).on("line", onLine);
    child.once("error", (error) => onLine(`it cannot be started: ${error.message}`));
    child.once("close", (code, signal) => this.#ended(code, signal, performance.now() - startedAt));
  }

  #ended(code: number | null, signal: string | null, ranMs: number): void {
    this.#process = null;
    if (this.#isClosing) return this.#settle(code ?? 1);
    if (this.#isRestarting) {
      this.#isRestarting = false;
      return this.#start();
    }
    const how = code === null ? `it was ended by ${signal}` : `it ended with ${code}`;
    if (code !== null && lastCodes.includes(code)) {
      this.#options.onEnd(how, null);
      return this.#settle(code);
    }
    if (ranMs > healthyMs) this.#pauseMs = firstPauseMs;
    this.#options.onEnd(how, this.#pauseMs);
    this.#timer = setTimeout(() => this.#start(), this.#pauseMs);
    this.#pauseMs = Math.min(this.#pauseMs * 2, longestPauseMs);
  }
}
