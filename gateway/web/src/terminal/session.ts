/**
 * One terminal: xterm on one side, the socket of a shell on the other. A shell lives as long as its socket, so that after
 * a break a new one opens, and it says so. Loaded when a terminal is opened, not before.
 */
import { signal, type Signal } from "@preact/signals";
import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";
import type { TerminalServerFrame } from "@berth/shared/files";
import { ApiError, explain, post } from "../api/api.ts";
import { t } from "../i18n/language.ts";
import { noteLosable } from "../kept/use-kept.ts";
import { isDark } from "../preferences/preferences.ts";
import { createStyleKeeper } from "./policy.ts";
import { themeOf } from "./theme.ts";

export interface TerminalSession {
  /** Where it is drawn: to be put into the page. */
  readonly element: HTMLElement;
  focus(): void;
  /** As if the key were pressed. */
  press(key: ThumbKey): void;
  /** Whether the next key is pressed with Ctrl. */
  readonly hasCtrl: Signal<boolean>;
  readAloud(on: boolean): void;
  /** Whether its shell was written to and goes on: closing it may end work. */
  isAtWork(): boolean;
  close(): void;
}

/** Keys that a phone has not: what a shell is told for each. */
const thumbKeys = { Esc: "\u001b", Tab: "\t", "←": "[D", "↑": "[A", "↓": "[B", "→": "[C" };
export type ThumbKey = keyof typeof thumbKeys;

const retryMs = 3000;
/** A shell that opens within this time needs no word about it. */
const patienceMs = 500;
const dim = (words: string) => `\u001b[2m${words}\u001b[0m`;

/** Opens a terminal of the agent. `onLeave` when the keys say that the focus goes elsewhere. */
export function openTerminal(agentId: string, onLeave: () => void): TerminalSession {
  const element = document.createElement("div");
  element.className = "terminal-screen";
  const styles = createStyleKeeper();
  const term = new Terminal({
    theme: themeOf(isDark.value),
    fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--mono"),
    fontSize: 13,
    scrollback: 5000,
    minimumContrastRatio: 4.5,
    cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
  });
  const fit = new FitAddon();
  term.loadAddon(fit);
  const shell = connectShell(agentId, term);
  const stopPainting = isDark.subscribe((dark) => (term.options.theme = themeOf(dark)));
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
    press(key) {
      const told = thumbKeys[key];
      const isArrow = told.startsWith("[");
      term.input(isArrow ? `\u001b${term.modes.applicationCursorKeysMode ? told.replace("[", "O") : told}` : told);
    },
    hasCtrl: shell.hasCtrl,
    isAtWork: shell.isAtWork,
    readAloud: (on) => (term.options.screenReaderMode = on),
    close() {
      observer.disconnect();
      stopPainting();
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
  let isWrittenTo = false;
  const name = `terminal ${crypto.randomUUID()}`;
  const setWrittenTo = (is: boolean) => {
    isWrittenTo = is;
    noteLosable(name, is);
  };
  /** Since a connection was lost until the next shell shows something: said once, however often it is tried again. */
  let isLost = false;

  const start = async () => {
    clearTimeout(timer);
    waitsForEnter = false;
    try {
      const { ticket } = await post<{ ticket: string }>("/v1/tickets");
      if (!isClosed) ws = openShellSocket(agentId, ticket, term, { onOutput: () => (isLost = false), onEnd });
    } catch (error) {
      const isAway = error instanceof ApiError && (error.code === "offline" || error.code === "host_unavailable");
      onEnd(isAway ? null : (error as Error));
    }
  };
  const onEnd = (last: TerminalServerFrame | Error | null) => {
    ws = null;
    setWrittenTo(false);
    if (isClosed) return;
    waitsForEnter = true;
    if (last !== null || !isLost) term.write(`\r\n${dim(`— ${wordsOfEnd(last)} —`)}\r\n`);
    isLost = last === null;
    if (isLost) timer = setTimeout(() => void start(), retryMs * (0.5 + Math.random()));
  };
  const send = (bytes: Uint8Array<ArrayBuffer>) => {
    if (ws?.readyState === WebSocket.OPEN) {
      ws.send(bytes);
      if (bytes.includes(13)) setWrittenTo(true);
    } else if (waitsForEnter && bytes.includes(13)) void start();
  };
  const hasCtrl = signal(false);
  term.onData((text) => {
    const isWithCtrl = hasCtrl.value && /^[a-z@[\\\]^_]$/i.test(text);
    hasCtrl.value = false;
    send(isWithCtrl ? Uint8Array.of(text.toUpperCase().charCodeAt(0) & 31) : encoder.encode(text));
  });
  term.onBinary((text) => send(Uint8Array.from(text, (char) => char.charCodeAt(0))));
  term.onResize(() => ws && sendSize(ws, term));
  return {
    start: () => void start(),
    hasCtrl,
    isAtWork: () => isWrittenTo,
    close() {
      isClosed = true;
      setWrittenTo(false);
      clearTimeout(timer);
      ws?.close();
    },
  };
}

interface ShellEvents {
  onOutput: () => void;
  /** With the last thing that the host said, null when the connection broke. */
  onEnd: (last: TerminalServerFrame | null) => void;
}

/** Opens the socket of a new shell. Where that takes long, for the workspace has to start, it says so meanwhile. */
function openShellSocket(agentId: string, ticket: string, term: Terminal, { onOutput, onEnd }: ShellEvents): WebSocket {
  const address = `${location.origin.replace("http", "ws")}/v1/agents/${agentId}/terminal?cols=${term.cols}&rows=${term.rows}`;
  const socket = new WebSocket(address, ["berth.v1", `ticket.${ticket}`]);
  let last: TerminalServerFrame | null = null;
  let isSilent = true;
  const patience = setTimeout(() => term.write(dim(t().terminal.opening)), patienceMs);
  const endSilence = () => {
    clearTimeout(patience);
    if (isSilent) term.write("\r\u001b[2K");
    isSilent = false;
  };
  socket.binaryType = "arraybuffer";
  socket.addEventListener("open", () => sendSize(socket, term));
  socket.addEventListener("message", ({ data }: MessageEvent<ArrayBuffer | string>) => {
    endSilence();
    if (typeof data === "string") return void (last = JSON.parse(data) as TerminalServerFrame);
    onOutput();
    term.write(new Uint8Array(data));
  });
  socket.addEventListener("close", () => {
    endSilence();
    onEnd(last);
  });
  return socket;
}

function sendSize(ws: WebSocket, { cols, rows }: Terminal): void {
  if (ws.readyState === WebSocket.OPEN) ws.send(JSON.stringify({ type: "resize", cols, rows }));
}

function wordsOfEnd(last: TerminalServerFrame | Error | null): string {
  const words = t().terminal;
  if (last === null) return words.lost;
  if (last instanceof Error) return words.refused(explain(last));
  if (last.type === "error") return words.refused(explain(new ApiError(last.code as ApiError["code"], last.detail)));
  return words.ended(last.code);
}
