/**
 * The socket `berth.v1`, kept open: a ticket for each attempt, jittered pauses between them, at once again when the machine
 * is back online or the page in view. A network that swallows everything is noticed by the silence, for the samples of a
 * workspace come every few seconds. Knows nothing of what the frames mean.
 */
import type { ServerFrame } from "@berth/shared/resources";
import { ApiError, get, post } from "../api/api.ts";

export type SocketState =
  | { kind: "connecting" }
  | { kind: "open" }
  /** `retryAt` in milliseconds since 1970. */
  | { kind: "lost"; why: Cause; retryAt: number };
/** What does not answer, or what a call threw. */
export type Cause = "gateway" | "host" | "noHost" | Error;

export interface LiveSocket {
  send(frame: { type: "subscribe"; runId: string; after: number }): void;
  close(): void;
}

const firstPauseMs = 400;
const longestPauseMs = 15_000;
/** Until the first frame: the workspace may have to start. */
const openDeadlineMs = 90_000;
/** Between frames. The gateway pings each 10 s, but a browser shows no pings to the page. */
const silenceMs = 45_000;
/** What is asked while nothing else works. */
const shortCallMs = 5000;

/** Opens the socket and keeps it so until `close`. `onFrame` gets every frame in order, `onState` every change. */
export function openSocket(onFrame: (frame: ServerFrame) => void, onState: (state: SocketState) => void): LiveSocket {
  let ws: WebSocket | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let failures = 0;
  let isAsking = false;
  let isClosed = false;

  const connect = async () => {
    clearTimeout(timer);
    // What is lost stays so until it is open again, for a person should not see it come and go.
    if (failures === 0) onState({ kind: "connecting" });
    isAsking = true;
    const ticket = await askTicket();
    isAsking = false;
    if (isClosed) return;
    if (ticket instanceof ApiError) return void lose(ticket);
    const socket = new WebSocket(`${location.origin.replace("http", "ws")}/v1/connect`, [
      "berth.v1",
      `ticket.${ticket}`,
    ]);
    ws = socket;
    listen(socket, take, () => {
      if (ws !== socket) return;
      ws = null;
      void lose(null);
    });
  };
  const take = (frame: ServerFrame) => {
    if (frame.type === "hello") {
      failures = 0;
      onState({ kind: "open" });
    }
    onFrame(frame);
  };
  const lose = async (error: ApiError | null) => {
    if (isClosed || error?.code === "unauthenticated") return;
    failures++;
    const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** failures) * (0.5 + Math.random() / 2);
    timer = setTimeout(connect, pauseMs);
    const retryAt = Date.now() + pauseMs;
    const why = await findCause(error);
    if (!isClosed && !ws) onState({ kind: "lost", why, retryAt });
  };
  const hurry = () => {
    if (isClosed || isAsking || ws || document.visibilityState === "hidden") return;
    failures = Math.min(failures, 1);
    void connect();
  };

  addEventListener("online", hurry);
  document.addEventListener("visibilitychange", hurry);
  void connect();
  return {
    send: (frame) => ws?.readyState === WebSocket.OPEN && ws.send(JSON.stringify(frame)),
    close() {
      isClosed = true;
      clearTimeout(timer);
      removeEventListener("online", hurry);
      document.removeEventListener("visibilitychange", hurry);
      ws?.close();
    },
  };
}

async function askTicket(): Promise<string | ApiError> {
  try {
    return (await post<{ ticket: string }>("/v1/tickets", undefined, {}, shortCallMs)).ticket;
  } catch (error) {
    return error instanceof ApiError ? error : new ApiError("offline");
  }
}

/** Passes frames on until the socket closes or has been silent for too long; `onEnd` comes once, nothing after it. */
function listen(socket: WebSocket, onFrame: (frame: ServerFrame) => void, onEnd: () => void): void {
  let lastAt = Date.now();
  let mostMs = openDeadlineMs;
  let isOver = false;
  const end = () => {
    if (isOver) return;
    isOver = true;
    clearInterval(watch);
    // A network that is gone carries no close either: nothing waits for its answer.
    socket.close();
    onEnd();
  };
  const watch = setInterval(() => Date.now() - lastAt > mostMs && end(), 5000);
  socket.addEventListener("close", end);
  socket.addEventListener("message", ({ data }: MessageEvent<string>) => {
    if (isOver) return;
    lastAt = Date.now();
    mostMs = silenceMs;
    onFrame(JSON.parse(data) as ServerFrame);
  });
}

/** A browser is not told why a handshake fails, so the gateway is asked. */
async function findCause(error: ApiError | null): Promise<Cause> {
  if (error && error.code !== "offline") return error;
  try {
    // A session that is over answers 401 here, and the page goes to the sign-in.
    await get("/v1/me", shortCallMs);
  } catch (failure) {
    return failure instanceof ApiError && failure.code !== "offline" ? failure : "gateway";
  }
  const ready = await fetch("/readyz", { signal: AbortSignal.timeout(shortCallMs) }).then(
    (answer) => answer.ok,
    () => true,
  );
  return ready ? "host" : "noHost";
}
