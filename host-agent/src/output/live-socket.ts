/**
 * The socket `berth.v1`: presence, and everything that happens in the user's workspace, pushed. Backpressure: output is read
 * from the logs as fast as the client takes it; one that takes nothing for 20 s is closed and resumes by offset.
 */
import type { WebSocket } from "ws";
import type { HostClaims } from "@berth/shared/host-api";
import { type ClientFrame, clientFrame, type ServerFrame } from "@berth/shared/resources";
import { AppError, type ErrorCode } from "@berth/shared/errors";
import { messageOf } from "@berth/shared/log";
import { sleep } from "@berth/shared/wait";
import { follow, type FollowDeps } from "./follow.ts";
import { type HostContext } from "../context/context.ts";
import { readFrame } from "../context/frame.ts";
import { createLatch } from "../context/wait.ts";
import { type OutputLine, splitLines } from "../run/run-log.ts";
import { publicRun, type RunRow, stageOf } from "../store/rows.ts";
import type { Streams } from "./open-streams.ts";
import type { Workspaces } from "../workspace/workspaces.ts";

export interface SocketDeps extends FollowDeps {
  context: HostContext;
  workspaces: Pick<Workspaces, "start" | "view" | "connect">;
  streams: Streams;
}

/** Of the WebSocket protocol (1012: service restart) and of our own. */
export const closeCodes = { credentialGone: 4001, tooSlow: 4008, restarting: 1012 } as const;
const pingMs = 10_000;
const silenceMs = 30_000;
const slowMs = 20_000;
/** Coalescing: between two looks at the workspace, however often it changes; each client that comes changes it for all. */
const lookMs = 100;
const maxSubscriptions = 64;

/** Serves one client until it is gone. */
export async function serveSocket(deps: SocketDeps, claims: HostClaims, ws: WebSocket): Promise<void> {
  const { context, workspaces, store } = deps;
  const userId = claims.sub;
  const sender = createSender(ws);
  const gone = attend(deps, claims, ws);
  const follower = createFollower(deps, userId, sender, gone);
  takeFrames(ws, (frame) =>
    frame
      ? follower.subscribe(frame.runId, frame.after)
      : sender.sendError("invalid_request", "A frame must be a subscribe message in JSON."),
  );

  await workspaces.start(userId).catch((error: unknown) => {
    if (!(error instanceof AppError)) throw error;
    void sender.sendError(error.code, error.message);
  });
  if (gone.aborted) return;
  const toPublic = (run: RunRow) => publicRun(run, store.promptOf(run.id));
  const active = store.activeRuns(userId);
  const latch = createLatch();
  const off = context.bus.on(`user:${userId}`, latch.set);
  gone.addEventListener("abort", off, { once: true });
  // Runs in progress are named and left to the client to subscribe; those that start from now on are subscribed already.
  const named = new Map(active.map((run) => [run.id, stageOf(run)]));
  const changedRuns = store.watchRuns(userId);
  let known = workspaces.view(userId);
  await sender.send({ type: "hello", workspace: known, runs: active.map(toPublic) });
  for (; !gone.aborted; await latch.next(60_000, gone)) {
    const lookedAt = performance.now();
    const workspace = workspaces.view(userId);
    if (JSON.stringify(workspace) !== JSON.stringify(known)) await sender.send({ type: "workspace", workspace });
    known = workspace;
    for (const run of changedRuns()) {
      if (!named.has(run.id)) void follower.begin(run.id, 0);
      else if (named.get(run.id) !== stageOf(run) && !follower.follows(run.id))
        await sender.send({ type: "run", run: toPublic(run) });
      // What has ended changes no more.
      if (run.endedAt) named.delete(run.id);
      else named.set(run.id, stageOf(run));
    }
    await sleep(lookedAt + lookMs - performance.now(), gone);
  }
}

/** What all sockets of a user have in common: presence, an end with the credential, a heartbeat. Aborts once the client is gone. */
export function attend(
  { workspaces, streams }: { workspaces: Pick<Workspaces, "connect">; streams: Streams },
  claims: HostClaims,
  ws: WebSocket,
): AbortSignal {
  const gone = new AbortController();
  // First of all, for it throws where there is no room.
  const unregister = streams.add(claims, (cause) => {
    ws.close(cause === "revoked" ? closeCodes.credentialGone : closeCodes.restarting, cause);
    setTimeout(() => ws.terminate(), 2000).unref();
  });
  const disconnect = workspaces.connect(claims.sub);
  const stopBeat = keepAlive(ws);
  ws.on("error", () => ws.terminate());
  ws.on("close", () => {
    gone.abort();
    disconnect();
    unregister();
    stopBeat();
  });
  return gone.signal;
}

/**
 * Backpressure: frames are answered one after the other, and no more of the client is read before all that came are. A
 * frame that does not fit is null.
 */
function takeFrames(ws: WebSocket, answer: (frame: ClientFrame | null) => Promise<void>): void {
  let unanswered = 0;
  let last: Promise<void> = Promise.resolve();
  ws.on("message", (data, isBinary) => {
    if (unanswered++ === 0) ws.pause();
    last = last
      .then(() => answer(isBinary ? null : readFrame(clientFrame, (data as Buffer).toString())))
      .catch(() => ws.terminate())
      .finally(() => {
        if (--unanswered === 0) ws.resume();
      });
  });
}

/** Backpressure: sends in order, each once the client has taken what came before. Closes a client that does not. */
function createSender(ws: WebSocket) {
  let last: Promise<void> = Promise.resolve();
  const isOpen = () => ws.readyState === ws.OPEN;
  const put = (text: string, fin: boolean) =>
    new Promise<void>((resolve) => {
      if (!isOpen()) return resolve();
      const timer = setTimeout(() => {
        // The code waits behind what the client has not taken; `close` gives up on it after 30 s more.
        ws.close(closeCodes.tooSlow, "too slow");
        resolve();
      }, slowMs);
      ws.send(text, { fin }, () => {
        clearTimeout(timer);
        resolve();
      });
    });
  const inOrder = (job: () => Promise<void>): Promise<void> => {
    const done = last.then(() => (isOpen() ? job() : undefined));
    last = done.catch(() => undefined);
    return done;
  };
  const send = (frame: ServerFrame) => inOrder(() => put(JSON.stringify(frame), true));
  return {
    send,
    sendError: (code: ErrorCode, detail: string) => send({ type: "error", code, detail }),
    async sendOutput(runId: string, agentId: string, line: OutputLine): Promise<void> {
      const head = `{"type":"output","runId":${JSON.stringify(runId)},"agentId":${JSON.stringify(agentId)},"offset":${line.offset},"data":`;
      await inOrder(async () => {
        if (typeof line.data === "string") return put(`${head}${line.data}}`, true);
        await put(head, false);
        try {
          for await (const chunk of line.data) await put(chunk, false);
        } catch (error) {
          // Nothing else can be sent after half a frame.
          ws.terminate();
          throw error;
        }
        await put("}", true);
      });
    },
  };
}
type Sender = ReturnType<typeof createSender>;

/** Subscriptions: the runs that this client follows, each once at a time. */
function createFollower(deps: SocketDeps, userId: string, sender: Sender, gone: AbortSignal) {
  const following = new Map<string, AbortController>();
  async function pump(runId: string, after: number, stop: AbortSignal, begun: () => void): Promise<void> {
    let agentId = "";
    for await (const event of follow(deps, runId, after, stop, splitLines)) {
      if (event.kind === "run") {
        agentId = event.run.agentId;
        await sender.send({ type: "run", run: event.run });
      } else if (event.kind === "lines") for (const line of event.lines) await sender.sendOutput(runId, agentId, line);
      begun();
      if (stop.aborted) return;
    }
  }
  async function begin(runId: string, after: number): Promise<void> {
    if (following.has(runId)) return;
    if (following.size >= maxSubscriptions)
      return sender.sendError("rate_limited", `At most ${maxSubscriptions} runs are followed at once.`);
    const stop = new AbortController();
    following.set(runId, stop);
    const begun = Promise.withResolvers<void>();
    pump(runId, after, AbortSignal.any([gone, stop.signal]), begun.resolve)
      .catch((error: unknown) => {
        deps.context.log.warn("follow.failed", { runId, error: messageOf(error) });
        return sender.sendError("host_unavailable", "The run's output cannot be read now.");
      })
      .finally(() => {
        if (following.get(runId) === stop) following.delete(runId);
        begun.resolve();
      });
    return begun.promise;
  }
  return {
    /** Resolves once the client has taken the first of it, or why there is none. */
    begin,
    follows: (runId: string) => following.has(runId),
    /** As the client asks: from its offset on, in place of what is followed already. */
    async subscribe(runId: string, after: number): Promise<void> {
      const run = deps.store.getRun(runId);
      if (!run || run.userId !== userId) return sender.sendError("not_found", "There is no such run.");
      following.get(runId)?.abort();
      following.delete(runId);
      return begin(runId, after);
    },
  };
}

/** Heartbeat: a ping every 10 s; a client that is silent for 30 s is gone. */
function keepAlive(ws: WebSocket): () => void {
  let heardAt = performance.now();
  const hear = () => void (heardAt = performance.now());
  ws.on("pong", hear);
  ws.on("message", hear);
  const beat = setInterval(() => {
    if (ws.readyState !== ws.OPEN) return;
    // Whom we do not read at present we do not hear; whoever has not taken all has our pings before it, and `slowMs`.
    if (ws.isPaused || ws.bufferedAmount > 0) hear();
    if (performance.now() - heardAt > silenceMs) ws.terminate();
    else ws.ping();
  }, pingMs);
  return () => clearInterval(beat);
}
