import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import * as fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { terminalFrame, type TerminalSize } from "@berth/shared/files";
import { createResizer, joinInput } from "./terminal-input.ts";

let dir: string;
let server: Server;
let client: WebSocket;
let served: WebSocket;
let shell: PassThrough;
let sizes: TerminalSize[];
let answers: number;

/** The kernel holds little of a Unix socket: who does not read is noticed soon. */
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "berth-terminal-"));
  shell = new PassThrough();
  sizes = [];
  answers = 0;
  server = createServer().listen(join(dir, "socket"));
  new WebSocketServer({ server }).on("connection", (ws) => {
    served = ws;
    joinInput(ws, shell, (size) => sizes.push(size));
  });
  await once(server, "listening");
  client = new WebSocket(`ws+unix:${join(dir, "socket")}`);
  client.on("message", () => answers++);
  await once(client, "open");
});
afterEach(async () => {
  client.terminate();
  await once(served, "close");
  server.close();
  rmSync(dir, { recursive: true });
});

test("bytes reach the shell in order, sizes are set, and whatever else is sent is answered", async () => {
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 40 });
  const near = fc.record({
    type: fc.constantFrom("resize", "subscribe", null),
    cols: fc.constantFrom(0, 1, 80, 1000, 1001, -1, 0.5, "80"),
    rows: fc.constantFrom(1, 1000, 2 ** 31, null),
  });
  const text = fc.oneof(
    near.map((value) => JSON.stringify(value)),
    fc.string({ unit: "binary" }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(bytes, text), { maxLength: 20 }), async (sent) => {
      sizes = [];
      answers = 0;
      for (const one of sent) client.send(one);
      client.send(JSON.stringify({ type: "resize", cols: 7, rows: 7 }));
      const frames = sent.filter((one) => typeof one === "string").map(readSize);
      await expect
        .poll(() => sizes)
        .toEqual([...frames.filter((frame) => frame !== null), { type: "resize", cols: 7, rows: 7 }]);
      await expect.poll(() => answers).toBe(frames.filter((frame) => frame === null).length);
      const all = Buffer.concat(sent.filter((one) => typeof one !== "string"));
      expect(shell.read() ?? Buffer.alloc(0)).toEqual(all);
    }),
    { numRuns: 60 },
  );
});

test("a client that sends what does not fit and takes no answer is not read before it does", async () => {
  const count = 20_000;
  client.pause();
  for (let at = 0; at < count; at++) client.send("x");
  await expect.poll(() => served.isPaused && served.bufferedAmount > 0).toBe(true);
  client.resume();
  await expect.poll(() => answers).toBe(count);
  await expect.poll(() => served.isPaused).toBe(false);
});

test("a client is not read while a program does not, and loses nothing", async () => {
  const chunk = Buffer.alloc(1000, "x");
  for (let at = 0; at < 2000; at++) client.send(chunk);
  await expect.poll(() => served.isPaused && shell.writableLength > 512 * 1024).toBe(true);
  expect(served.listenerCount("close")).toBeLessThan(5);
  let length = 0;
  shell.on("data", (read: Buffer) => (length += read.length));
  await expect.poll(() => length).toBe(2_000_000);
  await expect.poll(() => served.isPaused).toBe(false);
});

test("a window that is dragged is set at once, and then the newest size after a while", async () => {
  const set: number[] = [];
  const resize = createResizer(async ({ cols }) => void set.push(cols));
  for (let cols = 1; cols <= 50; cols++) {
    resize({ cols, rows: 1 });
    // The engine has answered the last one by then.
    await new Promise((resolve) => setImmediate(resolve));
  }
  await expect.poll(() => set.at(-1)).toBe(50);
  expect(set[0]).toBe(1);
  expect(set.length).toBeLessThan(10);
});

function readSize(text: string): TerminalSize | null {
  try {
    return terminalFrame.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}
