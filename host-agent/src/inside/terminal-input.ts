/** What a terminal's client sends: bytes for the shell, and sizes; each with backpressure. Knows no engine. */
import type { Writable } from "node:stream";
import type { WebSocket } from "ws";
import { terminalFrame, type TerminalServerFrame, type TerminalSize } from "@berth/shared/files";
import { sleep } from "@berth/shared/wait";
import { frameMaxLength, readFrame } from "../context/frame.ts";

const probeMs = 1000;
/** What may lie in wait for a program that does not read. */
const inputBytes = 512 * 1024;
const misfit: TerminalServerFrame = {
  type: "error",
  code: "invalid_request",
  detail: "A text frame must be a resize message in JSON.",
};

/** `taken` is called once the kernel has it. */
export function say(ws: WebSocket, frame: TerminalServerFrame, taken: () => void = () => {}): void {
  if (ws.readyState === ws.OPEN) ws.send(JSON.stringify(frame), taken);
}

/**
 * Client to shell, with backpressure: the client is not read while much lies unread before the shell, nor before it has taken
 * the answers to what did not fit.
 */
export function joinInput(ws: WebSocket, stream: Writable, resize: (size: TerminalSize) => void): void {
  let holds = 0;
  let isBehind = false;
  const hold = () => {
    if (holds++ === 0) ws.pause();
  };
  const release = () => {
    if (--holds === 0) ws.resume();
  };
  ws.on("message", (data, isBinary) => {
    if (isBinary) {
      const isFull = stream.writable && !stream.write(data) && stream.writableLength > inputBytes;
      if (!isFull || isBehind) return;
      isBehind = true;
      hold();
      whenTaken(ws, stream, () => {
        isBehind = false;
        release();
      });
      return;
    }
    const frame = readFrame(terminalFrame, (data as Buffer).toString("utf8", 0, frameMaxLength + 1));
    if (frame) return resize(frame);
    hold();
    say(ws, misfit, release);
  });
}

/** Once the shell has taken all. Whom we do not read meanwhile we do not see leaving: a ping fails then. */
function whenTaken(ws: WebSocket, stream: Writable, goOn: () => void): void {
  const probe = setInterval(() => ws.ping(), probeMs);
  const stop = () => clearInterval(probe);
  ws.once("close", stop);
  stream.once("drain", () => {
    stop();
    ws.off("close", stop);
    goOn();
  });
}

/** Throttle: each size costs the engine a call. */
const resizeMs = 100;

/** Coalesced: sets the newest size, one call at a time and a while apart, for a window that is dragged sends many. */
export function createResizer(set: (size: TerminalSize) => Promise<unknown>): (size: TerminalSize) => void {
  let wanted: TerminalSize | null = null;
  let isSetting = false;
  return async function resize(size) {
    wanted = size;
    if (isSetting) return;
    isSetting = true;
    while (wanted) {
      const next: TerminalSize = wanted;
      wanted = null;
      await set(next).catch(() => undefined);
      await sleep(resizeMs);
    }
    isSetting = false;
  };
}
