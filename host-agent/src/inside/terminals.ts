/**
 * Terminals: a login shell in an agent's directory, as that agent, behind a socket. Binary frames are its bytes both
 * ways, with backpressure. A terminal lives as long as its socket: nothing of it goes on.
 */
import type { Duplex } from "node:stream";
import type { WebSocket } from "ws";
import { AppError } from "@berth/shared/errors";
import { terminalSize, type TerminalSize } from "@berth/shared/files";
import type { HostClaims } from "@berth/shared/host-api";
import { randomText } from "@berth/shared/ids";
import { messageOf, stackOf } from "@berth/shared/log";
import { sleep } from "@berth/shared/wait";
import { freeMemory, sharedMemory } from "../machine/kept-memory.ts";
import { tellFailure } from "../machine/machine-error.ts";
import { endProcesses } from "../machine/processes.ts";
import type { Engine } from "../machine/engine.ts";
import { endStarted, enter, type EntryDeps, readDirectory, startAttached, type Started } from "./entry.ts";
import { createResizer, joinInput, say } from "./terminal-input.ts";
import { environmentOf, homeOf, toLines } from "../workspace/environment.ts";
import { createLocks } from "../context/wait.ts";
import { attend } from "../output/live-socket.ts";
import type { Streams } from "../output/open-streams.ts";
import { sessionGid } from "../store/uids.ts";

export interface TerminalDeps extends EntryDeps {
  streams: Streams;
}
interface Shell {
  shell: Started;
  stream: Duplex;
}
export type Terminals = ReturnType<typeof createTerminals>;

const maxPerAgent = 5;
const defaultSize: TerminalSize = { cols: 80, rows: 24 };
const endCode = 1000;
const notStartedCode = 1011;
/** How long programs have after SIGHUP: an editor saves what it can. */
const graceMs = 1000;
/** How long the engine may take to note the exit code of a shell that has ended. */
const exitCodeMs = 5000;
/** What may lie in wait for a slow client. */
const outputBytes = 256 * 1024;

/** Sized before anything draws; then the shell that a person expects. */
const startScript = [
  "ulimit -c 0",
  'ulimit -u "$BERTH_NPROC"',
  'stty cols "$1" rows "$2"',
  'say() { echo "Berth: $1"; }',
  ". /opt/berth/lib/berth-home",
  'directory "$HOME/.berth"',
  'directory "$TMPDIR"',
  '[ -z "$BERTH_DIRECTORY" ] || cd -- "$HOME/$BERTH_DIRECTORY" 2>/dev/null ||',
  'say "The directory $BERTH_DIRECTORY is not there yet, and made by the next message: here you are above it."',
  "as_given",
  "exec bash -l",
].join("\n");

export function createTerminals(deps: TerminalDeps) {
  const open = new Map<string, Set<{ ws: WebSocket; ended: Promise<void> }>>();
  const locked = createLocks();

  return {
    /** Serves one terminal until its client is gone and all that it started has ended. `query` may have its first size, and where it begins. */
    async serve(claims: HostClaims, agentId: string, query: URLSearchParams, ws: WebSocket): Promise<void> {
      const gone = attend(deps, claims, ws);
      const ofAgent = open.get(agentId) ?? new Set();
      const ended = Promise.withResolvers<void>();
      const mine = { ws, ended: ended.promise };
      try {
        if ([...ofAgent].filter((other) => other.ws.readyState === ws.OPEN).length >= maxPerAgent)
          throw new AppError("conflict", `The agent has ${maxPerAgent} terminals open already: close one first.`, {
            limit: maxPerAgent,
          });
        open.set(agentId, ofAgent.add(mine));
        // What the client sends waits until there is somebody to read it.
        ws.pause();
        const shell = await locked(agentId, () => startShell(deps, claims.sub, agentId, query));
        await join(deps, shell, ws, gone);
      } catch (error) {
        if (!(error instanceof AppError))
          deps.context.log.error("terminal.failed", { agentId, error: messageOf(error), stack: stackOf(error) });
        const known =
          error instanceof AppError
            ? error
            : (tellFailure(error) ?? new AppError("internal", "The terminal could not be started."));
        say(ws, { type: "error", code: known.code, detail: known.message });
        ws.resume();
        ws.close(notStartedCode);
      } finally {
        ofAgent.delete(mine);
        if (ofAgent.size === 0) {
          open.delete(agentId);
          await endRest(agentId);
        }
        ended.resolve();
      }
    },
    /** Answers once all are ended, after their sockets were closed. */
    async close(): Promise<void> {
      await Promise.all([...open.values()].flatMap((ofAgent) => [...ofAgent].map(({ ended }) => ended)));
    },
  };

  /** What left its session and dropped its environment ends with the agent's last terminal. */
  async function endRest(agentId: string): Promise<void> {
    await locked(agentId, async () => {
      const agent = deps.store.getAgent(agentId);
      const container = agent && deps.workspaces.current(agent.userId);
      if (!container || open.has(agentId)) return;
      await endProcesses(container.cgroup, ({ uid, gid }) => uid === agent.uid && gid === sessionGid, 0);
      await freeMemory(container, agent.uid, sharedMemory);
    });
  }
}

/** Starts the shell. Under the agent's lock: the end of its last terminal ends everything of the session's group. */
async function startShell(deps: TerminalDeps, userId: string, agentId: string, query: URLSearchParams): Promise<Shell> {
  const { context } = deps;
  const size = readSize(query);
  const directory = readDirectory(query.get("directory"));
  const entry = await enter(deps, userId, agentId);
  const { agent } = entry;
  const marker = `BERTH_TERMINAL=${randomText(20)}`;
  const env = toLines({
    ...environmentOf(context.settings, { ...agent, directory }),
    TERM: "xterm-256color",
    COLORTERM: "truecolor",
  });
  const { execId, stream } = await startAttached(deps, entry, {
    command: ["/bin/bash", "-c", startScript, "bash", String(size.cols), String(size.rows)],
    env: [...env, marker],
    uid: agent.uid,
    gid: sessionGid,
    workingDir: homeOf(agent),
    attach: "terminal",
  });
  return { shell: { ...entry, execId, gid: sessionGid, marker }, stream };
}

/** Joins shell and client until one of them ends, then ends all that is left of the shell. */
async function join(deps: TerminalDeps, { shell, stream }: Shell, ws: WebSocket, gone: AbortSignal): Promise<void> {
  const { engine, context, store } = deps;
  const { id: agentId, userId } = shell.agent;
  context.log.info("terminal.started", { userId, agentId });
  try {
    // Deleted while the shell came: its end waits for nothing that was started since.
    if (store.getAgent(agentId)?.deleted) throw new AppError("not_found", "There is no such agent.");
    const resize = createResizer((next) => engine.resizeExec(shell.execId, next));
    joinInput(ws, stream, resize);
    ws.resume();
    await joinOutput(stream, ws, gone);
    if (!gone.aborted) {
      say(ws, { type: "exit", code: await exitCodeOf(engine, shell.execId) });
      ws.close(endCode);
    }
  } finally {
    stream.destroy();
    await endStarted(deps, shell, graceMs);
    context.log.info("terminal.ended", { userId, agentId });
  }
}

/** The engine may tell the end of a shell's output before it has noted its exit code; null if it never does. */
async function exitCodeOf(engine: Engine, execId: string): Promise<number | null> {
  const deadline = performance.now() + exitCodeMs;
  for (;;) {
    const state = await engine.inspectExec(execId);
    if (!state?.running || performance.now() > deadline) return state?.exitCode ?? null;
    await sleep(20);
  }
}

function readSize(query: URLSearchParams): TerminalSize {
  const asked = { cols: Number(query.get("cols")), rows: Number(query.get("rows")) };
  return terminalSize.safeParse(asked).data ?? defaultSize;
}

/** Shell to client, until the shell's output ends or the client is gone. */
function joinOutput(stream: Duplex, ws: WebSocket, gone: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (gone.aborted || stream.destroyed) return resolve();
    gone.addEventListener("abort", () => resolve(), { once: true });
    stream.once("close", () => resolve());
    stream.once("end", () => resolve());
    stream.on("data", (chunk: Buffer) => {
      ws.send(chunk, () => {
        if (ws.bufferedAmount < outputBytes / 2) stream.resume();
      });
      if (ws.bufferedAmount > outputBytes) stream.pause();
    });
  });
}
