/** Open pages, many in this process: each keeps a socket as the dashboard does, by its own code. Told what to do over IPC. */
import { AsyncLocalStorage } from "node:async_hooks";
import { Agent, request } from "node:http";
import { WebSocket as NodeSocket } from "ws";
import { type LiveSocket, openSocket } from "../../gateway/web/src/state/socket.ts";
import { serveParent } from "./parent.ts";

/** Whose page it is that calls: in a browser each has a world of its own. */
const pages = new AsyncLocalStorage<Page>();
/** Each on a connection of its own: kept ones would take a third of the descriptors that this machine allows. */
const agent = new Agent({ keepAlive: false });
/** Requests for tickets, as a browser would send them one by one, from the page's own address. */
const ask = (path: string, init: RequestInit = {}) =>
  new Promise<Response>((resolve, reject) => {
    const { token, localAddress } = pages.getStore()!;
    const headers = { authorization: `Bearer ${token}` };
    const sent = request(location.origin + path, {
      agent,
      method: init.method ?? "GET",
      headers,
      localAddress,
    });
    init.signal?.addEventListener("abort", () => sent.destroy(new Error("too late")), { once: true });
    sent.on("error", reject).on("response", (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.on("error", reject).on("end", () => {
        if (response.statusCode === 503) faults.refused += 1;
        const { "retry-after": retryAfter, "content-type": type = "text/plain" } = response.headers;
        const headers = { "content-type": type, ...(retryAfter && { "retry-after": retryAfter }) };
        resolve(new Response(text || null, { status: response.statusCode!, headers }));
      });
    });
    sent.end();
  });
class PageSocket extends NodeSocket {
  constructor(url: string, protocols: string[]) {
    const { localAddress } = pages.getStore()!;
    super(url, protocols, { localAddress, perMessageDeflate: false });
    this.on("error", () => {});
  }
}

interface Page {
  token: string;
  localAddress: string;
  socket: LiveSocket | null;
  isOpen: boolean;
  /** How often it was open, and the last line that it has; null while it follows none. */
  opened: number;
  line: number | null;
  newest: number;
}
const all: Page[] = [];
/** `refused`: calls that were told to come again. */
const faults = { lost: 0, doubled: 0, lines: 0, refused: 0 };

function takeFrame(page: Page, frame: { type: string; lines?: number; offset?: number }): void {
  if (frame.type === "hello") {
    page.newest = frame.lines!;
    if (page.line !== null) follow(page);
  }
  if (frame.type !== "output" || page.line === null) return;
  faults.lines += 1;
  if (frame.offset! <= page.line) faults.doubled += 1;
  else faults.lost += frame.offset! - page.line - 1;
  page.line = Math.max(page.line, frame.offset!);
}

const follow = (page: Page) => page.socket!.send({ type: "subscribe", runId: "run_log", after: page.line! });

function open(page: Page): void {
  page.socket = openSocket(
    (frame) => takeFrame(page, frame),
    ({ kind }) => {
      if (kind === "open") page.opened += 1;
      page.isOpen = kind === "open";
    },
  );
}

serveParent({
  /** Opens pages with these tokens, so many a second, where `first` are there already; answers at once. */
  async open({ url, tokens, first, perSecond }: { url: string; tokens: string[]; first: number; perSecond: number }) {
    const browser = { addEventListener() {}, removeEventListener() {}, visibilityState: "visible" };
    Object.assign(globalThis, {
      location: { origin: url },
      document: browser,
      fetch: ask,
      WebSocket: PageSocket,
      ...browser,
    });
    for (const [at, token] of tokens.entries())
      setTimeout(
        () => {
          const place = first + at;
          const localAddress = `127.2.${Math.floor(place / 250)}.${(place % 250) + 1}`;
          const page: Page = { token, localAddress, socket: null, isOpen: false, opened: 0, line: null, newest: 0 };
          all.push(page);
          pages.run(page, () => open(page));
        },
        (at * 1000) / perSecond,
      );
  },
  /** So many follow a log from now on. */
  async follow(count: number): Promise<void> {
    for (const page of all.slice(0, count)) {
      page.line = page.newest;
      follow(page);
    }
  },
  state: async () => ({
    pages: all.length,
    open: all.filter(({ isOpen }) => isOpen).length,
    /** How often they opened again after the first time, all together. */
    reopened: all.reduce((sum, { opened }) => sum + Math.max(0, opened - 1), 0),
    ...faults,
  }),
});
