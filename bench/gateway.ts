/** Calls a second that the gateway answers: an authenticated `GET /v1/agents` against a bare Hono "hello", over 32 kept connections. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { startBerth } from "../e2e/harness/harness.ts";
import { startBareServer } from "./lib/bare.ts";
import { interleave, median, printFigures } from "./lib/figures.ts";

const connections = 32;
const roundMs = 2000;
const rounds = 5;

const berth = await startBerth();
const bare = await startBareServer();
try {
  const client = await berth.client("bench");
  for (let at = 0; at < 3; at++) await client.createAgent(`agent ${at}`);
  const list = () => load(`${berth.url}/v1/agents`, client.token);
  const hello = () => load(`${bare.url}/hello`, client.token);
  await interleave(1, list, hello);
  const [ours, plain] = (await interleave(rounds, list, hello)).map(median);
  printFigures([
    { name: "authenticated GET /v1/agents a second", ours: ours!, bare: plain!, unit: "/s", compare: "ratio" },
  ]);
} finally {
  bare.close();
  await berth.close();
}

/** Answers a second. All answers to one request are of one length here, so that counting bytes counts answers. */
async function load(address: string, token: string): Promise<number> {
  const url = new URL(address);
  const request = `GET ${url.pathname} HTTP/1.1\r\nhost: ${url.host}\r\nauthorization: Bearer ${token}\r\n\r\n`;
  const sockets = await Promise.all(Array.from({ length: connections }, () => open(Number(url.port))));
  const length = await lengthOfAnswer(sockets[0]!, request);
  let answers = 0;
  const startedAt = performance.now();
  const isOver = () => performance.now() - startedAt > roundMs;
  await Promise.all(
    sockets.map(async (socket) => {
      let received = 0;
      socket.on("data", (chunk: Buffer) => {
        received += chunk.length;
        if (received < length) return;
        received -= length;
        answers++;
        if (isOver()) socket.destroy();
        else socket.write(request);
      });
      socket.write(request);
      await once(socket, "close");
    }),
  );
  return (answers * 1000) / (performance.now() - startedAt);
}

async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  await once(socket, "connect");
  return socket;
}

async function lengthOfAnswer(socket: Socket, request: string): Promise<number> {
  let text = "";
  const read = (chunk: Buffer) => void (text += chunk.toString("latin1"));
  socket.on("data", read);
  socket.write(request);
  while (!/^HTTP\/1.1 200 /.test(text) || !isWhole(text)) await once(socket, "data");
  socket.off("data", read);
  return text.length;
}

function isWhole(text: string): boolean {
  const body = text.slice(text.indexOf("\r\n\r\n") + 4);
  const declared = /^content-length: (\d+)/im.exec(text)?.[1];
  return declared === undefined ? body.endsWith("0\r\n\r\n") : body.length >= Number(declared);
}
