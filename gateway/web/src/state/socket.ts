/**
 * The socket `berth.v1`, kept open: a ticket for each attempt, backoff with full jitter between them, for all pages lose theirs at
 * once when a gateway ends; at once again when the machine is back online or the page in view. A network that swallows everything
 * is noticed by the silence, for the samples of a workspace come every few seconds. Knows nothing of what the frames mean.
 */
import type { ServerFrame } from "@berth/shared/resources";
import { ApiError, post } from "../api/api.ts";

export type SocketState = { kind: "connecting" } | { kind: "open" } | { kind: "lost"; why: Cause };
/** What does not answer, or what a call threw. */
type Cause = "gateway" | "host" | "noHost" | Error;

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
/** Longer than a busy gateway lets a ticket wait: who gives up and asks anew has it work for nobody. */
const ticketMs = 20_000;
/** A person is told sooner that nothing answers. */
const shortCallMs = 5000;

/** Opens the socket and keeps it so until `close`. `onFrame` gets every frame in order, `onState` every change. */
export function openSocket(onFrame: (frame: ServerFrame) => void, onState: (state: SocketState) => void): LiveSocket {
  let ws: WebSocket | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let failures = 0;
  let why: Cause = "gateway";
  let isAsking = false;
  let isClosed = false;

  const connect = async () => {
    clearTimeout(timer);
    // What is lost stays so until it is open again, for a person should not see it come and go.
    if (failures === 0) onState({ kind: "connecting" });
    isAsking = true;
    const ticket = await askTicket(() => isClosed || onState({ kind: "lost", why: (why = "gateway") }));
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
    timer = setTimeout(connect, pauseAfter(error, ++failures));
    if (error) why = error.code === "offline" ? "gateway" : error;
    // The next attempt mostly works, or tells why not.
    else if (failures === 1) return onState({ kind: "connecting" });
    else if (isPowerOfTwo(failures)) why = await findCause();
    if (!isClosed && !ws) onState({ kind: "lost", why });
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

/** Full jitter, after what the gateway asks for. */
const pauseAfter = (error: ApiError | null, failures: number) =>
  (error?.retryAfter ?? 0) * 1000 + Math.random() * Math.min(longestPauseMs, firstPauseMs * 2 ** failures);

async function askTicket(onLate: () => void): Promise<string | ApiError> {
  const late = setTimeout(onLate, shortCallMs);
  try {
    return (await post<{ ticket: string }>("/v1/tickets", undefined, {}, ticketMs)).ticket;
  } catch (error) {
    return error instanceof ApiError ? error : new ApiError("offline");
  } finally {
    clearTimeout(late);
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

const isPowerOfTwo = (count: number) => Number.isInteger(Math.log2(count));

/**
 * A browser is not told why a handshake fails, so the gateway is asked, the less often the longer that goes on: not for the session,
 * for it gave a ticket.
 */
const findCause = (): Promise<Cause> =>
  fetch("/readyz", { signal: AbortSignal.timeout(shortCallMs) }).then(
    ({ ok }) => (ok ? "host" : "noHost"),
    () => "gateway",
  );
