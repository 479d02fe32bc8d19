/**
 * One terminal: xterm on one side, the socket of a shell on the other. A shell lives as long as its socket, so that after
 * a break a new one opens, and it says so. Loaded when a terminal is opened, not before.
 */
import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";
import type { TerminalServerFrame } from "@berth/shared/files";
import { explain, post } from "../api.ts";
import { createStyleKeeper } from "./policy.ts";
import { darkWish, themeNow } from "./theme.ts";

export interface TerminalSession {
  /** Where it is drawn: to be put into the page. */
  readonly element: HTMLElement;
  focus(): void;
  readAloud(on: boolean): void;
  close(): void;
}

const retryMs = 3000;

/** Opens a terminal of the agent. `onLeave` when the keys say that the focus goes elsewhere. */
export function openTerminal(agentId: string, onLeave: () => void): TerminalSession {
  const element = document.createElement("div");
  element.className = "terminal-screen";
  const styles = createStyleKeeper();
  const term = new Terminal({
    theme: themeNow(),
    fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--mono"),
    fontSize: 13,
    scrollback: 5000,
    minimumContrastRatio: 4.5,
    cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
  });
  const fit = new FitAddon();
  term.loadAddon(fit);
  const shell = connectShell(agentId, term);
  const paint = () => (term.options.theme = themeNow());
  darkWish.addEventListener("change", paint);
  handleKeys(term, onLeave);
  const observer = new ResizeObserver(() => {
    if (!element.isConnected || element.clientWidth === 0) return;
    if (term.element) return fit.fit();
    styles.within(() => term.open(element));
    fit.fit();
    shell.start();
    term.focus();
  });
  observer.observe(element);
  return {
    element,
    focus: () => term.focus(),
    readAloud: (on) => (term.options.screenReaderMode = on),
    close() {
      observer.disconnect();
      darkWish.removeEventListener("change", paint);
      shell.close();
      term.dispose();
      styles.close();
      element.remove();
    },
  };
}

/** Ctrl+Shift+C copies, Ctrl+Shift+V pastes as the browser does, Ctrl+Shift+↑ leaves: all other keys are the shell's. */
function handleKeys(term: Terminal, onLeave: () => void): void {
  term.attachCustomKeyEventHandler((event) => {
    if (!event.ctrlKey || !event.shiftKey) return true;
    if (event.key === "ArrowUp") {
      if (event.type === "keydown") onLeave();
      return false;
    }
    if (event.code === "KeyC" && term.hasSelection()) {
      if (event.type === "keydown") void navigator.clipboard?.writeText(term.getSelection());
      event.preventDefault();
      return false;
    }
    return event.code !== "KeyV";
  });
}

function connectShell(agentId: string, term: Terminal) {
  const encoder = new TextEncoder();
  let ws: WebSocket | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isClosed = false;
  let waitsForEnter = false;

  const start = async () => {
    clearTimeout(timer);
    waitsForEnter = false;
    try {
      const { ticket } = await post<{ ticket: string }>("/v1/tickets");
      if (!isClosed) ws = openShellSocket(agentId, ticket, term, tellEnd);
    } catch (error) {
      tellEnd({ type: "error", code: "offline", detail: explain(error) });
    }
  };
  const tellEnd = (last: TerminalServerFrame | null) => {
    ws = null;
    if (isClosed) return;
    waitsForEnter = true;
    term.write(`\r\n\u001b[2m— ${wordsOfEnd(last)} —\u001b[0m\r\n`);
    if (last === null) timer = setTimeout(() => void start(), retryMs);
  };
  const send = (bytes: Uint8Array<ArrayBuffer>) => {
    if (ws?.readyState === WebSocket.OPEN) ws.send(bytes);
    else if (waitsForEnter && bytes.includes(13)) void start();
  };
  term.onData((text) => send(encoder.encode(text)));
  term.onBinary((text) => send(Uint8Array.from(text, (char) => char.charCodeAt(0))));
  term.onResize(() => ws && sendSize(ws, term));
  return {
    start: () => void start(),
    close() {
      isClosed = true;
      clearTimeout(timer);
      ws?.close();
    },
  };
}

type OnEnd = (last: TerminalServerFrame | null) => void;

/** Opens the socket of a new shell; `onEnd` gets the last thing it said, null when the connection broke. */
function openShellSocket(agentId: string, ticket: string, term: Terminal, onEnd: OnEnd): WebSocket {
  const address = `${location.origin.replace("http", "ws")}/v1/agents/${agentId}/terminal?cols=${term.cols}&rows=${term.rows}`;
  const socket = new WebSocket(address, ["berth.v1", `ticket.${ticket}`]);
  let last: TerminalServerFrame | null = null;
  socket.binaryType = "arraybuffer";
  socket.addEventListener("open", () => sendSize(socket, term));
  socket.addEventListener("message", ({ data }: MessageEvent<ArrayBuffer | string>) => {
    if (typeof data === "string") last = JSON.parse(data) as TerminalServerFrame;
    else term.write(new Uint8Array(data));
  });
  socket.addEventListener("close", () => onEnd(last));
  return socket;
}

function sendSize(ws: WebSocket, { cols, rows }: Terminal): void {
  if (ws.readyState === WebSocket.OPEN) ws.send(JSON.stringify({ type: "resize", cols, rows }));
}

function wordsOfEnd(last: TerminalServerFrame | null): string {
  if (last === null) return "The connection was lost, and the shell ended with it. A new one opens by itself";
  if (last.type === "error") return `${last.detail} Press Enter to try again`;
  return `The shell has ended${last.code ? ` with code ${last.code}` : ""}. Press Enter for a new one`;
}
