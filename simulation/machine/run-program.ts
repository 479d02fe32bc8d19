/**
 * What happens in a container once a run's exec has started: the wrapper `berth-run` and the program below it. It writes
 * what its script says, ends as that says, and leaves evidence.
 */
import { world } from "../world/world.ts";
import { type Evidence, isWaiting, judgePrepared, judgeWaiting, noteStart } from "./evidence.ts";
import type { Inode } from "./files.ts";
import type { Kernel } from "./kernel.ts";
import type { EndCause, Exec, Process } from "./shapes.ts";
import { boundNear, type Script, scriptOf } from "./script.ts";

/** What it says, again and again. */
const line = `${"x".repeat(999)}\n`;

/** What it asks, and what it takes: to be answered, to stop, and that nothing more is said. */
const question =
  '{"type":"control_request","request_id":"ask_1","request":{"subtype":"can_use_tool","tool_name":"Bash","input":{}}}\n';
const takes = /"request_id":"ask_1"|"subtype":"interrupt"|\n\n$/;

/** Starts the exec's processes. */
export function startRun(kernel: Kernel, exec: Exec): void {
  new Program(kernel, exec).start();
}

const variable = ({ options }: Exec, name: string) =>
  options.Env.find((line) => line.startsWith(`${name}=`))?.slice(name.length + 1) ?? "";

class Program {
  readonly #kernel: Kernel;
  readonly #exec: Exec;
  #runId: string;
  readonly #uid: number;
  readonly #gid: number;
  #script: Script;
  readonly #directory: Inode | null;
  #known: Evidence | null = null;
  #child: Process | null = null;

  constructor(kernel: Kernel, exec: Exec) {
    this.#kernel = kernel;
    this.#exec = exec;
    this.#runId = variable(exec, "BERTH_RUN_ID");
    [this.#uid = 0, this.#gid = 0] = exec.options.User.split(":").map(Number);
    this.#script = scriptOf(this.#runId);
    this.#directory = exec.container.mounts.get("/run/berth-runs")?.entries.get(this.#runId) ?? null;
  }

  start(): void {
    judgePrepared(this.#exec, this.#runId);
    if (isWaiting(this.#runId)) judgeWaiting(this.#kernel, this.#exec, this.#runId);
    else this.#begin();
    this.#exec.process = this.#spawn(
      () => "stays",
      () => {
        if (this.#exec.state !== "ended") Object.assign(this.#exec, { state: "ended", exitCode: 137 });
      },
    );
    const draws = world().draws("dawdling", world().outside);
    const dawdlesMs = this.#script.mayDawdle && draws.is(0.1) ? draws.between(50, 4000) : 0;
    this.#after(this.#script.beginMs + dawdlesMs, () => {
      if (!this.#write("out", "")) return this.#finish(126);
      if (isWaiting(this.#runId)) return this.#wait();
      this.#write("exit", "begun\n");
      this.#listen();
      this.#child = this.#spawn(this.#takesTerm, (cause) => {
        this.#child = null;
        if (cause === "signal") this.#finish(143);
      });
      this.#after(this.#script.stepMs, () => this.#step(0));
    });
  }

  #begin(): void {
    this.#known = noteStart(this.#kernel, this.#exec, this.#runId, variable(this.#exec, "BERTH_AGENT_ID"), this.#uid);
    this.#exec.container.kept.set(this.#uid, { runId: this.#runId, uid: this.#uid });
    this.#known.writeCode = (code) => void this.#write("exit", `${code}\n`);
  }

  /** Started ahead of its message, it answers what it is told first, and is no run before that comes. */
  #wait(): void {
    this.#write("exit", "ahead\n");
    this.#child = this.#spawn(
      () => "goes",
      (cause) => {
        this.#child = null;
        if (cause === "signal") this.#finish(143);
      },
    );
    const draws = world().draws("ahead", world().outside);
    this.#after(draws.between(1, 1500), () => this.#write("out", `"request_id":"get_context_usage"\n`));
    const input = this.#directory!.entries.get("in")!;
    const isNew = world().draws("ahead", world().outside);
    input.onWrite = () => this.#after(isNew.delay(), () => this.#take(this.#kernel.files.read(input).toString()));
  }

  /** Goes by what it is told, a while later. */
  #listen(): void {
    const input = this.#directory!.entries.get("in");
    const draws = world().draws("told", world().outside);
    if (!input) return;
    input.onWrite = () =>
      this.#after(draws.delay(), () => {
        if (!this.#child || !takes.test(this.#kernel.files.read(input).toString())) return;
        this.#write("out", '{"type":"result","result":"done","is_error":false}\n');
        this.#endChild(0);
      });
  }

  /** Takes its message, as the run that it says it is of. */
  #take(said: string): void {
    const [, runId] = /"BERTH_RUN_ID":"(\w+)"/.exec(said) ?? [];
    if (!this.#child || !isWaiting(this.#runId) || runId === undefined || !said.includes('"type":"user"')) return;
    for (const process of this.#kernel.ofRun(this.#runId)) process.runId = runId;
    [this.#runId, this.#script] = [runId, scriptOf(runId)];
    this.#begin();
    this.#listen();
    const answer = () => {
      this.#write("out", '{"type":"system"}\n');
      this.#after(this.#script.stepMs, () => this.#step(0));
    };
    if (this.#script.thinksMs) this.#after(this.#script.thinksMs, answer);
    else answer();
  }

  #step(at: number): void {
    const { chunks, stepMs, isKilled, end } = this.#script;
    if (!this.#child) return;
    const chunk = chunks[at];
    if (chunk !== undefined) {
      this.#write("out", Buffer.alloc(chunk, this.#script.saysLines ? line : "x"));
      const bound = boundNear(this.#directory?.entries.get("out")?.size ?? 0);
      if (bound !== null) world().traits.add(`output near ${bound}`);
      return this.#after(stepMs, () => this.#step(at + 1));
    }
    if (isKilled) return this.#endByKernel();
    if (this.#script.asks && at === chunks.length) this.#write("out", question);
    if (end === null) return;
    for (let count = 0; count < this.#script.leaves; count++)
      this.#spawn(this.#takesTerm, () => undefined, this.#script.leavesMovers);
    if (end !== "gone") return this.#endChild(end);
    this.#child = null;
    for (const process of this.#kernel.ofRun(this.#runId)) this.#kernel.end(process, "itself");
  }

  readonly #takesTerm = () => (this.#script.ignoresTerm ? "stays" : "goes");

  #endByKernel(): void {
    const { kills } = this.#kernel;
    const pid = this.#child!.pid;
    kills.push({ sequence: kills.length + 1, containerId: this.#exec.container.id, uid: this.#uid, pid });
    this.#known!.oomKills++;
    this.#endChild(137);
  }

  #endChild(code: number): void {
    const child = this.#child!;
    this.#child = null;
    this.#kernel.end(child, "itself");
    this.#finish(code);
  }

  /** The wrapper writes the code, then goes. */
  #finish(code: number): void {
    this.#after(1, () => {
      this.#write("exit", `${code}\n`);
      Object.assign(this.#exec, { state: "ended", exitCode: code });
      this.#kernel.end(this.#exec.process!, "itself");
    });
  }

  /** As long as the wrapper lives, and once its container stands still no more. */
  #after(ms: number, step: () => void): void {
    const go = () => {
      if (this.#exec.container.isFrozen) return this.#after(1, step);
      if (this.#kernel.processes.has(this.#exec.process!.pid)) step();
    };
    world().after(ms, go, world().outside);
  }

  #spawn(onSignal: Process["onSignal"], onEnd: (cause: EndCause) => void, movesOn = false): Process {
    const { container, options } = this.#exec;
    return this.#kernel.spawn({
      uid: this.#uid,
      gid: this.#gid,
      environment: options.Env,
      container,
      runId: this.#runId,
      movesOn,
      onSignal,
      onEnd: (cause) => {
        onEnd(cause);
        if (this.#known && this.#kernel.ofRun(this.#runId).length === 0)
          this.#known.ended = { cause, atMs: world().nowMs };
      },
    });
  }

  /** False where it may not, or cannot: the file is sealed, or its disk is full. */
  #write(name: string, text: string | Uint8Array): boolean {
    const inode = this.#directory?.entries.get(name);
    if (!inode || inode.uid !== this.#uid) return false;
    try {
      this.#kernel.files.write(inode, Buffer.from(text), name);
    } catch {
      return false;
    }
    for (const watcher of [...this.#directory!.watchers, ...inode.watchers]) watcher(name);
    return true;
  }
}
