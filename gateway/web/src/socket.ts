/**
 * The socket `berth.v1`, kept open: a ticket for each attempt, jittered pauses between them, at once again when the machine
 * is back online or the page in view. Knows nothing of what the frames mean.
 */
import type { ServerFrame } from "@berth/shared/resources";
import { ApiError, get, post } from "./api.ts";

export type SocketState =
  | { kind: "connecting" }
  | { kind: "open" }
  /** `retryAt` in milliseconds since 1970; `why` is a sentence. */
  | { kind: "lost"; why: string; retryAt: number };

export interface LiveSocket {
  send(frame: { type: "subscribe"; runId: string; after: number }): void;
  close(): void;
}

const firstPauseMs = 400;
const longestPauseMs = 15_000;
/** The gateway pings each 10 s, but a browser does not show pings: a socket that is silent is only noticed by its close. */
const openDeadlineMs = 90_000;

/** Opens the socket and keeps it so until `close`. `onFrame` gets every frame in order, `onState` every change. */
export function openSocket(onFrame: (frame: ServerFrame) => void, onState: (state: SocketState) => void): LiveSocket {
  let ws: WebSocket | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let failures = 0;
  let isClosed = false;

  const connect = async () => {
    clearTimeout(timer);
    onState({ kind: "connecting" });
    try {
      const { ticket } = await post<{ ticket: string }>("/v1/tickets");
      if (isClosed) return;
      ws = new WebSocket(`${location.origin.replace("http", "ws")}/v1/connect`, ["berth.v1", `ticket.${ticket}`]);
    } catch (error) {
      return void lose(error instanceof ApiError ? error : null);
    }
    const socket = ws;
    const deadline = setTimeout(() => socket.close(), openDeadlineMs);
    socket.addEventListener("message", ({ data }: MessageEvent<string>) => {
      const frame = JSON.parse(data) as ServerFrame;
      if (frame.type === "hello") {
        clearTimeout(deadline);
        failures = 0;
        onState({ kind: "open" });
      }
      onFrame(frame);
    });
    socket.addEventListener("close", () => {
      clearTimeout(deadline);
      if (ws === socket) ws = null;
      void lose(null);
    });
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
    if (isClosed || ws || document.visibilityState === "hidden") return;
    failures = 0;
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

/** A browser is not told why a handshake fails, so the gateway is asked. */
async function findCause(error: ApiError | null): Promise<string> {
  if (error && error.code !== "offline") return error.message;
  try {
    // A session that is over answers 401 here, and the page goes to the sign-in.
    await get("/v1/me");
  } catch (failure) {
    return failure instanceof ApiError && failure.code === "offline" ? "The gateway does not answer." : String(failure);
  }
  const ready = await fetch("/readyz").then(
    (answer) => answer.ok,
    () => true,
  );
  return ready ? "The host of your workspace does not answer." : "No host is up. An admin must start the host agent.";
}
