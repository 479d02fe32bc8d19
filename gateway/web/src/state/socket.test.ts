import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { openSocket, type SocketState } from "./socket.ts";

/** What pages asked for, and when, in milliseconds since the first of them opened. */
let asked: { path: string; at: number }[] = [];
let sockets: FakeSocket[] = [];
let answer: () => Response | Promise<Response>;
let opened: { close(): void }[] = [];
let states: SocketState[] = [];

class FakeSocket extends EventTarget {
  static OPEN = 1;
  readyState = 1;
  close() {
    this.dispatchEvent(new Event("close"));
  }
  hello() {
    this.dispatchEvent(new MessageEvent("message", { data: '{"type":"hello"}' }));
  }
}

beforeEach(() => {
  vi.useFakeTimers();
  [asked, sockets, opened, states] = [[], [], [], []];
  answer = () => Response.json({ ticket: "t" });
  const startedAt = Date.now();
  const page = { addEventListener() {}, removeEventListener() {} };
  vi.stubGlobal("location", { origin: "http://localhost" });
  vi.stubGlobal("document", { ...page, visibilityState: "visible" });
  for (const [name, listen] of Object.entries(page)) vi.stubGlobal(name, listen);
  vi.stubGlobal("WebSocket", function create() {
    const socket = new FakeSocket();
    sockets.push(socket);
    return socket;
  });
  vi.stubGlobal("fetch", async (path: string) => {
    asked.push({ path, at: Date.now() - startedAt });
    return answer();
  });
});
afterEach(() => {
  for (const page of opened) page.close();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const open = () =>
  opened.push(
    openSocket(
      () => {},
      (state) => states.push(state),
    ),
  );
const paths = () => asked.map(({ path }) => path);

test("pages that lose their sockets together come again at times of their own, and ask for nothing but a ticket", async () => {
  for (let at = 0; at < 100; at++) open();
  await vi.advanceTimersByTimeAsync(0);
  for (const socket of sockets) socket.hello();
  asked = [];
  for (const socket of sockets.splice(0)) socket.close();
  await vi.advanceTimersByTimeAsync(1000);
  const times = asked.map(({ at }) => at);
  expect(new Set(paths())).toEqual(new Set(["/v1/tickets"]));
  expect(times).toHaveLength(100);
  expect(Math.min(...times)).toBeLessThan(200);
  expect(Math.max(...times)).toBeGreaterThan(600);
});

test("a page that is asked to wait does, and says why it has no socket", async () => {
  const problem = { code: "host_unavailable", detail: "More comes at once than can be served." };
  answer = () => Response.json(problem, { status: 503, headers: { "retry-after": "4" } });
  open();
  await vi.advanceTimersByTimeAsync(3999);
  expect(paths()).toEqual(["/v1/tickets"]);
  expect(states.at(-1)).toMatchObject({ kind: "lost", why: { code: "host_unavailable" } });
  await vi.advanceTimersByTimeAsync(802);
  expect(paths()).toEqual(["/v1/tickets", "/v1/tickets"]);
});

test("why a handshake fails is asked after 2, 4, 8 … failures", async () => {
  open();
  for (let failure = 1; failure <= 9; failure++) {
    await vi.advanceTimersByTimeAsync(15_000);
    sockets.pop()!.close();
    await vi.advanceTimersByTimeAsync(0);
  }
  const ready = paths().flatMap((path, at) => (path === "/readyz" ? at : []));
  expect(paths().length - ready.length).toBe(9);
  expect(ready).toEqual([2, 5, 10]);
  expect(states.at(-1)).toEqual({ kind: "lost", why: "host" });
});

test("a person is told within 5 s that nothing answers, and the one call goes on", async () => {
  answer = () => new Promise<Response>(() => {});
  open();
  await vi.advanceTimersByTimeAsync(6000);
  expect(states.at(-1)).toEqual({ kind: "lost", why: "gateway" });
  expect(paths()).toEqual(["/v1/tickets"]);
});
